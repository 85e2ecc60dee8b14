import { afterEach, describe, expect, test } from "vitest";
import {
  GetArgsCodec,
  kvServerRpc_Stub,
  RpcReplyHeaderCodec,
  type RpcHeader,
} from "../../proto/index.js";
import { ByteWriter, RpcStatus } from "../../rpc/index.js";
import {
  bytes,
  closeAll,
  deferred,
  frame,
  openChannel,
  rawClient,
  rawServer,
  settled,
  startProvider,
  text,
  until,
} from "./support.js";

afterEach(closeAll);

const header: RpcHeader.$Properties = {
  service_name: bytes("kvServerRpc"),
  method_name: bytes("Get"),
};

function get(callId: number, key: Uint8Array): Buffer {
  const args = new ByteWriter();
  GetArgsCodec.encode({ Key: key }, args);
  return frame({ ...header, call_id: callId }, args.finish());
}

/** The status of each reply in `stream`, by call. */
function statuses(stream: Buffer): Map<number, number> {
  const found = new Map<number, number>();
  for (let position = 0; position < stream.length;) {
    expect(stream[position]).toBe(0);
    const headerSize = stream[position + 1]!;
    const start = position + 2;
    const reply = RpcReplyHeaderCodec.decode(stream.subarray(start, start + headerSize));
    found.set(reply.call_id, reply.status);
    position = start + headerSize + reply.reply_size;
  }
  return found;
}

describe("limits of a provider", () => {
  test("connections: one too many is reset, the others go on", async () => {
    const { port, provider } = await startProvider({ connectionsMax: 2 });
    const first = await rawClient(port);
    await rawClient(port);
    await until(() => provider.connections === 2, "both are accepted");
    const third = await rawClient(port);
    expect(await third.ended()).toBe("RST");
    first.socket.destroy();
    await until(() => provider.connections === 1, "there is room again");
    const fourth = await rawClient(port);
    fourth.send(get(1, bytes("k")));
    await fourth.receive(1);
    expect(fourth.ending).toBe("open");
  });

  test("calls in flight: the provider reads no further until one is done", async () => {
    const { port, service } = await startProvider({ callsInFlightMax: 3 });
    const gates: (() => void)[] = [];
    let running = 0;
    let most = 0;
    service.get = async () => {
      most = Math.max(most, ++running);
      const gate = deferred();
      gates.push(gate.resolve);
      await gate.promise;
      running--;
      return {};
    };
    const client = await rawClient(port);
    const ids = Array.from({ length: 20 }, (_, index) => index + 1);
    client.send(Buffer.concat(ids.map((id) => get(id, bytes("k")))));
    for (const id of ids) {
      await until(() => gates.length >= id, `call ${id} is running`);
      await settled();
      expect(gates.length).toBeLessThanOrEqual(id + 2);
      gates[id - 1]!();
    }
    await until(() => statuses(client.received).size === 20, "all replies");
    expect(most).toBe(3);
  });

  test("arguments over the limit are skipped without being kept, in whatever pieces", async () => {
    const { port } = await startProvider({ requestBytesMax: 1000 });
    const client = await rawClient(port);
    const stream = Buffer.concat([
      get(1, bytes("before")),
      get(2, new Uint8Array(1 << 20)),
      get(3, bytes("after")),
    ]);
    for (let at = 0; at < stream.length; at += 50_000)
      client.send(stream.subarray(at, at + 50_000));
    await until(() => statuses(client.received).size === 3, "three replies");
    expect(statuses(client.received)).toEqual(
      new Map<number, number>([
        [1, RpcStatus.OK],
        [2, RpcStatus.RESOURCE_EXHAUSTED],
        [3, RpcStatus.OK],
      ]),
    );
  });

  test("a header over the limit: the connection is reset", async () => {
    const { port } = await startProvider({ headerBytesMax: 100 });
    const client = await rawClient(port);
    client.send(
      frame({ ...header, call_id: 1, metadata: [{ key: "k", value: new Uint8Array(100) }] }),
    );
    expect(await client.ended()).toBe("RST");
  });

  test("a request that never becomes whole: the connection is reset, idle ones are not", async () => {
    const { port, errors } = await startProvider({ frameTimeoutMs: 50 });
    const idle = await rawClient(port);
    idle.send(get(1, bytes("k")));
    await idle.receive(1);
    const halves = [1, 10, 25].map(async (size) => {
      const client = await rawClient(port);
      client.send(get(1, bytes("key")).subarray(0, size));
      return client.ended();
    });
    expect(await Promise.all(halves)).toEqual(["RST", "RST", "RST"]);
    expect(idle.ending).toBe("open");
    expect(errors.map(({ message }) => message)).toContain("a request never became whole");
  });

  test("a caller that reads nothing: reading stops, memory is bounded, and it is let go", async () => {
    const { port, service, provider } = await startProvider({
      outputBytesMax: 1 << 20,
      callsInFlightMax: 16,
      slowReaderTimeoutMs: 300,
    });
    const value = new Uint8Array(100_000);
    let calls = 0;
    service.get = () => {
      calls++;
      return { Value: value };
    };
    const client = await rawClient(port);
    client.socket.pause();
    const before = process.memoryUsage().arrayBuffers;
    for (let id = 1; id <= 2000; id++) client.send(get(id, bytes("k")));
    await until(() => calls > 0, "the provider has begun");
    await until(() => provider.connections === 0, "the provider has let it go");
    // 2,000 replies would be 200 MB; what the kernel took of them is not ours.
    expect(calls).toBeLessThan(500);
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(64 << 20);
  });

  test("a caller that reads slowly gets everything", async () => {
    const { port, service } = await startProvider({ outputBytesMax: 1 << 20 });
    service.get = () => ({ Value: new Uint8Array(100_000) });
    const client = await rawClient(port);
    const count = 100;
    for (let id = 1; id <= count; id++) client.send(get(id, bytes("k")));
    for (let round = 0; round < 10; round++) {
      client.socket.pause();
      await settled();
      client.socket.resume();
      await settled();
    }
    // 8 bytes of header and 4 of the field's tag and length before each value.
    await until(() => client.receivedBytes >= count * 100_012, "all replies");
    expect(statuses(client.received).size).toBe(count);
  });
});

