import { readFileSync } from "node:fs";
import { afterEach, describe, expect, test } from "vitest";
import { RpcHeaderCodec } from "../../proto/index.js";
import {
  ByteWriter,
  RpcError,
  RpcProvider,
  RpcStatus,
  type MprpcController,
} from "../../rpc/index.js";
import {
  creditFlag,
  goAwayFlag,
  moreFlag,
  notifyFlag,
  pingFlag,
  pongFlag,
  refusedFlag,
  ReplyFramer,
  replyPingFlag,
  RequestFramer,
  writeCancel,
  writeControl,
  writeReplyControl,
  writeStatus,
} from "../../rpc/framing.js";
import {
  Health_Stub,
  HealthMethods,
  HealthService,
  ServingStatus,
} from "../../rpc/services/index.js";
import { scriptedServer } from "./scripted.js";
import { closeAll, closeLater, openChannel, rawClient, text, until } from "./support.js";

/** docs/wire.md, whose examples are what others implement the wire from. */

afterEach(closeAll);

/** Hex stands in the first columns of a line; what follows is for people. */
const hexColumns = 24;

function readExamples(): ReadonlyMap<string, Buffer> {
  const page = readFileSync("docs/wire.md", "utf8");
  const found = [...page.matchAll(/^```hex (\S+)\n([\s\S]*?)^```$/gm)];
  return new Map(
    found.map(([, name, block]) => {
      const digits = block!.split("\n").map((line) => line.slice(0, hexColumns));
      const bytes = digits.join("").replaceAll(" ", "");
      if (!/^(?:[0-9a-f]{2})+$/.test(bytes)) throw new Error(`${name} is not hex: ${bytes}`);
      return [name!, Buffer.from(bytes, "hex")];
    }),
  );
}

const examples = readExamples();

function example(name: string): Buffer {
  const bytes = examples.get(name);
  if (bytes === undefined) throw new Error(`docs/wire.md has no example ${name}`);
  return bytes;
}

const limits = { headerBytesMax: 1024, bodyBytesMax: 1024 };
const check = new RequestFramer(HealthMethods.Check);
const watch = new RequestFramer(HealthMethods.Watch);
const reply = new ReplyFramer(HealthMethods.Check.response);
const shop = { service: "shop" };
const serving = { status: ServingStatus.SERVING };
const token = [{ key: "token", value: Buffer.from("t1") }];
const detail = { type: "shop.v1.Gone", value: Buffer.from([8, 7]) };

/** What our own code writes for each example. */
const encoders: Readonly<Record<string, (writer: ByteWriter) => unknown>> = {
  "rev1-request": (writer) => check.write(writer, shop, 0, 0, [], limits),
  "rev1-reply": (writer) => HealthMethods.Check.response.encode(serving as never, writer),
  request: (writer) => check.write(writer, shop, 1, 1500, token, limits),
  reply: (writer) => reply.write(writer, 1, [], serving, limits),
  "reply-empty": (writer) => reply.write(writer, 2, [], {}, limits),
  "reply-error": (writer) =>
    writeStatus(
      writer,
      3,
      { status: RpcStatus.NOT_FOUND, errorText: "no such service", details: [detail] },
      limits,
    ),
  cancel: (writer) => writeCancel(writer, 300),
  notify: (writer) => check.write(writer, {}, 1, 0, [], limits, notifyFlag),
  watch: (writer) => watch.write(writer, shop, 4, 0, [], limits, 0, 65_536),
  "stream-message": (writer) => reply.write(writer, 4, token, serving, limits, moreFlag),
  "stream-end": (writer) =>
    writeStatus(
      writer,
      4,
      { status: RpcStatus.OK, errorText: "", metadata: [{ key: "n", value: Buffer.from("1") }] },
      limits,
    ),
  credit: (writer) => writeControl(writer, 4, creditFlag, 32_768),
  ping: (writer) => writeControl(writer, 5, pingFlag),
  "ping-answer": (writer) => writeReplyControl(writer, 5, 0),
  "server-ping": (writer) => writeReplyControl(writer, 0, replyPingFlag),
  pong: (writer) => writeControl(writer, 0, pongFlag),
  goaway: (writer) => writeReplyControl(writer, 0, goAwayFlag),
  refused: (writer) =>
    writeStatus(
      writer,
      6,
      { status: RpcStatus.UNAVAILABLE, errorText: "draining", flags: refusedFlag },
      limits,
    ),
};

test("every example of the page is checked, and every check has its example", () => {
  expect([...examples.keys()].toSorted()).toEqual(Object.keys(encoders).toSorted());
});

test.each(Object.entries(encoders))("our encoder writes the example %s", (name, encode) => {
  const writer = new ByteWriter();
  encode(writer);
  expect(writer.finish().toString("hex")).toBe(example(name).toString("hex"));
});

