import { Socket } from "node:net";
import fc from "fast-check";
import { afterEach, describe, expect, test, vi } from "vitest";
import { kvServerRpc_Stub, kvServerRpcMethods } from "../../proto/index.js";
import { Backoff, MprpcController, RpcError, RpcProvider, RpcStatus } from "../../rpc/index.js";
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
  TestService,
  text,
  until,
} from "./support.js";

afterEach(async () => {
  vi.restoreAllMocks();
  await closeAll();
});

/** From now on every attempt to connect hangs, as toward a machine that drops all packets. */
function neverConnect(): void {
  vi.spyOn(Socket.prototype, "connect").mockReturnThis();
}

/** A port on which nobody listens. */
async function deadPort(): Promise<number> {
  const server = await rawServer();
  await server.close();
  return server.port;
}

describe("RpcProvider", () => {
  test("port 0 becomes a real one", async () => {
    const provider = new RpcProvider();
    const { host, port } = await provider.run("127.0.0.1", 0);
    expect(host).toBe("127.0.0.1");
    expect(port).toBeGreaterThan(0);
    await provider.close();
  });

  test("a port in use, an address of another machine: a clear error", async () => {
    const { port } = await startProvider();
    const inUse = new RpcProvider().run("127.0.0.1", port);
    await expect(inUse).rejects.toBeInstanceOf(RpcError);
    await expect(inUse).rejects.toThrow(`listening on 127.0.0.1:${port}: listen EADDRINUSE`);
    await expect(new RpcProvider().run("192.0.2.1", 0)).rejects.toThrow(/EADDRNOTAVAIL/);
  });

  test.each(["127.0.0.1", "localhost"])("closed while it begins to listen on %s", async (host) => {
    const provider = new RpcProvider();
    const running = provider.run(host, 0);
    const closing = provider.close();
    await expect(running).rejects.toMatchObject({ code: "UNAVAILABLE" });
    await closing;
    await expect(provider.run(host, 0)).rejects.toThrow("the provider was closed");
    // One that listened all the same would be among what keeps this process alive.
    await until(
      () => !process.getActiveResourcesInfo().includes("TCPServerWrap"),
      "nothing listens",
    );
  });

  test("two services of one name are refused", () => {
    const provider = new RpcProvider();
    provider.notifyService(new TestService());
    expect(() => provider.notifyService(new TestService())).toThrow(/kvServerRpc/);
  });

  test("close lets calls in flight end, and takes no new ones", async () => {
    const { port, provider, service } = await startProvider();
    const stub = new kvServerRpc_Stub(openChannel(port));
    await stub.Get({});
    const gate = deferred();
    let running = false;
    service.get = async () => {
      running = true;
      await gate.promise;
      return { Value: bytes("in time") };
    };
    const inFlight = stub.Get({});
    await until(() => running, "the call is running");
    const closed = provider.close(10_000);
    await expect(stub.Get({})).rejects.toMatchObject({ code: "UNAVAILABLE" });
    const late = new kvServerRpc_Stub(openChannel(port));
    await expect(late.Get({})).rejects.toMatchObject({ code: "UNAVAILABLE" });
    gate.resolve();
    expect(text((await inFlight).Value)).toBe("in time");
    await closed;
    expect(provider.connections).toBe(0);
  });

  test("close ends with a FIN toward whoever speaks revision 2", async () => {
    const { port, provider } = await startProvider();
    const client = await rawClient(port);
    const header = { service_name: bytes("kvServerRpc"), method_name: bytes("OpenSession") };
    client.send(frame({ ...header, call_id: 1 }));
    await client.receive(1);
    await provider.close();
    expect(await client.ended()).toBe("FIN");
  });

  test("close waits no longer than it was told to, and tells the handlers", async () => {
    const { port, provider, service } = await startProvider();
    const stub = new kvServerRpc_Stub(openChannel(port));
    let controller: MprpcController | undefined;
    service.get = (_request, found) => {
      controller = found;
      return new Promise(() => {});
    };
    const stuck = stub.Get({});
    await until(() => controller !== undefined, "the call is running");
    await Promise.all([
      expect(stuck).rejects.toMatchObject({ code: "UNAVAILABLE" }),
      provider.close(20),
    ]);
    expect(controller!.isCanceled()).toBe(true);
  });

  test("a caller that vanishes cancels its calls", async () => {
    const { port, service } = await startProvider();
    const channel = openChannel(port);
    let controller: MprpcController | undefined;
    service.get = (_request, found) => {
      controller = found;
      return new Promise(() => {});
    };
    const call = new kvServerRpc_Stub(channel).Get({});
    await until(() => controller !== undefined, "the call is running");
    const told = deferred();
    controller!.notifyOnCancel(told.resolve);
    channel.close();
    await expect(call).rejects.toMatchObject({ code: "CANCELLED" });
    await told.promise;
    expect(controller!.isCanceled()).toBe(true);
  });
});

