/**
 * Every bit, length, sector and file of a directory damaged: it is recovered whole, loses no more
 * than a last write that may have been torn, or is refused. Never does it hold anything else.
 *
 * `npm run proof:storage` tries all of it; here a sample.
 */
import assert from "node:assert/strict";
import { expect, test } from "vitest";
import { StorageError } from "../../../../raft/persister/storageError.js";
import { WalPersister } from "../../../../raft/persister/walPersister.js";
import { describeLog, type LogState, matches, nothing, statesOf } from "../logModel.js";
import { MemoryDisk } from "../memoryDisk.js";
import {
  directory,
  entries,
  entry,
  open,
  readSnapshot,
  save,
  segmentPath,
  writeSnapshot,
} from "../support.js";
import { diskWith } from "./checkState.js";
import { damages } from "./damages.js";
import type { Files } from "./recordingDisk.js";
import { openOptions, stateAt } from "./workload.js";

const isFull = process.env["STORAGE_PROOF"] === "full";
/** Of so many damages one is tried: a prime, so that all bits of a byte have their turn. */
const stride = isFull ? 1 : 601;

const big = (index: number, term: number) => entry(index, term, new Uint8Array(900).fill(index));
const snapshotMeta = { index: 7, term: 2 };

interface Scene {
  readonly files: Files;
  /** What the directory held. */
  readonly whole: LogState;
  /** What it may hold when its last write looks torn. */
  readonly torn: readonly LogState[];
}

/** Three segments, a snapshot, and a last write of three records. */
async function scene(compacted: boolean, closed: boolean): Promise<Scene> {
  const disk = new MemoryDisk();
  // Each sync but the last comes long enough after the one before for a note of how far it is synced.
  let now = 0;
  let step = 1000;
  const clock = (): number => (now += step);
  const persister = await open(disk, { ...openOptions(true), now: clock });
  let state = nothing;
  const add = async (term: number, list: Parameters<typeof statesOf>[2]): Promise<void> => {
    const hardState = { term, votedFor: 1 };
    state = statesOf(state, hardState, list).at(-1)!;
    await save(persister, { hardState, entries: list });
  };
  await add(1, entries(1, 3));
  await add(1, [big(4, 1), big(5, 1), big(6, 1)]);
  await add(2, [big(6, 2), big(7, 2), big(8, 2), big(9, 2)]);
  await writeSnapshot(persister, snapshotMeta, stateAt(snapshotMeta));
  if (compacted) await persister.compact(snapshotMeta, snapshotMeta.index);
  await add(3, [big(10, 3), big(11, 3)]);
  const before = state;
  step = 0;
  await add(4, [entry(12, 3), ...entries(13, 14, 4)]);
  const torn = closed
    ? []
    : [
        before,
        ...statesOf(before, { term: 4, votedFor: 1 }, [entry(12, 3), ...entries(13, 14, 4)]),
      ];
  if (closed) await persister.close();
  else disk.kill();
  return {
    files: new Map(disk.paths().map((path) => [path, disk.contents(path)])),
    whole: state,
    torn,
  };
}

/** What became of it. @throws AssertionError when it was opened and holds the wrong thing. */
async function judge(files: Files, { whole, torn }: Scene): Promise<string> {
  const fs = diskWith(files).mount();
  let persister: WalPersister;
  try {
    persister = await WalPersister.open(directory, { ...openOptions(true), fs });
  } catch (error) {
    if (!(error instanceof StorageError)) throw error;
    assert.ok(error.file !== null, "a refusal names the file");
    assert.ok(error.code !== "DAMAGED" || error.offset !== null, "and the place in it");
    return `refused: ${error.code}`;
  }
  const { hardState, snapshot, entries: found } = persister.recovered;
  if (snapshot !== null) {
    const state = (await readSnapshot(persister)) ?? new Uint8Array();
    assert.equal(Buffer.compare(state, stateAt(snapshot)), 0, "the snapshot's state");
  }
  if (matches(whole, hardState, snapshot, found)) return "all there";
  const isTorn = torn.some((state) => matches(state, hardState, snapshot, found));
  assert.ok(isTorn, `recovered: ${describeLog(hardState, snapshot, found)}`);
  return "last write cut";
}

const scenes = [
  { name: "a whole log, killed", compacted: false, closed: false },
  { name: "a compacted log, killed", compacted: true, closed: false },
  { name: "a whole log, closed", compacted: false, closed: true },
  { name: "a compacted log, closed", compacted: true, closed: true },
];

test.each(scenes)(
  "no damage makes wrong data of $name",
  async ({ name, compacted, closed }) => {
    const one = await scene(compacted, closed);
    expect(one.files.has(segmentPath(1))).toBe(!compacted);
    expect(await judge(one.files, one)).toBe("all there");
    const counts = new Map<string, number>();
    let met = 0;
    for (const { kind, what, files } of damages(one.files)) {
      const isRare = kind.startsWith("file ") || kind.startsWith("files ");
      if (met++ % stride !== 0 && !(isRare && kind !== "file cut short")) continue;
      try {
        const row = `${kind}: ${await judge(files, one)}`;
        counts.set(row, (counts.get(row) ?? 0) + 1);
      } catch (error) {
        throw new Error(`${name}, ${kind}, ${what}: ${(error as Error).message}`, { cause: error });
      }
    }
    if (isFull) console.log(name, Object.fromEntries(counts));
    const outcomes = new Set(
      [...counts.keys()].map((row) => row.replace(/.*: (?=[a-zA-Z ]+$)/, "")),
    );
    expect(outcomes).toContain("DAMAGED");
    expect(outcomes.has("last write cut")).toBe(!closed);
  },
  isFull ? 1_800_000 : 30_000,
);
