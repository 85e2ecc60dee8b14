import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Entry } from "../../../raft/core/index.js";
import { quorumSize, quorumValue } from "../../../raft/core/quorum.js";
import { RaftLog } from "../../../raft/core/raftLog.js";

type Step =
  | { readonly kind: "append"; readonly count: number; readonly newTerm: boolean }
  | { readonly kind: "truncate"; readonly back: number }
  | { readonly kind: "save" | "sync" | "commit" | "compact" | "restore" };

const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({
    kind: fc.constant("append" as const),
    count: fc.integer({ min: 1, max: 4 }),
    newTerm: fc.boolean(),
  }),
  fc.record({ kind: fc.constant("truncate" as const), back: fc.integer({ min: 1, max: 5 }) }),
  fc.record({
    kind: fc.constantFrom(
      "save" as const,
      "save" as const,
      "sync" as const,
      "sync" as const,
      "commit" as const,
      "compact" as const,
      "restore" as const,
    ),
  }),
);

/** A `RaftLog` beside a disk that takes its saves one by one, and a plain list of what it holds. */
class LogAndDisk {
  readonly log = new RaftLog({ index: 0, term: 0 }, []);
  /** By index; what a sync would leave behind. */
  readonly disk: (Entry | undefined)[] = [];
  private readonly saves: { id: number; base: number; entries: readonly Entry[] }[] = [];
  private saveId = 0;
  private term = 1;
  private base = 0;

  run(next: Step): void {
    const { log } = this;
    switch (next.kind) {
      case "append":
        if (next.newTerm) this.term++;
        for (let count = 0; count < next.count; count++)
          log.append(oneEntry(log.lastIndex + 1, this.term));
        return;
      case "truncate":
        // What replaces a conflict is of a newer term than the log's.
        this.term++;
        if (log.lastIndex > log.commitIndex)
          log.truncate(Math.max(log.commitIndex + 1, log.lastIndex - next.back));
        return;
      case "save":
        this.saves.push({
          id: ++this.saveId,
          base: this.base,
          entries: log.takeUnsaved(this.saveId),
        });
        return;
      case "sync":
        return this.sync();
      case "commit":
        return log.commitTo(Math.max(log.commitIndex, log.durableIndex));
      case "compact":
        return log.compact(log.commitIndex);
      case "restore":
        this.base = log.lastIndex + 3;
        log.restore({ index: this.base, term: ++this.term });
    }
  }

  private sync(): void {
    const save = this.saves.shift();
    if (save === undefined) return;
    const head = save.entries[0];
    if (head !== undefined) {
      this.disk.length = head.index;
      for (const entry of save.entries) this.disk[entry.index] = entry;
    }
    this.log.saved(save.id);
  }
}

function oneEntry(index: number, term: number): Entry[] {
  return [{ index, term, command: Uint8Array.of(index, term) }];
}

describe("RaftLog", () => {
  test("what it calls durable is on the disk, whatever was truncated and rewritten (ABA)", () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const both = new LogAndDisk();
        const { log, disk } = both;
        for (const next of steps) {
          both.run(next);
          for (let index = log.firstIndex; index <= log.durableIndex; index++)
            expect(disk[index]).toEqual(log.entry(index));
          expect(log.durableIndex).toBeLessThanOrEqual(log.lastIndex);
          expect(log.commitIndex).toBeLessThanOrEqual(log.lastIndex);
          expect(log.firstIndex).toBeLessThanOrEqual(log.commitIndex + 1);
        }
      }),
      { numRuns: 300 },
    );
  });

  test("a slice is the same array for the next follower, and another once the log was rewritten", () => {
    const log = new RaftLog({ index: 0, term: 0 }, []);
    for (const index of [1, 2, 3, 4]) log.append(oneEntry(index, 1));
    log.takeUnsaved(1);
    log.saved(1);
    log.commitTo(2);
    log.commitTo(3);
    const all = log.slice(1, 10, 1e6);
    expect(all).toEqual([1, 2, 3, 4].flatMap((index) => oneEntry(index, 1)));
    expect(log.slice(1, 10, 1e6)).toBe(all);
    expect(log.slice(2, 2, 1e6)).toEqual(all.slice(1, 3));
    expect(log.slice(1, 10, 1)).toEqual(all.slice(0, 1));
    log.slice(1, 10, 1e6);
    log.truncate(4);
    log.append(oneEntry(4, 2));
    expect(log.slice(1, 10, 1e6)).toEqual([...all.slice(0, 3), ...oneEntry(4, 2)]);
    log.compact(1);
    expect(log.slice(2, 10, 1e6)).toHaveLength(3);
  });

  test("committed entries can't be truncated, nor uncommitted ones compacted", () => {
    const log = new RaftLog({ index: 0, term: 0 }, []);
    for (const index of [1, 2, 3]) log.append(oneEntry(index, 1));
    log.commitTo(2);
    expect(() => log.truncate(2)).toThrow("below commit");
    expect(() => log.compact(3)).toThrow("above commit");
    expect(() => log.commitTo(1)).toThrow("commit 2 -> 1");
    expect(() => log.commitTo(4)).toThrow("commit 2 -> 4");
  });

  test("entries must follow each other, their terms never falling", () => {
    const log = new RaftLog({ index: 4, term: 3 }, []);
    expect(() => log.append(oneEntry(6, 3))).toThrow("entry 6/3 after 4/3");
    expect(() => log.append(oneEntry(5, 2))).toThrow("entry 5/2 after 4/3");
    log.append(oneEntry(5, 3));
    expect(log.lastIndex).toBe(5);
  });
});

test("a quorum's value is reached by a majority, and a larger one is not", () => {
  const values = fc.array(fc.integer({ min: 0, max: 9 }), { minLength: 1, maxLength: 9 });
  fc.assert(
    fc.property(values, (reached) => {
      const value = quorumValue(reached);
      const count = (least: number): number => reached.filter((one) => one >= least).length;
      expect(count(value)).toBeGreaterThanOrEqual(quorumSize(reached.length));
      expect(count(value + 1)).toBeLessThan(quorumSize(reached.length));
    }),
  );
});

test.each([
  [1, 1],
  [2, 2],
  [3, 2],
  [4, 3],
  [5, 3],
  [6, 4],
  [7, 4],
])("of %s nodes, %s are a majority", (size, majority) => {
  expect(quorumSize(size)).toBe(majority);
});
