import { afterEach, describe, expect, test } from "vitest";
import { kvServerRpc_Stub } from "../../proto/index.js";
import {
  BalancedChannel,
  MprpcController,
  RpcStatus,
  type BalancedChannelOptions,
} from "../../rpc/index.js";
import { startFeed, watch } from "./streamSupport.js";
import {
  bytes,
  closeAll,
  closeLater,
  deferred,
  rawServer,
  startProvider,
  text,
  until,
  type Running,
} from "./support.js";

afterEach(closeAll);

/** Providers that answer Get with their own number. */
async function startAll(count: number): Promise<Running[]> {
  const all = [];
  for (let n = 0; n < count; n++) {
    const running = await startProvider();
    running.service.get = () => ({ Value: bytes(`${n}`) });
    all.push(running);
  }
  return all;
}

async function deadPort(): Promise<number> {
  const server = await rawServer();
  await server.close();
  return server.port;
}

function balance(
  ports: readonly number[],
  options: Partial<BalancedChannelOptions> = {},
): { channel: BalancedChannel; stub: kvServerRpc_Stub } {
  const addresses = ports.map((port) => ({ host: "127.0.0.1", port }));
  const channel = new BalancedChannel({ addresses, ...options });
  closeLater(() => channel.close());
  return { channel, stub: new kvServerRpc_Stub(channel) };
}

async function ask(stub: kvServerRpc_Stub, times: number): Promise<string> {
  const answers = [];
  for (let i = 0; i < times; i++) answers.push(text((await stub.Get({})).Value));
  return answers.join("");
}

describe("pick_first", () => {
  test("stays with the first, goes to the next when that is lost, and stays there", async () => {
    const all = await startAll(3);
    const { stub } = balance(all.map(({ port }) => port));
    expect(await ask(stub, 3)).toBe("000");
    await all[0]!.provider.close(0);
    expect(await ask(stub, 3)).toBe("111");
    await all[1]!.provider.close(0);
    expect(await ask(stub, 2)).toBe("22");
  });

  test("passes by what can't be reached", async () => {
    const [only] = await startAll(1);
    const { stub } = balance([await deadPort(), await deadPort(), only!.port]);
    expect(await ask(stub, 2)).toBe("00");
  });

  test("fails when nobody can be reached, with the reason of the last", async () => {
    const ports = [await deadPort(), await deadPort()];
    const { stub } = balance(ports);
    const controller = new MprpcController({ timeoutMs: 5_000 });
    await expect(stub.Get({}, controller)).rejects.toMatchObject({
      code: "UNAVAILABLE",
      message: expect.stringContaining(`127.0.0.1:${ports[1]}`) as string,
    });
    expect(controller.notSent).toBe(true);
    expect(controller.timeoutMs).toBe(5_000);
  });

  test("comes back to a server that came back", async () => {
    const [first] = await startAll(1);
    const { stub } = balance([first!.port, await deadPort()], { backoffMsMin: 1, backoffMsMax: 2 });
    expect(await ask(stub, 1)).toBe("0");
    await first!.provider.close(0);
    await expect(stub.Get({})).rejects.toMatchObject({ code: "UNAVAILABLE" });
    const again = await startProvider({}, first!.port);
    again.service.get = () => ({ Value: bytes("again") });
    await expect.poll(() => ask(stub, 1).catch(() => "")).toBe("again");
  });
});

describe("round_robin", () => {
  test("asks all that are connected in turn", async () => {
    const all = await startAll(3);
    const { channel, stub } = balance(
      all.map(({ port }) => port),
      { policy: "round_robin" },
    );
    await stub.Get({});
    await until(() => channel.channels.every(({ state }) => state === "ready"), "all connected");
    const answers = await ask(stub, 9);
    for (const n of ["0", "1", "2"]) expect(answers.split(n)).toHaveLength(4);
  });

  test("leaves out what is lost, and takes it back", async () => {
    const all = await startAll(2);
    const options = { policy: "round_robin", backoffMsMin: 1, backoffMsMax: 2 } as const;
    const ports = all.map(({ port }) => port);
    const { channel, stub } = balance(ports, options);
    await stub.Get({});
    await all[0]!.provider.close(0);
    expect(await ask(stub, 4)).toBe("1111");
    const again = await startProvider({}, ports[0]);
    again.service.get = () => ({ Value: bytes("0") });
    await until(() => {
      void stub.Get({});
      return channel.channels[0]!.state === "ready";
    }, "the first is connected again");
    expect((await ask(stub, 4)).split("0")).toHaveLength(3);
  });
});

describe("a call", () => {
  test("that may have been run is not run again elsewhere", async () => {
    const all = await startAll(2);
    let runs = 0;
    const gate = deferred();
    for (const { service } of all)
      service.put = async () => {
        runs++;
        await gate.promise;
        return {};
      };
    const { stub } = balance(all.map(({ port }) => port));
    await stub.Get({});
    const call = stub.PutAppend({});
    await until(() => runs === 1, "the call runs");
    const lost = call.catch((error: unknown) => error);
    await all[0]!.provider.close(0);
    expect(await lost).toMatchObject({ status: RpcStatus.UNAVAILABLE });
    gate.resolve();
    expect(runs).toBe(1);
  });

  test("that fails by its own fault is not tried elsewhere", async () => {
    const all = await startAll(2);
    const { stub } = balance(all.map(({ port }) => port));
    const huge = { Key: new Uint8Array(100_000) };
    const strict = balance(
      all.map(({ port }) => port),
      { requestBytesMax: 1024 },
    );
    await expect(strict.stub.Get(huge)).rejects.toMatchObject({ code: "RESOURCE_EXHAUSTED" });
    await expect(stub.Status({})).rejects.toMatchObject({ code: "INTERNAL" });
    expect(all[1]!.provider.connections).toBe(0);
  });

  test("has one deadline, however many servers it is tried at", async () => {
    const all = await startAll(1);
    const gate = deferred();
    let remaining = 0;
    all[0]!.service.get = async (_request, controller) => {
      remaining = controller.remainingMs();
      await gate.promise;
      return {};
    };
    const { stub } = balance([await deadPort(), all[0]!.port]);
    await expect(stub.Get({}, { timeoutMs: 300 })).rejects.toMatchObject({
      code: "DEADLINE_EXCEEDED",
    });
    expect(remaining).toBeLessThan(300);
    gate.resolve();
  });

  test("that is canceled is not tried elsewhere", async () => {
    const all = await startAll(1);
    const { stub } = balance([await deadPort(), all[0]!.port]);
    const controller = new MprpcController();
    const call = stub.Get({}, controller);
    controller.startCancel();
    await expect(call).rejects.toMatchObject({ code: "CANCELLED" });
    expect(all[0]!.provider.connections).toBe(0);
  });
});

test("a stream begins at the next server when the first can't be reached", async () => {
  const { port } = await startFeed();
  const { channel } = balance([await deadPort(), port]);
  const seen: string[] = [];
  for await (const { Value } of watch(channel)) seen.push(text(Value));
  expect(seen).toEqual(["one", "two"]);
});

test("a closed channel fails its calls, and no address at all is refused", async () => {
  const [one] = await startAll(1);
  const { channel, stub } = balance([one!.port, one!.port]);
  await stub.Get({});
  channel.close();
  await expect(stub.Get({})).rejects.toMatchObject({
    code: "UNAVAILABLE",
    message: "the channel is closed",
  });
  expect(() => balance([])).toThrow("a channel needs an address");
});