describe("limits of a channel", () => {
  test("the window is never passed, and what waits is sent in order", async () => {
    const { port, service } = await startProvider();
    const channel = openChannel(port, { callsInFlightMax: 4 });
    const stub = new kvServerRpc_Stub(channel);
    await stub.Get({});
    const started: string[] = [];
    let running = 0;
    let most = 0;
    service.get = async (request) => {
      started.push(text(request.Key));
      most = Math.max(most, ++running);
      await settled();
      running--;
      return {};
    };
    const keys = Array.from({ length: 30 }, (_, index) => `${index}`);
    await Promise.all(keys.map((key) => stub.Get({ Key: bytes(key) })));
    expect(started).toEqual(keys);
    expect(most).toBe(4);
  });

  test("calls beyond the queue fail at once, and were not sent", async () => {
    const { port, service } = await startProvider();
    const gate = deferred();
    service.get = async () => {
      await gate.promise;
      return {};
    };
    const stub = new kvServerRpc_Stub(
      openChannel(port, { callsInFlightMax: 2, callsQueuedMax: 3 }),
    );
    const outcomes = Array.from({ length: 10 }, () =>
      stub.Get({}).then(
        () => "OK",
        (error: { code: string }) => error.code,
      ),
    );
    expect(await Promise.race(outcomes)).toBe("RESOURCE_EXHAUSTED");
    gate.resolve();
    const all = await Promise.all(outcomes);
    expect(all.filter((outcome) => outcome === "OK")).toHaveLength(3);
    expect(all.filter((outcome) => outcome === "RESOURCE_EXHAUSTED")).toHaveLength(7);
  });

  test("calls that were canceled in the queue make room in it", async () => {
    const { port, service } = await startProvider();
    const gate = deferred();
    service.get = async () => {
      await gate.promise;
      return {};
    };
    const stub = new kvServerRpc_Stub(openChannel(port, { callsQueuedMax: 4 }));
    const running = stub.Get({});
    for (let round = 0; round < 20; round++) {
      const abort = new AbortController();
      const waiting = stub.Get({}, { signal: abort.signal });
      abort.abort();
      await expect(waiting).rejects.toMatchObject({ code: "CANCELLED" });
    }
    gate.resolve();
    await running;
  });

  test("a server that reads nothing: output is bounded, and deadlines still hold", async () => {
    const server = await rawServer(({ socket }) => {
      // It answers the first call as revision 2 would, and never reads again.
      socket.once("data", () => {
        const reply = new ByteWriter();
        RpcReplyHeaderCodec.encode({ call_id: 1024, status: 5 }, reply);
        socket.write(new ByteWriter().byte(0).bytes(reply.finish()).finish());
        socket.pause();
      });
    });
    const channel = openChannel(server.port, { outputBytesMax: 1 << 20 });
    const stub = new kvServerRpc_Stub(channel);
    await expect(stub.Get({})).rejects.toMatchObject({ code: "NOT_FOUND" });
    const before = process.memoryUsage().arrayBuffers;
    const key = new Uint8Array(100_000);
    const calls = Array.from({ length: 1000 }, () =>
      stub.Get({ Key: key }, { timeoutMs: 200 }).catch((error: { code: string }) => error.code),
    );
    expect(new Set(await Promise.all(calls))).toEqual(new Set(["DEADLINE_EXCEEDED"]));
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(64 << 20);
  });
});
