import { afterEach, describe, expect, test } from "vitest";
import { GetReplyCodec, kvServerRpc_Stub, RpcReplyHeaderCodec } from "../../proto/index.js";
import { rpcLimits } from "../../config/options.js";
import { ByteWriter } from "../../rpc/index.js";
import { goAwayFlag, replyPingFlag } from "../../rpc/framing.js";
import { replyFrame, scriptedServer } from "./scripted.js";
import { bytes, closeAll, openChannel, rawServer, text, until, type RawSocket } from "./support.js";

/** What a server may do to a channel: its calls end with the right status, and memory is bounded. */

afterEach(closeAll);

const MiB = 1 << 20;
const beyond = (replyBytesMax: number) => ({
  code: "RESOURCE_EXHAUSTED",
  message: expect.stringMatching(
    new RegExp(`^the reply takes \\d+ bytes; replyBytesMax is ${replyBytesMax}$`),
  ) as string,
});

/** The header of a frame whose body it only promises. */
function announced(callId: number, replySize: number): Buffer {
  const header = new ByteWriter();
  RpcReplyHeaderCodec.encode({ call_id: callId, reply_size: replySize }, header);
  return new ByteWriter().byte(0).bytes(header.finish()).finish();
}

function legacyReply(size: number): Buffer {
  const writer = new ByteWriter();
  GetReplyCodec.encode({ Value: new Uint8Array(size) }, writer);
  return writer.finish();
}

/** A server of revision 1: the n-th request of all gets what `answer` says. */
async function legacyServer(answer: (connection: RawSocket, n: number) => void) {
  let n = 0;
  return rawServer((connection) => connection.socket.on("data", () => answer(connection, n++)));
}

describe("a reply beyond the limit", () => {
  test("revision 2: that call fails, whether its bytes come or not, the others go on", async () => {
    const held: number[] = [];
    const server = await scriptedServer((connection, { call_id }, n) => {
      if (n === 0) connection.send(replyFrame({ call_id }));
      else held.push(call_id);
    });
    const channel = openChannel(server.port, { replyBytesMax: MiB });
    const stub = new kvServerRpc_Stub(channel);
    await stub.Get({});
    const calls = Promise.allSettled([stub.Get({}), stub.Get({}), stub.Get({})]);
    await until(() => held.length === 3, "all have arrived");
    const [connection] = server.connections;
    const before = process.memoryUsage().arrayBuffers;
    const part = Buffer.alloc(MiB);
    connection!.send(announced(held[0]!, 256 * MiB));
    for (let sent = 0; sent < 256; sent++) connection!.send(part);
    connection!.send(replyFrame({ call_id: held[1]! }));
    connection!.send(announced(held[2]!, 0xffff_ffff));
    const failed = { status: "rejected", reason: beyond(MiB) };
    expect(await calls).toMatchObject([failed, { status: "fulfilled" }, failed]);
    // Of the 256 MiB what has not been collected yet.
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(128 * MiB);
    expect(channel.state).toBe("ready");
  });

  test.each([
    ["whole, in one piece", legacyReply(5_000)],
    ["announced and never sent", Buffer.from("0affffffff0f", "hex")],
    ["announced within a group", Buffer.from("0b12ffffffff0f", "hex")],
    ["without an announcement", Buffer.alloc(8_000, "1801")],
  ])("revision 1, %s: the same status, and the next call has a new connection", async (...row) => {
    const server = await legacyServer((connection, n) => {
      connection.send(n === 1 ? row[1] : legacyReply(10));
    });
    const channel = openChannel(server.port, { replyBytesMax: 1_000 });
    const stub = new kvServerRpc_Stub(channel);
    await stub.Get({});
    const large = stub.Get({}, { timeoutMs: 60_000 });
    const behind = stub.Get({});
    await expect(large).rejects.toMatchObject(beyond(1_000));
    expect((await behind).Value).toHaveLength(10);
    expect(server.connections).toHaveLength(2);
  });

  test("revision 1, to the first call of all: no reason to back off", async () => {
    const server = await legacyServer((connection, n) => {
      connection.send(n === 0 ? legacyReply(5_000) : legacyReply(10));
    });
    const options = { replyBytesMax: 1_000, backoffMsMin: 60_000, backoffMsMax: 60_000 };
    const stub = new kvServerRpc_Stub(openChannel(server.port, options));
    await expect(stub.Get({})).rejects.toMatchObject(beyond(1_000));
    expect((await stub.Get({})).Value).toHaveLength(10);
  });
});

