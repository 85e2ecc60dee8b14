import { afterEach, describe, expect, test } from "vitest";
import {
  GetReplyCodec,
  kvServerRpc_Stub,
  RpcHeaderCodec,
  type GetReply,
  type RpcHeader,
} from "../../proto/index.js";
import { ByteWriter, MprpcController, RpcStatus } from "../../rpc/index.js";
import {
  bytes,
  closeAll,
  openChannel,
  rawServer,
  settled,
  text,
  until,
  type RawServer,
  type RawSocket,
} from "./support.js";

afterEach(closeAll);

function reply(value: string): Buffer {
  const writer = new ByteWriter();
  GetReplyCodec.encode({ Err: bytes("OK"), Value: bytes(value) }, writer);
  return writer.finish();
}

/**
 * A server of the original's kind: `answer` gets each request that arrives, which it takes for a
 * whole one, as the original does.
 */
function legacyServer(
  answer: (connection: RawSocket, request: Buffer) => void,
  port = 0,
): Promise<RawServer> {
  return rawServer((connection) => {
    connection.socket.on("data", (request: Buffer) => answer(connection, request));
  }, port);
}

function headerOf(request: Buffer): RpcHeader {
  return RpcHeaderCodec.decode(request.subarray(1, 1 + request[0]!));
}

describe("MprpcChannel toward a server of revision 1", () => {
  test("it learns the revision from the first reply, and sends no new fields after it", async () => {
    const headers: RpcHeader[] = [];
    const server = await legacyServer((connection, request) => {
      headers.push(headerOf(request));
      connection.send(reply("v"));
    });
    const channel = openChannel(server.port);
    const stub = new kvServerRpc_Stub(channel);
    expect(channel.revision).toBeUndefined();
    await stub.Get({ Key: bytes("k") });
    expect(channel.revision).toBe(1);
    await stub.Get({ Key: bytes("k") });
    expect(headers.map((header) => header.call_id > 0)).toEqual([true, false]);
    expect(headers[1]).toMatchObject({ timeout_ms: 0, args_size: 3 });
  });

  test("one call is out at a time, each in one write, and all are answered", async () => {
    let outstanding = 0;
    let most = 0;
    const requests: Buffer[] = [];
    const server = await legacyServer((connection, request) => {
      requests.push(request);
      most = Math.max(most, ++outstanding);
      setImmediate(() => {
        outstanding--;
        connection.send(reply(text(request.subarray(-3))));
      });
    });
    const stub = new kvServerRpc_Stub(openChannel(server.port));
    const keys = Array.from({ length: 20 }, (_, index) => `k${index + 10}`);
    const replies = await Promise.all(keys.map((key) => stub.Get({ Key: bytes(key) })));
    expect(replies.map(({ Value }) => text(Value))).toEqual(keys);
    expect(requests).toHaveLength(20);
    expect(most).toBe(1);
    expect(server.connections).toHaveLength(1);
  });

  test("a reply that arrives in pieces is whole when it decodes (original: misread)", async () => {
    const value = "a value that is longer than one recv of the original ".repeat(100);
    const server = await legacyServer((connection) => {
      const whole = reply(value);
      const cuts = [1, 2, 3, 6, 100, 1024, whole.length];
      let from = 0;
      const next = (): void => {
        const to = cuts.shift();
        if (to === undefined) return;
        connection.send(whole.subarray(from, to));
        from = to;
        setTimeout(next, 2);
      };
      next();
    });
    const stub = new kvServerRpc_Stub(openChannel(server.port));
    expect(text((await stub.Get({})).Value)).toBe(value);
  });

  test("silence is a deadline, and the connection is not used again", async () => {
    let silent = false;
    const server = await legacyServer((connection) => {
      if (!silent) connection.send(reply("v"));
    });
    const channel = openChannel(server.port);
    const stub = new kvServerRpc_Stub(channel);
    await stub.Get({});
    silent = true;
    const late = stub.Get({ Key: bytes("late") }, { timeoutMs: 50 });
    const behind = stub.Get({ Key: bytes("behind") }, { timeoutMs: 10_000 });
    await expect(late).rejects.toMatchObject({ code: "DEADLINE_EXCEEDED" });
    // What waited behind it goes over a new connection; the old one's late reply hurts nobody.
    silent = false;
    await until(() => server.connections.length === 2, "a second connection");
    server.connections[0]!.send(reply("meant for late"));
    server.connections[1]!.send(reply("meant for behind"));
    expect(["v", "meant for behind"]).toContain(text((await behind).Value));
  });

  test("an empty reply can't be seen: it is a deadline as well", async () => {
    const server = await legacyServer((connection) => connection.send(Buffer.alloc(0)));
    const stub = new kvServerRpc_Stub(openChannel(server.port));
    await expect(stub.OpenSession({}, { timeoutMs: 50 })).rejects.toMatchObject({
      code: "DEADLINE_EXCEEDED",
    });
  });

  test.each([
    ["FIN", (connection: RawSocket) => connection.socket.end()],
    ["RST", (connection: RawSocket) => connection.socket.resetAndDestroy()],
    ["FIN after half a reply", (connection: RawSocket) => connection.socket.end(Buffer.of(0x0a))],
  ])("a server that answers with a %s: an error, never an empty reply", async (_name, close) => {
    const server = await legacyServer(close);
    const stub = new kvServerRpc_Stub(openChannel(server.port));
    const controller = new MprpcController();
    await expect(stub.Get({}, controller)).rejects.toMatchObject({ code: "UNAVAILABLE" });
    expect(controller.status).toBe(RpcStatus.UNAVAILABLE);
    expect(controller.notSent).toBe(false);
  });

  test.each([
    ["bytes that are no message", Buffer.of(0x07, 0x07)],
    ["a message of another type", Buffer.of(0x0a, 0x00, 0x10)],
  ])("%s: an error", async (_name, garbage) => {
    const server = await legacyServer((connection) => connection.socket.end(garbage));
    const stub = new kvServerRpc_Stub(openChannel(server.port));
    await expect(stub.Get({})).rejects.toMatchObject({ code: "UNAVAILABLE" });
  });

  test("a reply that nobody asked for ends the connection", async () => {
    const server = await legacyServer((connection) => connection.send(reply("v")));
    const channel = openChannel(server.port);
    const stub = new kvServerRpc_Stub(channel);
    await stub.Get({});
    const lost = new Promise((resolve) => (channel.onConnectionLost = resolve));
    server.connections[0]!.send(reply("unasked"));
    expect(String(await lost)).toContain("nobody asked for");
    expect(text((await stub.Get({})).Value)).toBe("v");
    expect(server.connections).toHaveLength(2);
  });

  test("a call that is canceled ends the connection, and the next call gets its own reply", async () => {
    const held: RawSocket[] = [];
    const server = await legacyServer((connection, request) => {
      if (text(request).includes("held")) held.push(connection);
      else connection.send(reply("own"));
    });
    const stub = new kvServerRpc_Stub(openChannel(server.port));
    await stub.Get({});
    const controller = new MprpcController();
    const canceled = stub.Get({ Key: bytes("held") }, controller);
    await until(() => held.length === 1, "the request arrived");
    controller.startCancel();
    const next: Promise<GetReply> = stub.Get({});
    await expect(canceled).rejects.toMatchObject({ code: "CANCELLED" });
    held[0]!.send(reply("of the canceled one"));
    expect(text((await next).Value)).toBe("own");
    await settled();
    expect(held[0]!.ending).not.toBe("open");
  });
});
