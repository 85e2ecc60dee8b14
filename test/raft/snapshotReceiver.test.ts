import { afterEach, beforeEach, expect, test } from "vitest";
import { silentLogger } from "../../config/logger.js";
import { realEnvironment } from "../../raft/environment.js";
import type { WalPersister } from "../../raft/persister/walPersister.js";
import type { InstallSnapshot } from "../../raft/raftPeer.js";
import { SnapshotReceiver } from "../../raft/snapshotReceiver.js";
import { MemoryDisk } from "./persister/memoryDisk.js";
import { open, readSnapshot } from "./persister/support.js";

/** The chunks of a snapshot as a network may bring them. */

const timeoutMs = 1_000;

let persister: WalPersister;
let receiver: SnapshotReceiver;
let now: number;

beforeEach(async () => {
  now = 0;
  persister = await open(new MemoryDisk());
  const environment = { ...realEnvironment, now: () => now };
  receiver = new SnapshotReceiver(persister, environment, timeoutMs, silentLogger);
});

afterEach(async () => {
  await receiver.close();
  await persister.close();
});

/** Of "abcdef" at `offset`, as the leader of term 2 sends it, two letters at a time. */
function chunk(offset: number, other: Partial<InstallSnapshot> = {}): InstallSnapshot {
  const whole = "abcdef";
  return {
    term: 2,
    from: 0,
    lastIncludedIndex: 10,
    lastIncludedTerm: 1,
    offset,
    totalSize: whole.length,
    done: offset + 2 === whole.length,
    data: Buffer.from(whole.slice(offset, offset + 2)),
    ...other,
  };
}

function stored(nextOffset: number, complete = false): object {
  return { stored: true, nextOffset, complete };
}

function refused(nextOffset: number): object {
  return { stored: false, nextOffset, complete: false };
}

async function snapshot(): Promise<string> {
  return Buffer.from((await readSnapshot(persister)) ?? []).toString();
}

test("one after the other they make a snapshot", async () => {
  expect(await receiver.receive(chunk(0))).toEqual(stored(2));
  expect(await receiver.receive(chunk(2))).toEqual(stored(4));
  expect(await receiver.receive(chunk(4))).toEqual(stored(6, true));
  expect(await snapshot()).toBe("abcdef");
});

test("one that comes twice is taken once, and one too early not at all", async () => {
  await receiver.receive(chunk(0));
  expect(await receiver.receive(chunk(0))).toEqual(refused(2));
  expect(await receiver.receive(chunk(4))).toEqual(refused(2));
  await receiver.receive(chunk(2));
  expect(await receiver.receive(chunk(2))).toEqual(refused(4));
  expect(await receiver.receive(chunk(4))).toEqual(stored(6, true));
  expect(await snapshot()).toBe("abcdef");
});

test("all at once they are taken in the order in which they came", async () => {
  const results = await Promise.all([0, 2, 4].map((offset) => receiver.receive(chunk(offset))));
  expect(results).toEqual([stored(2), stored(4), stored(6, true)]);
  expect(await snapshot()).toBe("abcdef");
});

test("more than was announced is refused", async () => {
  await receiver.receive(chunk(0));
  expect(await receiver.receive(chunk(2, { data: Buffer.alloc(5) }))).toEqual(refused(2));
});

test("less than was announced is no snapshot: it begins anew", async () => {
  await receiver.receive(chunk(0));
  expect(await receiver.receive(chunk(2, { done: true }))).toEqual(refused(0));
  expect(await snapshot()).toBe("");
  expect(await receiver.receive(chunk(0))).toEqual(stored(2));
});

test.each([
  ["another leader's", { from: 2, term: 3 }],
  ["of another snapshot", { lastIncludedIndex: 11 }],
  ["of another size", { totalSize: 7 }],
])("one %s drops what came before", async (_, other) => {
  await receiver.receive(chunk(0));
  expect(await receiver.receive(chunk(2, other))).toEqual(refused(0));
  expect(await receiver.receive(chunk(0, other))).toEqual(stored(2));
  expect(await receiver.receive(chunk(2))).toEqual(refused(0));
});

test("the last one, sent again, finds the snapshot whole", async () => {
  for (const offset of [0, 2, 4]) await receiver.receive(chunk(offset));
  expect(await receiver.receive(chunk(4))).toEqual(stored(6, true));
  expect(await snapshot()).toBe("abcdef");
});

test("what was left half sent is dropped when its time is over, not before", async () => {
  await receiver.receive(chunk(0));
  now = timeoutMs - 1;
  receiver.expire();
  expect(await receiver.receive(chunk(2))).toEqual(stored(4));
  now += timeoutMs;
  receiver.expire();
  expect(await receiver.receive(chunk(4))).toEqual(refused(0));
});
