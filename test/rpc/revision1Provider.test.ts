import { readFileSync } from "node:fs";
import { Socket } from "node:net";
import { afterEach, describe, expect, test, vi } from "vitest";
import {
  GetArgsCodec,
  GetReplyCodec,
  PutAppendArgsCodec,
  type GetArgs,
  type PutAppendArgs,
} from "../../proto/index.js";
import { ByteWriter, RpcStatus } from "../../rpc/index.js";
import {
  bytes,
  closeAll,
  deferred,
  frame,
  hex,
  legacyFrame,
  rawClient,
  settled,
  startProvider,
  text,
  until,
} from "./support.js";

afterEach(async () => {
  vi.restoreAllMocks();
  await closeAll();
});

function get(request: GetArgs.$Properties): Buffer {
  const writer = new ByteWriter();
  GetArgsCodec.encode(request, writer);
  return legacyFrame("Get", writer.finish());
}

function replyOf(value: Uint8Array): Buffer {
  const writer = new ByteWriter();
  GetReplyCodec.encode({ Err: bytes("OK"), Value: value }, writer);
  return writer.finish();
}

/** Every write of the process to the caller at `peerPort`. */
function watchWrites(): (peerPort: number) => Buffer[] {
  const write = vi.spyOn(Socket.prototype, "write");
  return (peerPort) =>
    write.mock.calls.flatMap(([data], index) => {
      const socket = write.mock.contexts[index];
      const toPeer = socket instanceof Socket && socket.remotePort === peerPort;
      return toPeer && Buffer.isBuffer(data) ? [Buffer.from(data)] : [];
    });
}

const everyByte = Uint8Array.from({ length: 256 }, (_, index) => index);