describe("a header beyond the limit", () => {
  test("ends the connection, and all calls on it with UNAVAILABLE", async () => {
    const server = await scriptedServer((connection, { call_id }, n) => {
      const metadata = [{ key: "k", value: new Uint8Array(n === 2 ? 2_000 : 10) }];
      if (n !== 1) connection.send(replyFrame({ call_id, metadata }));
    });
    const channel = openChannel(server.port, { headerBytesMax: 1_000 });
    const stub = new kvServerRpc_Stub(channel);
    await stub.Get({});
    const calls = await Promise.allSettled([stub.Get({}), stub.Get({})]);
    for (const call of calls) {
      expect(call).toMatchObject({
        reason: {
          code: "UNAVAILABLE",
          message: expect.stringContaining("sent garbage: a header is larger than 1000") as string,
        },
      });
    }
    await stub.Get({});
    expect(server.connections).toHaveLength(2);
  });
});

describe("a reply that comes in very small pieces", () => {
  test("of revision 2 and never whole: the connection is given up, whatever trickles", async () => {
    const server = await scriptedServer((connection, { call_id }, n) => {
      if (n === 0 || server.connections.length > 1) connection.send(replyFrame({ call_id }));
      else connection.send(announced(call_id, MiB));
    });
    const channel = openChannel(server.port, { frameTimeoutMs: 100 });
    const stub = new kvServerRpc_Stub(channel);
    await stub.Get({});
    const drip = setInterval(() => server.connections[0]!.send(Buffer.of(0)), 5);
    try {
      await expect(stub.Get({}, { timeoutMs: 60_000 })).rejects.toMatchObject({
        code: "UNAVAILABLE",
        message: expect.stringContaining("began a reply that never became whole") as string,
      });
    } finally {
      clearInterval(drip);
    }
    await stub.Get({});
  });

  test("of revision 1, with a group around it: each piece is looked at once", async () => {
    // Looked at from the start again, 4,000 pieces would take minutes.
    const inner = Buffer.alloc(4_000_000, Buffer.from("1801", "hex"));
    const whole = Buffer.concat([Buffer.from("a306", "hex"), inner, Buffer.from("a406", "hex")]);
    const server = await legacyServer(({ socket }) => {
      let at = 0;
      const next = (): void => {
        if (at >= whole.length) return;
        socket.write(whole.subarray(at, (at += 1_000)));
        setImmediate(next);
      };
      next();
    });
    const stub = new kvServerRpc_Stub(openChannel(server.port));
    expect(text((await stub.Get({})).Value)).toBe("");
  });
});

describe("a server that wants something of its callers", () => {
  test("pings that it never reads the answers of take no memory", async () => {
    const ping = replyFrame({ flags: replyPingFlag });
    const flood = Buffer.alloc(500_000 * ping.length, ping);
    const server = await scriptedServer((connection, { call_id }, n) => {
      if (n > 0) return;
      connection.send(replyFrame({ call_id }));
      connection.socket.pause();
      connection.send(Buffer.concat([flood, replyFrame({ call_id: 0, flags: goAwayFlag })]));
    });
    const channel = openChannel(server.port);
    let lost = 0;
    channel.onConnectionLost = () => lost++;
    await new kvServerRpc_Stub(channel).Get({});
    await until(() => lost === 1, "all pings are read");
    server.connections[0]!.socket.resume();
    await server.connections[0]!.ended();
    const { receivedBytes } = server.connections[0]!;
    expect(receivedBytes).toBeGreaterThan(0);
    expect(receivedBytes).toBeLessThan(flood.length / 20);
  });

  test("that sends them away and answers nothing: few connections wait for it", async () => {
    const goAway = replyFrame({ flags: goAwayFlag });
    const server = await scriptedServer((connection, { call_id }, n) => {
      connection.send(n === 0 ? replyFrame({ call_id }) : goAway);
    });
    const channel = openChannel(server.port);
    const stub = new kvServerRpc_Stub(channel);
    const most = rpcLimits.retiredConnectionsMax;
    const codes: string[] = [];
    for (let round = 0; round < most + 10; round++) {
      await stub.Get({ Key: bytes("first") });
      stub.Get({}).catch(({ code }: { code: string }) => codes.push(code));
      await until(() => channel.state === "idle", "sent away");
    }
    await until(() => codes.length === 10, "the oldest have ended");
    expect(new Set(codes)).toEqual(new Set(["UNAVAILABLE"]));
    const open = server.connections.filter(({ ending }) => ending === "open");
    expect(open.length).toBeLessThanOrEqual(most + 1);
    channel.close();
  });
});
