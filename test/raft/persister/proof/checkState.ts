/** Whether a directory that a crash left is recovered to something that was promised. */
import assert from "node:assert/strict";
import type { RecoveredState } from "../../../../raft/persister/persister.js";
import type { StorageFs } from "../../../../raft/persister/storageFs.js";
import { WalPersister } from "../../../../raft/persister/walPersister.js";
import { describeLog, matches, nothing } from "../logModel.js";
import { MemoryDisk } from "../memoryDisk.js";
import { directory, readSnapshot, save } from "../support.js";
import type { Files } from "./recordingDisk.js";
import { openOptions, type Promised, stateAt } from "./workload.js";

export function diskWith(files: Files): MemoryDisk {
  const disk = new MemoryDisk();
  for (const [path, bytes] of files) disk.replace(path, bytes);
  return disk;
}

/** Opens it, goes on with it, and opens it again. */
export async function checkState(files: Files, promised: Promised): Promise<void> {
  const disk = diskWith(files);
  const persister = await openAndCheck(disk.mount(), promised);
  const { hardState, snapshot, entries } = persister.recovered;
  const last = entries.at(-1)?.index ?? snapshot?.index ?? 0;
  const next = { index: last + 1, term: hardState.term + 1, command: new Uint8Array(24) };
  await save(persister, { hardState: { term: next.term, votedFor: 1 }, entries: [next] });
  // What was set aside must not come back once the log has grown past it.
  disk.kill();
  const grown = await WalPersister.open(directory, { ...openOptions(true), fs: disk.mount() });
  assert.equal(grown.recovered.hardState.term, next.term, "the next term");
  assert.deepEqual(
    grown.recovered.entries.map(({ index, term }) => [index, term]),
    [...entries, next].map(({ index, term }) => [index, term]),
    "the log after it went on",
  );
}

/** What a node counts on once it has read its disk. */
export function exactly({ hardState, snapshot, entries }: RecoveredState): Promised {
  const state = { hardState, log: entries, base: snapshot ?? nothing.base };
  return { states: [state], snapshots: [snapshot] };
}

/** @throws AssertionError when something acknowledged is missing, or something is invented. */
export async function openAndCheck(
  fs: StorageFs,
  promised: Promised,
  at = directory,
): Promise<WalPersister> {
  const persister = await WalPersister.open(at, { ...openOptions(true), fs });
  const { hardState, snapshot, entries } = persister.recovered;
  const indexes = promised.snapshots.map((meta) => meta?.index);
  assert.ok(indexes.includes(snapshot?.index), `snapshot ${snapshot?.index} of ${indexes.join()}`);
  const state = promised.states.find((one) => matches(one, hardState, snapshot, entries));
  assert.ok(state !== undefined, `recovered: ${describeLog(hardState, snapshot, entries)}`);
  if (snapshot !== null) {
    const bytes = (await readSnapshot(persister)) ?? new Uint8Array();
    assert.equal(Buffer.compare(bytes, stateAt(snapshot)), 0, "the snapshot's state");
  }
  return persister;
}