describe("MprpcChannel", () => {
  test("it connects when it is first needed", async () => {
    const server = await startProvider();
    const channel = openChannel(server.port);
    await settled();
    expect(channel.state).toBe("idle");
    expect(server.provider.connections).toBe(0);
    await new kvServerRpc_Stub(channel).Get({});
    expect(channel.state).toBe("ready");
    expect(server.provider.connections).toBe(1);
  });

  test.each([0, -1, 65_536, 1.5, Number.NaN])("%d is refused as a port", (port) => {
    expect(() => openChannel(port)).toThrow(RangeError);
  });

  test("a port above 32,767 is like any other (original: negative)", async () => {
    let port = 0;
    for (let tries = 0; port <= 32_767 && tries < 50; tries++) ({ port } = await startProvider());
    expect(port).toBeGreaterThan(32_767);
    expect(
      text((await new kvServerRpc_Stub(openChannel(port)).Get({ Key: bytes("k") })).Value),
    ).toBe("k");
  });

  test("nobody listens: UNAVAILABLE with the reason, then at once while it backs off", async () => {
    const port = await deadPort();
    const channel = openChannel(port, { backoffMsMin: 60_000, backoffMsMax: 60_000 });
    const stub = new kvServerRpc_Stub(channel);
    const failures: RpcError[] = [];
    channel.onConnectFailed = (error) => failures.push(error);
    for (const state of ["idle", "backoff"]) {
      expect(channel.state).toBe(state);
      const controller = new MprpcController();
      await expect(stub.Get({}, controller)).rejects.toMatchObject({
        code: "UNAVAILABLE",
        message: expect.stringContaining("ECONNREFUSED") as string,
      });
      expect(controller.notSent).toBe(true);
    }
    expect(failures).toHaveLength(1);
  });

  test("connectNow tries again, whatever the backoff says", async () => {
    const port = await deadPort();
    const channel = openChannel(port, { backoffMsMin: 60_000, backoffMsMax: 60_000 });
    const stub = new kvServerRpc_Stub(channel);
    await expect(stub.Get({})).rejects.toThrow(/ECONNREFUSED/);
    await startProvider({}, port);
    await expect(stub.Get({})).rejects.toThrow(/ECONNREFUSED/);
    channel.connectNow();
    expect(channel.state).toBe("connecting");
    expect(text((await stub.Get({ Key: bytes("k") })).Value)).toBe("k");
  });

  test("calls that are made while it connects wait for it, up to their deadline", async () => {
    neverConnect();
    const channel = openChannel(1, { connectTimeoutMs: 60_000 });
    const stub = new kvServerRpc_Stub(channel);
    const controller = new MprpcController({ timeoutMs: 30 });
    await expect(stub.Get({}, controller)).rejects.toMatchObject({ code: "DEADLINE_EXCEEDED" });
    expect(controller.notSent).toBe(true);
    expect(channel.state).toBe("connecting");
  });

  test("an attempt to connect ends in time, and so do the calls that wait for it", async () => {
    neverConnect();
    const channel = openChannel(1, { connectTimeoutMs: 30 });
    const stub = new kvServerRpc_Stub(channel);
    const calls = [stub.Get({}), stub.Get({})].map((call) =>
      expect(call).rejects.toMatchObject({
        code: "UNAVAILABLE",
        message: "connecting to 127.0.0.1:1: no answer within 30 ms",
      }),
    );
    await Promise.all(calls);
  });

  test("an attempt that succeeded while this process stood still has succeeded", async () => {
    const { port } = await startProvider();
    const connectTimeoutMs = 20;
    const stub = new kvServerRpc_Stub(openChannel(port, { connectTimeoutMs }));
    const reply = stub.Get({ Key: bytes("k") });
    const standStill = (): void => {
      const end = performance.now() + 3 * connectTimeoutMs;
      while (performance.now() < end);
    };
    // The socket connects in the first of these.
    process.nextTick(() => process.nextTick(standStill));
    expect(text((await reply).Value)).toBe("k");
  });

  test("it finds the server again after it was restarted on the same port", async () => {
    const first = await startProvider();
    const channel = openChannel(first.port);
    const stub = new kvServerRpc_Stub(channel);
    const lost: RpcError[] = [];
    channel.onConnectionLost = (error) => lost.push(error);
    await stub.Get({});
    await first.provider.close(0);
    await until(() => lost.length === 1, "the channel sees it");
    expect(lost[0]!.code).toBe("UNAVAILABLE");
    expect(channel.revision).toBeUndefined();
    await startProvider({}, first.port);
    expect(text((await stub.Get({ Key: bytes("again") })).Value)).toBe("again");
    expect(channel.revision).toBe(2);
  });

  test("a lost connection fails what was sent, and what waits goes over the next one", async () => {
    const { port, service } = await startProvider();
    const channel = openChannel(port, { callsInFlightMax: 1 });
    const stub = new kvServerRpc_Stub(channel);
    await stub.Get({});
    let arrived = 0;
    service.get = (request) => {
      arrived++;
      return text(request.Key) === "sent" ? new Promise(() => {}) : { Value: request.Key };
    };
    const controller = new MprpcController();
    const sent = stub.Get({ Key: bytes("sent") }, controller);
    const waiting = stub.Get({ Key: bytes("waiting") });
    await until(() => arrived === 1, "the first is running");
    dropConnections(port);
    await expect(sent).rejects.toMatchObject({ code: "UNAVAILABLE" });
    expect(controller.notSent).toBe(false);
    expect(text((await waiting).Value)).toBe("waiting");
  });

  test("a request that was still in the output buffer is known not to have been sent", async () => {
    const { port } = await startProvider();
    const channel = openChannel(port);
    const stub = new kvServerRpc_Stub(channel);
    await stub.Get({});
    const controller = new MprpcController();
    const call = stub.Get({}, controller);
    // Within the same turn: nothing has been written.
    channel.close();
    await expect(call).rejects.toMatchObject({ code: "CANCELLED" });
    expect(controller.notSent).toBe(true);
  });

  test("close fails what is running and leaves nothing behind", async () => {
    const { port, provider, service } = await startProvider();
    const channel = openChannel(port);
    const stub = new kvServerRpc_Stub(channel);
    service.get = () => new Promise(() => {});
    const calls = Array.from({ length: 5 }, () => stub.Get({}).catch((error: RpcError) => error));
    await until(() => provider.connections === 1, "connected");
    channel.close();
    channel.close();
    for (const error of await Promise.all(calls))
      expect(error).toMatchObject({ code: "CANCELLED" });
    await until(() => provider.connections === 0, "the socket is closed");
    await expect(stub.Get({})).rejects.toMatchObject({ status: RpcStatus.UNAVAILABLE });
    channel.connectNow();
    expect(channel.state).toBe("closed");
  });

  test("a server that hangs up before it ever answered is backed off from", async () => {
    const server = await rawServer(({ socket }) => socket.destroy());
    const channel = openChannel(server.port, { backoffMsMin: 60_000, backoffMsMax: 60_000 });
    const stub = new kvServerRpc_Stub(channel);
    await expect(stub.Get({})).rejects.toMatchObject({ code: "UNAVAILABLE" });
    expect(channel.state).toBe("backoff");
  });

  test("nor do the calls behind the first try it each for itself", async () => {
    const server = await rawServer(({ socket }) => socket.destroy());
    const stub = new kvServerRpc_Stub(openChannel(server.port));
    const calls = Array.from({ length: 5 }, () => stub.Get({}).catch((error: RpcError) => error));
    for (const error of await Promise.all(calls)) {
      expect(error).toMatchObject({ code: "UNAVAILABLE" });
    }
    expect(server.connections).toHaveLength(1);
  });

  test("garbage instead of replies ends the connection, not the process", async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ minLength: 1, maxLength: 60 }), async (garbage) => {
        const server = await rawServer(({ socket }) => {
          socket.once("data", () => socket.end(garbage));
        });
        const channel = openChannel(server.port);
        const done: unknown[] = [];
        const controller = new MprpcController({ timeoutMs: 5_000 });
        channel.callMethod(kvServerRpcMethods.Get, controller, {}, (reply) => done.push(reply));
        await until(() => done.length > 0, "the call has ended");
        await settled();
        expect(done).toHaveLength(1);
        channel.close();
        await server.close();
      }),
      { numRuns: 30 },
    );
  });

  test("an idle channel lets the process end only when asked to", async () => {
    const { port } = await startProvider();
    for (const [unrefWhenIdle, hasRef] of [
      [true, false],
      [false, true],
    ] as const) {
      const before = activeSockets();
      const channel = openChannel(port, { unrefWhenIdle });
      await new kvServerRpc_Stub(channel).Get({});
      await settled();
      // The provider's end of the connection is always one.
      expect(activeSockets() - before).toBe(hasRef ? 2 : 1);
    }
  });
});

