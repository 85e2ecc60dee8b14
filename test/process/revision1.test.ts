import { connect, type Socket } from "node:net";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Clerk } from "../../clerk/index.js";
import {
  GetArgsCodec,
  GetReplyCodec,
  kvServerRpcMethods,
  PutAppendArgsCodec,
  PutAppendReplyCodec,
} from "../../proto/index.js";
import { ByteWriter } from "../../rpc/byteWriter.js";
import { MprpcChannel } from "../../rpc/mprpcChannel.js";
import { MprpcController } from "../../rpc/mprpcController.js";
import type { Codec } from "../../rpc/service.js";
import { eventually } from "../eventually.js";
import { Cluster } from "./cluster.js";

/** A client that knows nothing but the wire of DESIGN.md §4.1, against real nodes. */

function encode<T, Init>(codec: Codec<T, Init>, message: Init): Buffer {
  const writer = new ByteWriter();
  codec.encode(message, writer);
  return writer.finish();
}

function varint(value: number): number[] {
  return value < 0x80 ? [value] : [(value & 0x7f) | 0x80, ...varint(value >>> 7)];
}

function field(number: number, bytes: Buffer): Buffer {
  return Buffer.concat([Buffer.from([(number << 3) | 2, ...varint(bytes.length)]), bytes]);
}

function frame(method: string, args: Buffer): Buffer {
  const header = Buffer.concat([
    field(1, Buffer.from("kvServerRpc")),
    field(2, Buffer.from(method)),
    Buffer.from([0x18, ...varint(args.length)]),
  ]);
  return Buffer.concat([Buffer.from(varint(header.length)), header, args]);
}

class LegacyClient {
  private readonly socket: Socket;
  private received = Buffer.alloc(0);
  private wake: () => void = () => {};

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.on("data", (chunk: Buffer) => {
      this.received = Buffer.concat([this.received, chunk]);
      this.wake();
    });
    socket.on("error", () => this.wake());
  }

  static async open(port: number): Promise<LegacyClient> {
    const socket = connect({ host: "127.0.0.1", port, noDelay: true });
    await new Promise((resolve, reject) => socket.once("connect", resolve).once("error", reject));
    return new LegacyClient(socket);
  }

  write(bytes: Buffer): void {
    this.socket.write(bytes);
  }

  /** The next reply, whose length the wire does not tell but the caller knows. */
  async take(length: number): Promise<Buffer> {
    while (this.received.length < length)
      await new Promise<void>((resolve) => {
        this.wake = resolve;
      });
    const reply = this.received.subarray(0, length);
    this.received = this.received.subarray(length);
    return reply;
  }

  close(): void {
    this.socket.destroy();
  }
}

const okReply = Buffer.from("0a024f4b", "hex");
const wrongLeader = "ErrWrongLeader";

let cluster: Cluster;
let clerk: Clerk;
let leader: number;
let requestId = 0;

beforeAll(async () => {
  // This client reads more at once than the original.
  cluster = await Cluster.create(3, ["revision1ReplyBytesMax=2097152"]);
  cluster.startAll();
  clerk = new Clerk(cluster.nodes);
  leader = await eventually("a leader", async () => {
    const states = await clerk.status({ timeoutMs: 500 });
    const id = states.findIndex(({ status }) => status?.Role === "leader");
    return id >= 0 && `${id}`;
  }).then(Number);
});

afterAll(async () => {
  await clerk.close();
  await cluster.destroy();
});

function putAppend(op: string, key: string, value: Buffer): Buffer {
  requestId++;
  const args = {
    Key: Buffer.from(key),
    Value: value,
    Op: Buffer.from(op),
    ClientId: Buffer.from("17146369151681692777"),
    RequestId: requestId,
  };
  return frame("PutAppend", encode(PutAppendArgsCodec, args));
}

function getFrame(key: string): Buffer {
  return frame("Get", encode(GetArgsCodec, { Key: Buffer.from(key), RequestId: ++requestId }));
}

