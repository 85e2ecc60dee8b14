import { expect, test } from "vitest";
import { KvServer } from "../../kvserver/kvServer.js";
import { LogClock } from "../../kvserver/logClock.js";
import { encodeOp } from "../../kvserver/opCodec.js";
import { kvServerRpcMethods } from "../../proto/index.js";
import { MprpcController } from "../../rpc/mprpcController.js";
import { eventually } from "../eventually.js";
import { MemoryDisk } from "../raft/persister/memoryDisk.js";
import { open, save } from "../raft/persister/support.js";

test("goes on from what the log says, with the time that passes", () => {
  let now = 5_000.4;
  const clock = new LogClock(() => now);
  clock.lead(100);
  expect(clock.timeMs).toBe(100);
  now += 50.5;
  expect(clock.timeMs).toBe(150);
});

test("is brought forward by what is applied after the election, and never back", () => {
  let now = 0;
  const clock = new LogClock(() => now);
  // It was elected before it had read its own snapshot.
  clock.lead(0);
  now += 10;
  clock.reached(86_400_000);
  expect(clock.timeMs).toBe(86_400_000);
  now += 5;
  clock.reached(86_400_001);
  clock.reached(7);
  expect(clock.timeMs).toBe(86_400_005);
});

test("a node that leads before it has applied its log goes on from that log's time", async () => {
  const long = 86_400_000;
  const disk = new MemoryDisk();
  const before = await open(disk);
  const nothing = { key: Buffer.from("x"), value: Buffer.from("1"), requestId: 0 };
  const op = {
    operation: "Put",
    clientId: Buffer.alloc(0),
    firstUnfinished: 0,
    ...nothing,
  } as const;
  const entries = [{ index: 1, term: 1, command: encodeOp({ ...op, logTimeMs: long }, "compact") }];
  await save(before, { hardState: { term: 1, votedFor: 0 }, entries });
  await before.close();
  const persister = await open(disk);
  const server = new KvServer();
  let logTimeMs = 0;
  server.onApplied = (_, machine) => {
    logTimeMs = machine.logTimeMs;
  };
  server.start([null], 0, persister);
  const request = { Key: op.key, Value: op.value, Op: Buffer.from("Put"), ClientId: op.clientId };
  await eventually("the log's time to go on", async () => {
    const controller = new MprpcController();
    controller.origin = { revision: 2, peer: "test" };
    const args = { ...request, RequestId: 0, FirstUnfinished: 0 };
    server.callMethod(kvServerRpcMethods.PutAppend, controller, args, () => {});
    return logTimeMs > long;
  });
  // By milliseconds: it goes on, and does not begin another day.
  expect(logTimeMs).toBeLessThan(2 * long);
  await server.stop();
  await persister.close();
});