function activeSockets(): number {
  return process.getActiveResourcesInfo().filter((name) => name === "TCPSocketWrap").length;
}

/** Cuts every connection to `port` from this process, as a network would. */
function dropConnections(port: number): void {
  const handles: unknown = Reflect.get(process, "_getActiveHandles").call(process);
  for (const handle of handles as unknown[]) {
    if (handle instanceof Socket && handle.localPort === port) handle.resetAndDestroy();
  }
}

describe("exactly one done for each call", () => {
  test("under random disconnects, deadlines, cancels and restarts", async () => {
    const step = fc.oneof(
      { weight: 10, arbitrary: fc.record({ kind: fc.constant("call"), n: fc.nat(20) }) },
      { weight: 2, arbitrary: fc.record({ kind: fc.constant("drop"), n: fc.nat() }) },
      { weight: 2, arbitrary: fc.record({ kind: fc.constant("cancel"), n: fc.nat(20) }) },
      { weight: 1, arbitrary: fc.record({ kind: fc.constant("connectNow"), n: fc.nat() }) },
      { weight: 4, arbitrary: fc.record({ kind: fc.constant("turns"), n: fc.nat(10) }) },
    );
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 40 }), async (steps) => {
        const { port, service } = await startProvider({ callsInFlightMax: 8 });
        service.get = async (request) => {
          const delay = request.Key[0]! % 8;
          for (let turn = 0; turn < delay; turn++) {
            await new Promise((resolve) => setImmediate(resolve));
          }
          return delay === 7 ? new Promise(() => {}) : { Value: request.Key };
        };
        const channel = openChannel(port, {
          callsInFlightMax: 6,
          backoffMsMin: 1,
          backoffMsMax: 2,
        });
        const outcomes: number[] = [];
        const controllers: MprpcController[] = [];
        const call = (): void => {
          const index = outcomes.push(0) - 1;
          const controller = new MprpcController({ timeoutMs: 30 });
          controllers.push(controller);
          const Key = Uint8Array.of(index);
          channel.callMethod(kvServerRpcMethods.Get, controller, { Key }, (reply) => {
            outcomes[index]!++;
            expect(reply === null).toBe(controller.failed());
            expect(reply?.Value[0] ?? index % 256).toBe(index % 256);
          });
        };
        for (const { kind, n } of steps) {
          if (kind === "call") for (let i = 0; i <= n; i++) call();
          else if (kind === "drop") dropConnections(port);
          else if (kind === "cancel") controllers.at(-1 - n)?.startCancel();
          else if (kind === "connectNow") channel.connectNow();
          else for (let i = 0; i < n; i++) await new Promise((resolve) => setImmediate(resolve));
        }
        await until(() => !outcomes.includes(0), "every call has ended");
        channel.close();
        await settled();
        expect(outcomes.every((count) => count === 1)).toBe(true);
        await closeAll();
      }),
      { numRuns: 25 },
    );
  });
});

describe("Backoff", () => {
  test("waits grow from the least to the most, at random between", () => {
    fc.assert(
      fc.property(fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), (random) => {
        const backoff = new Backoff(10, 1000, () => random);
        const waits = Array.from({ length: 20 }, () => backoff.next());
        for (const [index, wait] of waits.entries()) {
          expect(wait).toBeGreaterThanOrEqual(10);
          expect(wait).toBeLessThanOrEqual(Math.min(1000, 10 * 2 ** (index + 1)));
        }
        expect(waits.at(-1)).toBeCloseTo(10 + random * 990);
        backoff.reset();
        expect(backoff.next()).toBe(waits[0]);
      }),
    );
  });
});