function getReply(value: Buffer): Buffer {
  return encode(GetReplyCodec, { Err: Buffer.from("OK"), Value: value });
}

const allBytes = Buffer.from(Array.from({ length: 256 }, (_, i) => i));

describe("a revision-1 client", () => {
  it.each([
    ["no bytes", Buffer.alloc(0)],
    ["every byte value", allBytes],
    ["1 MiB", Buffer.alloc(1 << 20, allBytes)],
  ])("puts and gets a value of %s", async (name, value) => {
    const client = await LegacyClient.open(cluster.ports[leader]!);
    client.write(putAppend("Put", name, value));
    expect(await client.take(okReply.length)).toEqual(okReply);
    client.write(getFrame(name));
    const { Err, Value } = GetReplyCodec.decode(await client.take(getReply(value).length));
    expect(Buffer.from(Err).toString()).toBe("OK");
    expect(value.equals(Value)).toBe(true);
    client.close();
  });

  it("appends, and is served when its request arrives one byte at a time", async () => {
    const client = await LegacyClient.open(cluster.ports[leader]!);
    for (const byte of putAppend("Append", "slow", Buffer.from("ab"))) {
      client.write(Buffer.from([byte]));
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(await client.take(okReply.length)).toEqual(okReply);
    client.write(putAppend("Append", "slow", Buffer.from("cd")));
    await client.take(okReply.length);
    expect(await clerk.getString("slow")).toBe("abcd");
    client.close();
  });

  it("gets both answers, in order, to two requests in one write", async () => {
    const client = await LegacyClient.open(cluster.ports[leader]!);
    client.write(Buffer.concat([putAppend("Put", "two", Buffer.from("v")), getFrame("slow")]));
    expect(await client.take(okReply.length)).toEqual(okReply);
    const reply = await client.take(getReply(Buffer.from("abcd")).length);
    expect(Buffer.from(GetReplyCodec.decode(reply).Value).toString()).toBe("abcd");
    client.close();
  });

  it("hears ErrWrongLeader from a follower", async () => {
    const client = await LegacyClient.open(cluster.ports[(leader + 1) % 3]!);
    client.write(putAppend("Put", "x", Buffer.from("v")));
    const expected = encode(PutAppendReplyCodec, {
      Err: Buffer.from(wrongLeader),
      LeaderHint: leader + 1,
    });
    const reply = PutAppendReplyCodec.decode(await client.take(expected.length));
    expect(Buffer.from(reply.Err).toString()).toBe(wrongLeader);
    client.close();
  });
});

describe("a request over the limit", () => {
  it("is refused by status, and nothing else on its connection is hurt", async () => {
    const channel = new MprpcChannel({
      host: "127.0.0.1",
      port: cluster.ports[leader]!,
      requestBytesMax: 64 << 20,
    });
    const put = (bytes: number): Promise<MprpcController> => {
      const controller = new MprpcController({ timeoutMs: 20_000 });
      const request = {
        Key: Buffer.from("big"),
        Value: Buffer.alloc(bytes),
        Op: Buffer.from("Put"),
      };
      return new Promise((resolve) =>
        channel.callMethod(kvServerRpcMethods.PutAppend, controller, request, () =>
          resolve(controller),
        ),
      );
    };
    await put(1);
    const [small, large, other] = await Promise.all([put(10), put(5 << 20), put(20)]);
    expect(small.failed() || other.failed()).toBe(false);
    expect(large.error().code).toBe("RESOURCE_EXHAUSTED");
    expect(large.errorText()).toContain("requestBytesMax");
    channel.close();
  });

  it("is refused by the Clerk before it is sent", async () => {
    await expect(clerk.put("big", Buffer.alloc(5 << 20))).rejects.toMatchObject({
      code: "TOO_LARGE",
      mayHaveHappened: false,
    });
  });
});
