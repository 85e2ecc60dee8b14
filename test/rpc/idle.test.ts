import { afterEach, expect, test } from "vitest";
import { kvServerRpc_Stub } from "../../proto/index.js";
import { goAwayFlag } from "../../rpc/framing.js";
import { replyFrame } from "./scripted.js";
import {
  bytes,
  closeAll,
  deferred,
  frame,
  legacyFrame,
  openChannel,
  rawClient,
  startProvider,
  until,
} from "./support.js";

afterEach(closeAll);

const noBytes = new Uint8Array(0);
const openSession = frame({
  service_name: bytes("kvServerRpc"),
  method_name: bytes("OpenSession"),
  call_id: 1,
});

test("a channel hangs up when it has made no call for long, and connects for the next", async () => {
  const { port, provider } = await startProvider();
  const channel = openChannel(port, { idleTimeoutMs: 50 });
  const lost: Error[] = [];
  channel.onConnectionLost = (error) => lost.push(error);
  const stub = new kvServerRpc_Stub(channel);
  await stub.Get({});
  await until(() => channel.state === "idle", "idle");
  await until(() => provider.connections === 0, "the connection is gone");
  await stub.Get({});
  expect(channel.state).toBe("ready");
  expect(lost).toEqual([]);
});

test("a call that takes long is no idleness", async () => {
  const { port, service } = await startProvider({ callerIdleTimeoutMs: 40 });
  const gate = deferred();
  service.get = async () => {
    await gate.promise;
    return {};
  };
  const channel = openChannel(port, { idleTimeoutMs: 40 });
  const call = new kvServerRpc_Stub(channel).Get({});
  await new Promise((resolve) => setTimeout(resolve, 300));
  expect(channel.state).toBe("ready");
  gate.resolve();
  await call;
});

test("a provider sends away a caller that has made no call for long", async () => {
  const { port } = await startProvider({ callerIdleTimeoutMs: 50 });
  const client = await rawClient(port);
  client.send(openSession);
  expect(await client.ended()).toBe("FIN");
  expect(client.received.includes(replyFrame({ flags: goAwayFlag }))).toBe(true);
});

test("a connection without a first request ends", async () => {
  const { port, provider } = await startProvider({ firstRequestTimeoutMs: 50 });
  const client = await rawClient(port);
  expect(await client.ended()).toBe("RST");
  await until(() => provider.connections === 0, "the connection is gone");
});

test("a caller of revision 1 stays, unless its own time is set", async () => {
  const patient = await startProvider({ firstRequestTimeoutMs: 50, callerIdleTimeoutMs: 50 });
  const client = await rawClient(patient.port);
  client.send(legacyFrame("PutAppend", noBytes));
  await new Promise((resolve) => setTimeout(resolve, 300));
  expect(client.ending).toBe("open");
  const strict = await startProvider({ revision1IdleTimeoutMs: 50 });
  const other = await rawClient(strict.port);
  other.send(legacyFrame("PutAppend", noBytes));
  expect(await other.ended()).toBe("RST");
});
