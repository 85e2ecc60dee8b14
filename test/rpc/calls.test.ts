import { afterEach, describe, expect, test, vi } from "vitest";
import { kvServerRpc_Stub, kvServerRpcMethods, type GetArgs } from "../../proto/index.js";
import { MprpcController, RpcError, RpcStatus, type CallOptions } from "../../rpc/index.js";
import {
  bytes,
  closeAll,
  deferred,
  openChannel,
  settled,
  startProvider,
  text,
  until,
  type Deferred,
  type Running,
} from "./support.js";
import type { RpcProviderOptions } from "../../rpc/index.js";

afterEach(async () => {
  vi.restoreAllMocks();
  await closeAll();
});

interface Pair extends Running {
  readonly stub: kvServerRpc_Stub;
}

async function pair(
  providerOptions: RpcProviderOptions = {},
  channelOptions: Parameters<typeof openChannel>[1] = {},
): Promise<Pair> {
  const running = await startProvider(providerOptions);
  const stub = new kvServerRpc_Stub(openChannel(running.port, channelOptions));
  return { ...running, stub };
}

/** Holds every Get until it is let go by its key. */
function hold({ service }: Running): {
  readonly held: Map<string, Deferred>;
  readonly controllers: Map<string, MprpcController>;
} {
  const held = new Map<string, Deferred>();
  const controllers = new Map<string, MprpcController>();
  service.get = async (request: GetArgs, controller) => {
    const key = text(request.Key);
    const gate = deferred();
    held.set(key, gate);
    controllers.set(key, controller);
    await gate.promise;
    return { Err: bytes("OK"), Value: request.Key };
  };
  return { held, controllers };
}

const get = (stub: kvServerRpc_Stub, key: string, options?: CallOptions | MprpcController) =>
  stub.Get({ Key: bytes(key) }, options);

describe("calls of revision 2", () => {
  test("a call and its reply, and both sides know the revision", async () => {
    const running = await pair();
    let seen: MprpcController | undefined;
    running.service.get = (request, controller) => {
      seen = controller;
      return { Err: bytes("OK"), Value: request.Key };
    };
    const reply = await get(running.stub, "key");
    expect(text(reply.Err)).toBe("OK");
    expect(text(reply.Value)).toBe("key");
    expect(seen?.revision).toBe(2);
    expect(seen?.peer).toMatch(/^127\.0\.0\.1:\d+$/);
    expect(running.stub.channel).toMatchObject({ revision: 2, state: "ready" });
  });

  test("values of no, every and very many bytes arrive as they were", async () => {
    const { stub } = await pair();
    const everyByte = Uint8Array.from({ length: 256 }, (_, index) => index);
    for (const value of [new Uint8Array(0), everyByte, new Uint8Array(4 << 20).fill(0x80)]) {
      const { Value } = await stub.Get({ Key: value });
      expect(Buffer.from(Value).equals(value)).toBe(true);
    }
  });

  test("replies come in any order, each to its own caller", async () => {
    const running = await pair();
    await get(running.stub, "first, to learn the revision");
    const { held } = hold(running);
    const keys = Array.from({ length: 300 }, (_, index) => `key ${index}`);
    const order: string[] = [];
    const calls = keys.map(async (key) => {
      const reply = await get(running.stub, key);
      order.push(key);
      expect(text(reply.Value)).toBe(key);
    });
    await until(() => held.size === keys.length, "all are running at once");
    const shuffled = keys.map((key, index) => [(index * 7919) % 300, key] as const);
    shuffled.sort(([a], [b]) => a - b);
    for (const [, key] of shuffled) held.get(key)!.resolve();
    await Promise.all(calls);
    expect(order).toEqual(shuffled.map(([, key]) => key));
  });

  test("a slow handler delays no other call (original: all behind it)", async () => {
    const running = await pair();
    await get(running.stub, "first");
    const { held } = hold(running);
    const slow = get(running.stub, "slow");
    await until(() => held.has("slow"), "the slow call is running");
    running.service.get = (request) => ({ Value: request.Key });
    expect(text((await get(running.stub, "quick")).Value)).toBe("quick");
    held.get("slow")!.resolve();
    await slow;
  });

  test("metadata travels both ways", async () => {
    const { stub, service } = await pair();
    service.get = (_request, controller) => {
      controller.replyMetadata = controller.metadata.map(({ key, value }) => ({
        key: `${key}-back`,
        value,
      }));
      return {};
    };
    const controller = new MprpcController({
      metadata: [
        { key: "trace", value: bytes("abc") },
        { key: "trace", value: new Uint8Array(0) },
      ],
    });
    await get(stub, "k", controller);
    expect(controller.replyMetadata.map(({ key, value }) => [key, text(value)])).toEqual([
      ["trace-back", "abc"],
      ["trace-back", ""],
    ]);
  });

  test("an empty message is a reply like any other", async () => {
    const { stub } = await pair();
    expect((await stub.OpenSession({})).Err).toHaveLength(0);
  });
});