test("the page shows the headers as proto/rpcheader.proto declares them", () => {
  const page = readFileSync("docs/wire.md", "utf8");
  const proto = readFileSync("proto/rpcheader.proto", "utf8");
  for (const message of ["RpcHeader", "RpcReplyHeader", "MetadataEntry", "ErrorDetail"]) {
    expect(fieldsOf(page, message)).toEqual(fieldsOf(proto, message));
    expect(fieldsOf(page, message).length).toBeGreaterThan(1);
  }
});

function fieldsOf(source: string, message: string): readonly string[] {
  const code = source.replaceAll(/\/\/.*/g, "");
  const body = new RegExp(`message ${message}\\s*\\{([^}]*)\\}`).exec(code)?.[1] ?? "";
  const fields = body.matchAll(/(?:repeated )?\w+\s+\w+ = \d+(?=;)/g);
  return [...fields].map(([field]) => field.replaceAll(/\s+/g, " "));
}

class ShopHealth extends HealthService {
  readonly metadata: string[] = [];

  override Check(request: Parameters<HealthService["Check"]>[0], controller?: MprpcController) {
    const metadata = controller?.metadata ?? [];
    this.metadata.push(...metadata.map(({ key, value }) => `${key}=${text(value)}`));
    if (request.service === "") throw new RpcError(RpcStatus.DATA_LOSS, "never seen by a notify");
    return super.Check(request);
  }
}

async function start() {
  const health = new ShopHealth();
  health.setStatus("shop", ServingStatus.SERVING);
  const provider = new RpcProvider();
  provider.notifyService(health);
  const { port } = await provider.run("127.0.0.1", 0);
  closeLater(() => provider.close(0));
  return { health, provider, client: await rawClient(port) };
}

describe("a running provider", () => {
  /** Sends one example after the other; the answers are those named, and nothing else. */
  test.each([
    ["rev1-request", ["rev1-reply"]],
    ["request", ["reply"]],
    ["request notify ping", ["reply", "ping-answer"]],
    ["request cancel ping", ["reply", "ping-answer"]],
    ["request pong credit ping", ["reply", "ping-answer"]],
  ])("answers %s as the page says", async (sent, answers) => {
    const { client } = await start();
    client.send(Buffer.concat(sent.split(" ").map(example)));
    const expected = Buffer.concat(answers.map(example));
    expect((await client.receive(expected.length)).toString("hex")).toBe(expected.toString("hex"));
  });

  test("reads the metadata of a request, and greets the first stream", async () => {
    const { health, provider, client } = await start();
    client.send(Buffer.concat([example("request"), example("watch")]));
    const message = Buffer.from("00060804200230010801", "hex");
    const expected = Buffer.concat([example("server-ping"), message]);
    // The reply and the greeting may come in either order: the handlers of both are asynchronous.
    const all = await client.receive(example("reply").length + expected.length);
    for (const part of [example("reply"), example("server-ping"), message]) {
      expect(all.includes(part)).toBe(true);
    }
    expect(health.metadata).toEqual(["token=t1"]);
    // With no grace at all the reset might come before the goaway.
    const closed = provider.close();
    await until(() => client.received.includes(example("goaway")), "the goaway");
    client.socket.destroy();
    await closed;
  });
});

describe("a channel", () => {
  test("understands the examples of replies, and answers as the page says", async () => {
    const server = await scriptedServer((connection, header) => {
      if (header.call_id === 0) return;
      const id = header.call_id;
      connection.send(example("server-ping"));
      // The examples with the id that the channel chose.
      const method = Buffer.from(header.method_name).toString();
      if (method === "Check") connection.send(withCallId(example("reply-error"), id));
      if (method !== "Watch") return;
      connection.send(withCallId(example("stream-message"), id));
      connection.send(withCallId(example("stream-end"), id));
    });
    const stub = new Health_Stub(openChannel(server.port));
    await expect(stub.Check({})).rejects.toMatchObject({
      code: "NOT_FOUND",
      message: "no such service",
      details: [detail],
    });
    const stream = stub.Watch({});
    const seen: unknown[] = [];
    for await (const { status } of stream) seen.push(status);
    expect(seen).toEqual([ServingStatus.SERVING]);
    expect(stream.controller.replyMetadata).toEqual(token);
    expect(stream.controller.trailingMetadata).toEqual([{ key: "n", value: Buffer.from("1") }]);
    const [connection] = server.connections;
    await until(() => connection!.received.includes(example("pong")), "the pong");
  });
});

/** A framed reply with another `call_id`: in all of them that is the first field, one byte long. */
function withCallId(frame: Buffer, callId: number): Buffer {
  const headerEnd = 2 + frame[1]!;
  const header = new ByteWriter().field(0x08, callId).raw(frame.subarray(4, headerEnd)).finish();
  return new ByteWriter().byte(0).bytes(header).raw(frame.subarray(headerEnd)).finish();
}

test("any protobuf library reads the examples of requests", () => {
  const request = example("request");
  const header = RpcHeaderCodec.decode(request.subarray(1, 1 + request[0]!));
  expect(header).toMatchObject({ args_size: 6, call_id: 1, timeout_ms: 1500 });
  expect(Buffer.from(header.service_name).toString()).toBe("Health");
});
