/**
 * Each call of a recovery to its disk fails: the node does not start and says why, and a later
 * recovery finds all that was acknowledged, no less and no more, also where the power goes as soon
 * as something was acknowledged after it.
 *
 * `npm run proof:storage` tries all of it; here a sample.
 */
import assert from "node:assert/strict";
import { beforeAll, expect, test } from "vitest";
import type { HardState } from "../../../../raft/core/types.js";
import { StorageError } from "../../../../raft/persister/storageError.js";
import { WalPersister } from "../../../../raft/persister/walPersister.js";
import { Prng } from "../../../sim/prng.js";
import type { MemoryDisk } from "../memoryDisk.js";
import { directory, save } from "../support.js";
import { type Beginning, beginnings } from "./beginnings.js";
import { exactly, openAndCheck } from "./checkState.js";
import { aftermaths, failures, refusalCode, shortWrites, trying } from "./failures.js";
import { type Fault, FaultyDisk } from "./faultyDisk.js";
import { openOptions, type Promised } from "./workload.js";

const isFull = process.env["STORAGE_PROOF"] === "full";
const stateStride = isFull ? 1 : 199;
/** Of so many calls one is made to fail. */
const callStride = isFull ? 1 : 17;
const timeoutMs = isFull ? 1_800_000 : 30_000;

let found: readonly Beginning[];

beforeAll(async () => {
  found = await beginnings(stateStride);
}, timeoutMs);

async function openOn(faulty: FaultyDisk): Promise<unknown> {
  try {
    return await WalPersister.open(directory, { ...openOptions(true), fs: faulty.mount() });
  } catch (error) {
    return error;
  }
}

/** Opens it, acknowledges a vote and then an entry, and takes the power away after each. */
async function goOn(disk: MemoryDisk, promised: Promised): Promise<void> {
  const { recovered } = await openAndCheck(disk.mount(), promised);
  const untouched = disk.copy();
  untouched.crash(() => false);
  await openAndCheck(untouched.mount(), exactly(recovered));
  disk.kill();
  const grown = await openAndCheck(disk.mount(), exactly(recovered));
  const { snapshot, entries } = recovered;
  // A record alone, as short as can be: one of the torn ones may have stood behind such a one.
  const hardState: HardState = { term: recovered.hardState.term + 1, votedFor: 2 };
  await save(grown, { hardState });
  disk.crash(() => false);
  const voted = await openAndCheck(disk.mount(), exactly({ hardState, snapshot, entries }));
  const index = (entries.at(-1)?.index ?? snapshot?.index ?? 0) + 1;
  const next = { index, term: hardState.term, command: new Uint8Array(24) };
  await save(voted, { entries: [next] });
  disk.crash(() => false);
  await openAndCheck(disk.mount(), exactly({ hardState, snapshot, entries: [...entries, next] }));
}

/** @returns false when the fault found nothing to strike. */
async function tryFailure(
  { disk: begun, promised }: Beginning,
  fault: Fault,
  at: number,
  aftermath: (disk: MemoryDisk, random: Prng) => void,
): Promise<boolean> {
  const random = new Prng(at);
  const disk = begun.copy();
  const faulty = new FaultyDisk(() => disk.mount(), fault, at);
  faulty.onSyncFailed = (path) => disk.syncFailed(path, () => random.chance(0.3));
  const error = await openOn(faulty);
  if (faulty.struck === null) return false;
  assert.ok(error instanceof StorageError, `not refused: ${String(error)}`);
  assert.equal(error.code, refusalCode(fault));
  aftermath(disk, random);
  await goOn(disk, promised);
  return true;
}

async function tryShortWrite(
  { disk: begun, promised }: Beginning,
  fault: Fault,
  at: number,
): Promise<boolean> {
  const disk = begun.copy();
  const faulty = new FaultyDisk(() => disk.mount(), fault, at);
  const opened = await openOn(faulty);
  if (faulty.struck === null) return false;
  assert.ok(opened instanceof WalPersister, `refused: ${String(opened)}`);
  disk.kill();
  await goOn(disk, promised);
  return true;
}

test.each(Object.entries(failures))(
  "each call of a recovery fails: %s",
  async (name, fault) => {
    let calls = 0;
    let states = 0;
    let next = 0;
    for (const beginning of found) {
      calls += beginning.calls.length;
      for (const [after, aftermath] of Object.entries(aftermaths)) {
        for (let at = next++ % callStride; at < beginning.calls.length; at += callStride) {
          const what = `${beginning.name}; ${name}, call ${at} (${beginning.calls[at]}), ${after}`;
          if (await trying(what, () => tryFailure(beginning, fault, at, aftermath))) states++;
        }
      }
    }
    console.log(`${found.length} ways to recover, ${calls} calls: ${states} states`);
    expect(states).toBeGreaterThan(isFull ? 500 : 10);
  },
  timeoutMs,
);

test(
  "each write of a recovery takes less than it was given",
  async () => {
    let states = 0;
    for (const beginning of found) {
      for (const [name, fault] of Object.entries(shortWrites)) {
        const end = fault.lasts ? 1 : beginning.calls.length;
        for (let at = 0; at < end; at++) {
          const what = `${beginning.name}; ${name}, call ${at}`;
          if (await trying(what, () => tryShortWrite(beginning, fault, at))) states++;
        }
      }
    }
    console.log(`short writes of a recovery: ${states} states`);
    expect(states).toBeGreaterThan(isFull ? 100 : 20);
  },
  timeoutMs,
);