describe("how a call fails", () => {
  test("an unknown method, an unknown service: UNIMPLEMENTED, by name", async () => {
    const { port } = await startProvider();
    const channel = openChannel(port);
    const call = (change: object) => {
      const controller = new MprpcController();
      const method = { ...kvServerRpcMethods.Get, ...change };
      return new Promise<MprpcController>((resolve) => {
        channel.callMethod(method, controller, {}, () => resolve(controller));
      });
    };
    const noMethod = await call({ name: "Missing" });
    expect(noMethod.status).toBe(RpcStatus.UNIMPLEMENTED);
    expect(noMethod.errorText()).toBe("service kvServerRpc has no method Missing");
    const noService = await call({ serviceName: "raftRpc" });
    expect(noService.status).toBe(RpcStatus.UNIMPLEMENTED);
    expect(noService.errorText()).toBe("there is no service raftRpc");
  });

  test("arguments that can't be decoded: INVALID_ARGUMENT, and the connection goes on", async () => {
    const { port } = await startProvider();
    const channel = openChannel(port);
    const garbled = {
      ...kvServerRpcMethods.Get,
      request: {
        encode: (_message: object, writer: { byte(value: number): unknown }) =>
          void writer.byte(0x0a),
        decode: () => ({}),
      },
    };
    const controller = new MprpcController();
    await new Promise((resolve) => channel.callMethod(garbled, controller, {}, resolve));
    expect(controller.status).toBe(RpcStatus.INVALID_ARGUMENT);
    const stub = new kvServerRpc_Stub(channel);
    expect(text((await get(stub, "still here")).Value)).toBe("still here");
  });

  test("a handler that throws: INTERNAL, told to the server's log and not to the caller", async () => {
    const { stub, errors } = await pair();
    const failure = await stub.Status({}).catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(RpcError);
    expect(failure).toMatchObject({ code: "INTERNAL", message: "the handler failed" });
    expect(String(errors[0]?.message)).toBe("a secret of this server");
  });

  test("a handler that throws an RpcError, or sets a status: the caller gets that", async () => {
    const { stub, service, errors } = await pair();
    service.get = () => {
      throw new RpcError(RpcStatus.NOT_FOUND, "no such thing");
    };
    await expect(get(stub, "k")).rejects.toMatchObject({
      status: RpcStatus.NOT_FOUND,
      message: "no such thing",
    });
    service.get = (_request, controller) => {
      controller.setFailed("keep out", RpcStatus.UNAUTHENTICATED);
      return {};
    };
    await expect(get(stub, "k")).rejects.toMatchObject({ code: "UNAUTHENTICATED" });
    expect(errors).toEqual([]);
  });

  test("a reply that can't be encoded: INTERNAL", async () => {
    const { stub, service, errors } = await pair();
    service.get = () => ({ LeaderHint: 1.5 });
    await expect(get(stub, "k")).rejects.toMatchObject({ code: "INTERNAL" });
    expect(errors).toHaveLength(1);
    service.get = () => null;
    await expect(get(stub, "k")).rejects.toMatchObject({ code: "INTERNAL" });
  });

  test("a request that can't be encoded: INVALID_ARGUMENT by the field's name, never sent", async () => {
    const { stub } = await pair();
    const controller = new MprpcController();
    await expect(stub.Get({ RequestId: 2 ** 60 }, controller)).rejects.toMatchObject({
      code: "INVALID_ARGUMENT",
      message: expect.stringContaining("GetArgs.RequestId") as string,
    });
    expect(controller.notSent).toBe(true);
    expect(text((await get(stub, "next")).Value)).toBe("next");
  });

  test("a request over the channel's limit is never sent", async () => {
    const { stub } = await pair({}, { requestBytesMax: 100 });
    const controller = new MprpcController();
    await expect(get(stub, "x".repeat(101), controller)).rejects.toMatchObject({
      code: "RESOURCE_EXHAUSTED",
    });
    expect(controller.notSent).toBe(true);
  });

  test("a request over the provider's limit alone: that call fails, the others go on", async () => {
    const running = await pair({ requestBytesMax: 1000 });
    await get(running.stub, "first");
    const { held } = hold(running);
    const other = get(running.stub, "other");
    await until(() => held.has("other"), "the other call is running");
    await expect(get(running.stub, "x".repeat(1 << 20))).rejects.toMatchObject({
      code: "RESOURCE_EXHAUSTED",
    });
    held.get("other")!.resolve();
    expect(text((await other).Value)).toBe("other");
  });

  test("a reply over the provider's limit, or the channel's: RESOURCE_EXHAUSTED", async () => {
    for (const [server, client] of [
      [{ replyBytesMax: 1000 }, {}],
      [{}, { replyBytesMax: 1000 }],
    ] as const) {
      const { stub, service } = await pair(server, client);
      service.get = () => ({ Value: new Uint8Array(100_000) });
      await expect(get(stub, "k")).rejects.toMatchObject({ code: "RESOURCE_EXHAUSTED" });
      service.get = () => ({ Value: new Uint8Array(10) });
      expect((await get(stub, "k")).Value).toHaveLength(10);
      expect(stub.channel).toMatchObject({ state: "ready" });
    }
  });
});

