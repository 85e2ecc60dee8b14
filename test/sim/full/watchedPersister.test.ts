import { expect, test } from "vitest";
import type { Persister, SaveBatch } from "../../../raft/persister/persister.js";
import { DurableState, type DiskObserver } from "../durableState.js";
import { WatchedPersister } from "./watchedPersister.js";

const observer: DiskObserver = {
  hardStateWritten: () => {},
  entryWritten: () => {},
  logRewritten: () => {},
  snapshotWritten: () => {},
};

function batch(term: number, ...indexes: number[]): SaveBatch {
  const entries = indexes.map((index) => ({ index, term, command: new Uint8Array() }));
  return { hardState: null, entries };
}

test("a compaction that overtakes a rewrite of what it drops takes its effect after it", async () => {
  const done: (() => void)[] = [];
  const inner: Pick<Persister, "save" | "compact"> = {
    save: (_, onDurable) => done.push(onDurable),
    compact: async () => {},
  };
  const promised = new DurableState(0, observer);
  const watched = new WatchedPersister(inner as Persister, promised);
  watched.save(batch(1, 1, 2), () => {});
  done.shift()!();
  watched.save(batch(2, 1), () => {});
  await watched.compact({ index: 1, term: 2 }, 1);
  expect([promised.firstIndex, promised.lastIndex]).toEqual([1, 2]);
  watched.save(batch(2, 2), () => {});
  for (const settle of done.splice(0)) settle();
  expect([promised.firstIndex, promised.lastIndex, promised.term(1)]).toEqual([2, 2, 2]);
});
