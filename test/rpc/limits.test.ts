import { afterEach, describe, expect, test, vi } from "vitest";
import {
  GetArgsCodec,
  GetReplyCodec,
  kvServerRpc_Stub,
  RpcReplyHeaderCodec,
  type RpcHeader,
} from "../../proto/index.js";
import {
  ByteWriter,
  RpcStatus,
  type MprpcController,
  type RpcProviderOptions,
} from "../../rpc/index.js";
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

afterEach(async () => {
  vi.useRealTimers();
  await closeAll();
});

const header: RpcHeader.$Properties = {
  service_name: bytes("kvServerRpc"),
  method_name: bytes("Get"),
};

function get(callId: number, key: Uint8Array): Buffer {
  const args = new ByteWriter();
  GetArgsCodec.encode({ Key: key }, args);
  return frame({ ...header, call_id: callId }, args.finish());
}

interface Reply {
  readonly callId: number;
  readonly status: number;
  readonly body: Buffer;
}

/** The whole replies in `stream`. */
function* replies(stream: Buffer): Generator<Reply> {
  for (let position = 0; position + 2 <= stream.length;) {
    expect(stream[position]).toBe(0);
    const start = position + 2;
    const end = start + stream[position + 1]!;
    if (end > stream.length) return;
    const found = RpcReplyHeaderCodec.decode(stream.subarray(start, end));
    position = end + found.reply_size;
    if (position > stream.length) return;
    const body = stream.subarray(end, position);
    yield { callId: found.call_id, status: found.status, body };
  }
}

function replyCount(stream: Buffer): number {
  return [...replies(stream)].length;
}

/** The status of each reply in `stream`, by call. */
function statuses(stream: Buffer): Map<number, number> {
  return new Map([...replies(stream)].map(({ callId, status }) => [callId, status]));
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

  test("many requests of which each arrives in halves are not taken for one that hangs", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    const { port } = await startProvider({ frameTimeoutMs: 100 });
    const client = await rawClient(port);
    const request = get(1, bytes("key"));
    client.send(request.subarray(0, 9));
    for (let round = 1; round <= 5; round++) {
      client.send(Buffer.concat([request.subarray(9), request.subarray(0, 9)]));
      const count = round;
      await until(() => replyCount(client.received) === count, `reply ${round}`);
      vi.advanceTimersByTime(90);
      await settled();
      expect(client.ending).toBe("open");
    }
    vi.advanceTimersByTime(200);
    expect(await client.ended()).toBe("RST");
  });

  test.each<[string, number, (id: number) => number]>([
    ["small, which share a buffer", 400, () => 30_000],
    ["of all sizes, some in several writes", 250, (id) => (id % 40 === 0 ? 3 << 20 : 30_000)],
  ])("a caller that reads slowly gets all replies, unharmed: %s", async (...row) => {
    const [, count, sizeOf] = row;
    const { port, service } = await startProvider();
    let answered = 0;
    service.get = (request) => {
      answered++;
      return { Value: new Uint8Array(sizeOf(request.RequestId)).fill(request.RequestId) };
    };
    const client = await rawClient(port);
    client.socket.pause();
    for (let id = 1; id <= count; id++) {
      const args = new ByteWriter();
      GetArgsCodec.encode({ RequestId: id }, args);
      client.send(frame({ ...header, call_id: id }, args.finish()));
      await new Promise((resolve) => setImmediate(resolve));
    }
    await until(() => answered > count / 2, "more is answered than the kernel takes");
    client.socket.resume();
    await until(() => answered === count && replyCount(client.received) === count, "all replies");
    for (const { callId, body } of replies(client.received)) {
      const { Value } = GetReplyCodec.decode(body);
      const intact = Buffer.from(Value).equals(Buffer.alloc(sizeOf(callId), callId));
      expect([callId, intact]).toEqual([callId, true]);
    }
  });
});

/** A provider whose PutAppend waits for the gate, and a client of it. */
async function held(options: RpcProviderOptions = {}) {
  const running = await startProvider(options);
  const gate = deferred();
  const controllers: MprpcController[] = [];
  running.service.put = async (_request, controller) => {
    controllers.push(controller);
    await gate.promise;
    return {};
  };
  return { ...running, gate, controllers, client: await rawClient(running.port) };
}
describe("what becomes of a call that its caller gave up", () => {
  const put = { ...header, method_name: bytes("PutAppend") };

  test("past its deadline: one reply, however late the handler is done", async () => {
    const { client, gate, controllers } = await held();
    client.send(frame({ ...put, call_id: 7, timeout_ms: 20 }));
    await until(() => replyCount(client.received) === 1, "the deadline's reply");
    expect(controllers[0]!.isCanceled()).toBe(true);
    gate.resolve();
    client.send(get(8, bytes("next")));
    await until(() => statuses(client.received).has(8), "the next reply");
    expect(statuses(client.received).get(7)).toBe(RpcStatus.DEADLINE_EXCEEDED);
    expect(replyCount(client.received)).toBe(2);
  });

  test("canceled: no reply, and another cancel of it, or of nothing, changes nothing", async () => {
    const { client, gate, controllers } = await held();
    client.send(frame({ ...put, call_id: 7 }));
    await until(() => controllers.length === 1, "the call is running");
    for (const callId of [7, 7, 9, 0]) client.send(frame({ call_id: callId, flags: 1 }));
    await until(() => controllers[0]!.isCanceled(), "the handler is told");
    gate.resolve();
    client.send(get(8, bytes("next")));
    await until(() => replyCount(client.received) === 1, "the next reply");
    expect([...statuses(client.received).keys()]).toEqual([8]);
  });

  test("until its handler is done it counts as in flight", async () => {
    const { client, gate, controllers } = await held({ callsInFlightMax: 1 });
    client.send(frame({ ...put, call_id: 7 }));
    await until(() => controllers.length === 1, "the call is running");
    client.send(Buffer.concat([frame({ ...put, call_id: 8 }), frame({ ...put, call_id: 9 })]));
    await settled();
    expect(controllers).toHaveLength(1);
    gate.resolve();
    await until(() => replyCount(client.received) === 3, "all replies");
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