describe("deadlines and cancels", () => {
  test("a call that takes too long fails at its caller's, and its handler is told", async () => {
    const running = await pair();
    await get(running.stub, "first");
    const { controllers } = hold(running);
    const canceled = vi.fn<() => void>();
    const call = get(running.stub, "slow", { timeoutMs: 60 });
    await until(() => controllers.has("slow"), "the call is running");
    const controller = controllers.get("slow")!;
    controller.notifyOnCancel(canceled);
    expect(controller.remainingMs()).toBeGreaterThan(0);
    expect(controller.remainingMs()).toBeLessThanOrEqual(60);
    await expect(call).rejects.toMatchObject({ code: "DEADLINE_EXCEEDED" });
    await until(() => controller.isCanceled(), "the handler is told");
    expect(canceled).toHaveBeenCalledTimes(1);
  });

  test("the late reply to a call that ended is nobody's", async () => {
    const running = await pair();
    await get(running.stub, "first");
    const { held } = hold(running);
    await expect(get(running.stub, "late", { timeoutMs: 20 })).rejects.toThrow(/in time/);
    const next = get(running.stub, "next");
    await until(() => held.has("next"), "the next call is running");
    held.get("late")!.resolve();
    await settled();
    held.get("next")!.resolve();
    expect(text((await next).Value)).toBe("next");
  });

  test.each([
    [
      "startCancel",
      (): [MprpcController, () => void] => {
        const controller = new MprpcController();
        return [controller, () => controller.startCancel()];
      },
    ],
    [
      "an AbortSignal",
      (): [MprpcController, () => void] => {
        const abort = new AbortController();
        return [new MprpcController({ signal: abort.signal }), () => abort.abort()];
      },
    ],
  ])("%s ends the call, and cancels it at the server", async (_name, make) => {
    const running = await pair();
    await get(running.stub, "first");
    const { controllers } = hold(running);
    const [controller, cancel] = make();
    const call = get(running.stub, "k", controller);
    await until(() => controllers.has("k"), "the call is running");
    cancel();
    await expect(call).rejects.toMatchObject({ code: "CANCELLED" });
    expect(controller.notSent).toBe(false);
    await until(() => controllers.get("k")!.isCanceled(), "the handler is told");
    expect(running.stub.channel).toMatchObject({ state: "ready" });
  });

  test("canceled before it began: the call is never sent", async () => {
    const { stub, service } = await pair();
    const calls = vi.spyOn(service, "get");
    const early = new MprpcController();
    early.startCancel();
    const signal = AbortSignal.abort();
    for (const options of [early, { signal }]) {
      await expect(get(stub, "k", options)).rejects.toMatchObject({ code: "CANCELLED" });
    }
    expect(early.notSent).toBe(true);
    await get(stub, "another");
    expect(calls).toHaveBeenCalledTimes(1);
  });

  test("a call that ended leaves no listener on its signal", async () => {
    const { stub } = await pair();
    const { signal } = new AbortController();
    const added = vi.spyOn(signal, "addEventListener");
    const removed = vi.spyOn(signal, "removeEventListener");
    await get(stub, "k", { signal });
    expect(added).toHaveBeenCalledTimes(1);
    expect(removed.mock.calls[0]?.[1]).toBe(added.mock.calls[0]?.[1]);
  });

  test("done is never called before callMethod returns", async () => {
    const { port } = await startProvider();
    const channel = openChannel(port);
    const outcomes: string[] = [];
    const call = (name: string, request: object, controller = new MprpcController()) => {
      let returned = false;
      channel.callMethod(kvServerRpcMethods.Get, controller, request, () => {
        outcomes.push(`${name}: ${returned ? "later" : "at once"}`);
      });
      returned = true;
    };
    const canceled = new MprpcController();
    canceled.startCancel();
    call("canceled", {}, canceled);
    call("invalid", { RequestId: 0.5 });
    await until(() => outcomes.length === 2, "both have failed");
    channel.close();
    call("closed", {});
    await until(() => outcomes.length === 3, "all have failed");
    expect(outcomes.toSorted()).toEqual(["canceled: later", "closed: later", "invalid: later"]);
  });
});