describe("RpcProvider toward a caller of revision 1", () => {
  test.each([
    ["0 bytes", new Uint8Array(0)],
    ["every byte value", everyByte],
    ["1 MiB", new Uint8Array(1 << 20).fill(0xa5)],
  ])("a value of %s comes back as the bare reply, in one write", async (_name, value) => {
    const { port } = await startProvider();
    const client = await rawClient(port);
    const writes = watchWrites();
    const expected = replyOf(value);
    client.send(get({ Key: value }));
    const received = await client.receive(expected.length);
    expect(received.equals(expected)).toBe(true);
    const sent = writes(client.socket.localPort!);
    expect(sent.map((data) => data.length)).toEqual([expected.length]);
  });

  test("the original's own request gets the original's own reply", async () => {
    interface WireVector {
      readonly method: string;
      readonly requestHex: string;
      readonly responseHex: string | null;
    }
    const { vectors } = JSON.parse(readFileSync("test/interop/vectors/wire.json", "utf8")) as {
      vectors: WireVector[];
    };
    const vector = vectors.find(({ method }) => method === "PutAppend")!;
    const { port, service } = await startProvider();
    const seen: PutAppendArgs[] = [];
    service.put = (request, controller) => {
      seen.push(request);
      expect(controller.revision).toBe(1);
      return { Err: bytes("OK") };
    };
    const client = await rawClient(port);
    client.send(hex(vector.requestHex));
    const expected = hex(vector.responseHex!);
    expect(await client.receive(expected.length)).toEqual(expected);
    expect(seen).toHaveLength(1);
    expect(text(seen[0]!.Key)).toBe("x");
    expect(seen[0]!.RequestId).toBe(1);
  });

  test("a request that arrives one byte at a time is answered (original: dropped)", async () => {
    const { port } = await startProvider();
    const client = await rawClient(port);
    for (const byte of get({ Key: everyByte })) {
      client.send(Buffer.of(byte));
      await new Promise((resolve) => setImmediate(resolve));
    }
    const expected = replyOf(everyByte);
    expect(await client.receive(expected.length)).toEqual(expected);
  });

  test("two requests in one write: two replies, in order, as two writes (original: one)", async () => {
    const { port, service } = await startProvider();
    const first = deferred();
    const finished: string[] = [];
    service.get = async (request) => {
      const name = text(request.Key);
      if (name === "first") await first.promise;
      finished.push(name);
      return { Err: bytes("OK"), Value: request.Key };
    };
    const client = await rawClient(port);
    const writes = watchWrites();
    client.send(Buffer.concat([get({ Key: bytes("first") }), get({ Key: bytes("second") })]));
    // Both were started at once, and the second is ready before the first.
    await until(() => finished.length === 1, "the second call is done");
    await settled();
    expect(client.receivedBytes).toBe(0);
    first.resolve();
    const expected = [replyOf(bytes("first")), replyOf(bytes("second"))];
    const all = Buffer.concat(expected);
    expect(await client.receive(all.length)).toEqual(all);
    expect(writes(client.socket.localPort!)).toEqual(expected);
  });

  test("replies that are ready at once still go out one by one", async () => {
    const { port } = await startProvider();
    const client = await rawClient(port);
    const writes = watchWrites();
    const keys = ["a", "bb", "ccc", "dddd"];
    client.send(Buffer.concat(keys.map((key) => get({ Key: bytes(key) }))));
    const expected = keys.map((key) => replyOf(bytes(key)));
    await client.receive(Buffer.concat(expected).length);
    await settled();
    expect(writes(client.socket.localPort!)).toEqual(expected);
  });

  test("what follows a request that can't be answered is not carried out", async () => {
    const { port, service } = await startProvider();
    const first = deferred();
    service.get = async () => {
      await first.promise;
      return { Err: bytes("OK") };
    };
    const put = vi.spyOn(service, "put");
    const client = await rawClient(port);
    const nothing = new Uint8Array(0);
    client.send(
      Buffer.concat([get({}), legacyFrame("Nothing", nothing), legacyFrame("PutAppend", nothing)]),
    );
    await settled();
    first.resolve();
    await client.ended();
    expect(put).not.toHaveBeenCalled();
  });

  test.each([
    ["an unknown method", legacyFrame("Nothing", new Uint8Array(0))],
    ["an unknown service", frame({ service_name: bytes("no"), method_name: bytes("Get") })],
    ["arguments that don't parse", legacyFrame("Get", hex("0a7f00"))],
    ["a reply of no bytes", legacyFrame("OpenSession", new Uint8Array(0))],
    ["a handler that throws", legacyFrame("Status", new Uint8Array(0))],
  ])("%s: a reset, never silence and never a FIN", async (_name, request) => {
    const { port } = await startProvider();
    const client = await rawClient(port);
    client.send(request);
    expect(await client.ended()).toBe("RST");
    expect(client.receivedBytes).toBe(0);
  });

  test("a failed call resets only after the replies before it have gone out", async () => {
    const { port, service } = await startProvider();
    const first = deferred();
    service.get = async (request) => {
      await first.promise;
      return { Err: bytes("OK"), Value: request.Key };
    };
    const reset = vi.spyOn(Socket.prototype, "resetAndDestroy");
    const client = await rawClient(port);
    client.send(
      Buffer.concat([get({ Key: bytes("first") }), legacyFrame("Nothing", new Uint8Array(0))]),
    );
    await settled();
    expect(client.ending).toBe("open");
    first.resolve();
    // The client's own event loop tells this reset as an end, since it comes right after data.
    await client.ended();
    expect(reset).toHaveBeenCalledTimes(1);
    expect(client.received).toEqual(replyOf(bytes("first")));
  });

  test("a status that the handler sets is a reset too", async () => {
    const { port, service } = await startProvider();
    service.get = (_request, controller) => {
      controller.setFailed("not today", RpcStatus.UNAVAILABLE);
      return {};
    };
    const client = await rawClient(port);
    client.send(get({}));
    expect(await client.ended()).toBe("RST");
  });

  test("a request over the limit: a reset at once, without waiting for its bytes", async () => {
    const { port } = await startProvider({ requestBytesMax: 1000 });
    const client = await rawClient(port);
    const header = { service_name: bytes("kvServerRpc"), method_name: bytes("Get") };
    client.send(frame({ ...header, args_size: 1001 }));
    expect(await client.ended()).toBe("RST");
  });

  test.each([
    ["idle and silent", Buffer.alloc(0), 0],
    ["idle after a call", get({ Key: bytes("k") }), replyOf(bytes("k")).length],
  ])("a connection that is %s ends with a reset when the provider closes", async (...row) => {
    const [, request, replyBytes] = row;
    const { port, provider } = await startProvider();
    const client = await rawClient(port);
    await until(() => provider.connections === 1, "the provider has accepted");
    client.send(request);
    await client.receive(replyBytes);
    await provider.close(1000);
    expect(await client.ended()).toBe("RST");
  });

  test("a caller that closes its half still gets its replies", async () => {
    const { port } = await startProvider();
    const client = await rawClient(port);
    client.socket.end(get({ Key: bytes("k") }));
    expect(await client.receive(1)).toEqual(replyOf(bytes("k")));
  });

  test("a caller that closed its half is not waited for without end", async () => {
    const { port, service, provider } = await startProvider({ halfClosedTimeoutMs: 50 });
    const canceled = deferred();
    service.get = (_request, controller) => {
      controller.notifyOnCancel(() => canceled.resolve());
      return new Promise(() => {});
    };
    const client = await rawClient(port);
    // A request that is refused behind one that runs: what the first fuzzing run met.
    client.socket.end(
      Buffer.concat([get({ Key: bytes("k") }), legacyFrame("Nothing", Buffer.alloc(0))]),
    );
    expect(await client.ended()).toBe("RST");
    await canceled.promise;
    await until(() => provider.connections === 0, "the provider has forgotten the caller");
  });

  test("garbage ends the connection with a reset, and is reported", async () => {
    const { port, errors } = await startProvider();
    const client = await rawClient(port);
    client.send(
      Buffer.from(
        "GET / HTTP/1.1\r\nHost: example.org\r\nUser-Agent: a browser that took the wrong port\r\n\r\n",
      ),
    );
    expect(await client.ended()).toBe("RST");
    expect(errors).toHaveLength(1);
  });

  test("unknown fields in header and arguments are skipped", async () => {
    const { port, service } = await startProvider();
    service.put = (request) => ({ Err: request.Value });
    const writer = new ByteWriter();
    PutAppendArgsCodec.encode({ Key: bytes("k"), Value: bytes("v") }, writer);
    const unknown = Buffer.concat([hex("fa3e90 4e".replace(" ", "")), Buffer.alloc(10_000)]);
    const args = Buffer.concat([unknown, writer.finish()]);
    const client = await rawClient(port);
    client.send(legacyFrame("PutAppend", args));
    expect(await client.receive(3)).toEqual(hex("0a0176"));
  });
});
