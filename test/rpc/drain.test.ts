import { afterEach, describe, expect, test } from "vitest";
import { kvServerRpc_Stub } from "../../proto/index.js";
import { MprpcController, RpcStatus } from "../../rpc/index.js";
import { goAwayFlag, refusedFlag } from "../../rpc/framing.js";
import { replyFrame, scriptedServer } from "./scripted.js";
import {
  bytes,
  closeAll,
  deferred,
  openChannel,
  settled,
  startProvider,
  text,
  until,
} from "./support.js";

afterEach(closeAll);

const goAway = replyFrame({ flags: goAwayFlag });

function refusal(callId: number): Buffer {
  return replyFrame({
    call_id: callId,
    status: RpcStatus.UNAVAILABLE,
    error_text: "the server is shutting down",
    flags: refusedFlag,
  });
}

describe("a server that sends its callers away", () => {
  test("gets no new call on that connection, and may finish the old ones", async () => {
    let finish: (() => void) | null = null;
    const server = await scriptedServer((connection, { call_id }, n) => {
      const reply = (): void => connection.send(replyFrame({ call_id }));
      if (n === 1 && server.connections.length === 1) {
        finish = reply;
        connection.send(goAway);
      } else reply();
    });
    const channel = openChannel(server.port);
    const lost: Error[] = [];
    channel.onConnectionLost = (error) => lost.push(error);
    const stub = new kvServerRpc_Stub(channel);
    await stub.Get({});
    const old = stub.Get({});
    await until(() => lost.length === 1, "the channel was told");
    await stub.Get({});
    expect(server.connections).toHaveLength(2);
    expect(server.connections[0]!.ending).toBe("open");
    finish!();
    await old;
    expect(await server.connections[0]!.ended()).toBe("FIN");
    expect(lost[0]!.message).toContain("takes no more calls");
  });

  test("a call that it refused is made anew over the next connection", async () => {
    const server = await scriptedServer((connection, { call_id }, n) => {
      if (n === 1 && server.connections.length === 1) {
        connection.send(Buffer.concat([goAway, refusal(call_id)]));
      } else connection.send(replyFrame({ call_id }));
    });
    const stub = new kvServerRpc_Stub(openChannel(server.port));
    await stub.Get({});
    await stub.Get({});
    expect(server.connections).toHaveLength(2);
  });

  test("a call is made anew once, and then fails as one that was not run", async () => {
    const server = await scriptedServer((connection, { call_id }, n) => {
      if (n === 0 && server.connections.length === 1) connection.send(replyFrame({ call_id }));
      else connection.send(Buffer.concat([goAway, refusal(call_id)]));
    });
    const stub = new kvServerRpc_Stub(openChannel(server.port));
    await stub.Get({});
    const controller = new MprpcController();
    await expect(stub.Get({}, controller)).rejects.toMatchObject({
      code: "UNAVAILABLE",
      message: expect.stringContaining("shutting down") as string,
    });
    expect(controller.notSent).toBe(true);
    expect(server.connections).toHaveLength(2);
  });
});

describe("RpcProvider.close", () => {
  test("lets every call end that was sent before its callers knew", async () => {
    const { port, provider, service } = await startProvider();
    const channel = openChannel(port);
    const stub = new kvServerRpc_Stub(channel);
    await stub.Get({});
    const gate = deferred();
    let running = 0;
    service.get = async (request) => {
      running++;
      await gate.promise;
      return { Value: request.Key };
    };
    const calls = ["a", "b", "c"].map((key) => stub.Get({ Key: bytes(key) }));
    await until(() => running === 3, "three calls run");
    const closed = provider.close(10_000);
    await until(() => channel.state !== "ready", "the channel was told");
    gate.resolve();
    const replies = await Promise.all(calls);
    expect(replies.map(({ Value }) => text(Value))).toEqual(["a", "b", "c"]);
    await closed;
  });
});

test("a provider refuses calls beyond what it runs in all, and says that they were not run", async () => {
  const { port, service } = await startProvider({ callsInFlightTotalMax: 2 });
  const gate = deferred();
  let running = 0;
  service.get = async () => {
    running++;
    await gate.promise;
    return {};
  };
  const stubs = [1, 2, 3].map(() => new kvServerRpc_Stub(openChannel(port)));
  for (const stub of stubs) await stub.PutAppend({});
  const calls = stubs.slice(0, 2).map((stub) => stub.Get({}));
  await until(() => running === 2, "two calls run");
  const controller = new MprpcController();
  await expect(stubs[2]!.Get({}, controller)).rejects.toMatchObject({
    code: "RESOURCE_EXHAUSTED",
    message: "the server has 2 calls in flight; callsInFlightTotalMax allows no more",
  });
  expect(controller.notSent).toBe(true);
  gate.resolve();
  await Promise.all(calls);
  await settled();
  await stubs[2]!.Get({});
  expect(running).toBe(3);
});
