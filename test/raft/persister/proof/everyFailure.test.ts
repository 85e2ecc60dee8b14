/**
 * Each call of a node's life to its disk fails, or writes less than it was given: from then on
 * nothing is acknowledged, the owner is told once, and what the disk holds is recovered to all that
 * was acknowledged. What is recovered stays, though the power goes before anything else is saved.
 *
 * `npm run proof:storage` tries all of it; here a sample.
 */
import assert from "node:assert/strict";
import { describe, expect, test } from "vitest";
import { StorageError } from "../../../../raft/persister/storageError.js";
import { Prng } from "../../../sim/prng.js";
import { MemoryDisk } from "../memoryDisk.js";
import { directory } from "../support.js";
import { exactly, openAndCheck } from "./checkState.js";
import { aftermaths, failures, refusalCode, shortWrites, trying } from "./failures.js";
import { type Fault, FaultyDisk } from "./faultyDisk.js";
import { Life, live } from "./workload.js";

const isFull = process.env["STORAGE_PROOF"] === "full";
/** Of so many calls one is made to fail: coprime to what repeats in a life. */
const stride = isFull ? 1 : 13;

interface Run {
  readonly disk: MemoryDisk;
  readonly faulty: FaultyDisk;
  readonly life: Life;
  /** What ended the life, or null. */
  readonly error: unknown;
  /** The life's phase when the fault struck. */
  readonly phase: Life["phase"] | null;
  /** Writes and syncs of the log after the owner was told. */
  readonly later: readonly string[];
}

async function run(waits: boolean, fault: Fault | null, at: number): Promise<Run> {
  const disk = new MemoryDisk();
  const faulty = new FaultyDisk(() => disk.mount(), fault, at);
  const life = new Life(waits, { directory, mount: () => faulty.mount() });
  let phase: Life["phase"] | null = null;
  const later: string[] = [];
  faulty.onSyncFailed = (path) => disk.syncFailed(path);
  faulty.onCall = (call) => {
    if (life.failures.length > 0 && /^(write|sync) .*\.log$/.test(call)) later.push(call);
    if (faulty.calls.length === at) phase = life.phase;
  };
  const error = await live(life).then(
    () => null,
    (thrown: unknown) => thrown,
  );
  // What can't even be closed is left to the next process.
  await life.close().catch(() => {});
  return { disk, faulty, life, error, phase, later };
}

function mustHaveEnded({ life, error, phase, later }: Run, code: string): void {
  assert.ok(error instanceof StorageError, `not by the disk: ${error as Error}`);
  assert.equal(error.code, code);
  const told = life.failures.length;
  if (phase === "running") assert.equal(told, 1, "times that the owner was told");
  if (phase === "opening") assert.equal(told, 0, "times that nobody was told");
  if (phase === "closing") assert.ok(told <= 1, "times that the owner was told while it closed");
  assert.equal(life.lateAcknowledgements, 0, "acknowledged after the failure");
  assert.deepEqual(later, [], "tried again after the failure");
}

/** @returns false when the fault found nothing to strike. */
async function tryFailure(
  waits: boolean,
  fault: Fault,
  at: number,
  aftermath: (disk: MemoryDisk, random: Prng) => void,
): Promise<boolean> {
  const tried = await run(waits, fault, at);
  if (tried.faulty.struck === null) return false;
  mustHaveEnded(tried, refusalCode(fault));
  const { disk, life } = tried;
  aftermath(disk, new Prng(at));
  const { recovered } = await openAndCheck(disk.mount(), life.promised);
  disk.crash(() => false);
  const again = await openAndCheck(disk.mount(), exactly(recovered));
  await again.close();
  return true;
}

async function tryShortWrite(waits: boolean, fault: Fault, at: number): Promise<boolean> {
  const { disk, faulty, life, error } = await run(waits, fault, at);
  if (faulty.struck === null) return false;
  assert.equal(error, null);
  assert.deepEqual(life.failures, []);
  disk.crash(() => false);
  await openAndCheck(disk.mount(), life.promised);
  return true;
}

describe.each([true, false])("with a sync that the event loop waits for: %s", (waits) => {
  test(
    "each call fails",
    async () => {
      const { faulty } = await run(waits, null, -1);
      const { length } = faulty.calls;
      let states = 0;
      let next = 0;
      for (const [name, fault] of Object.entries(failures)) {
        for (const [after, aftermath] of Object.entries(aftermaths)) {
          // Each kind begins at another call, so that a sample too comes to all of them.
          for (let at = next++ % stride; at < length; at += stride) {
            const what = `${name}, call ${at} (${faulty.calls[at]}), ${after}`;
            if (await trying(what, () => tryFailure(waits, fault, at, aftermath))) states++;
          }
        }
      }
      console.log(`${length} calls, each failing in turn: ${states} states`);
      expect(states).toBeGreaterThan(isFull ? 3_000 : 250);
    },
    isFull ? 600_000 : 30_000,
  );

  test(
    "each write takes less than it was given",
    async () => {
      const { faulty } = await run(waits, null, -1);
      let states = 0;
      for (const [name, fault] of Object.entries(shortWrites)) {
        // What lasts from the first write on holds all that a later beginning would.
        const end = fault.lasts ? 1 : faulty.calls.length;
        for (let at = 0; at < end; at += stride) {
          const what = `${name}, call ${at}`;
          if (await trying(what, () => tryShortWrite(waits, fault, at))) states++;
        }
      }
      console.log(`short writes: ${states} states`);
      expect(states).toBeGreaterThan(isFull ? 40 : 3);
    },
    isFull ? 600_000 : 30_000,
  );
});
