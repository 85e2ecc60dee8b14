import fc from "fast-check";
import { expect, test } from "vitest";
import type { Entry } from "../../../raft/core/index.js";
import { PackedEntries } from "../../../raft/core/packedEntries.js";

/** From empty ones to those too large to be copied; a few of 100 KiB fill a block. */
const commandBytes = fc.oneof(fc.nat(40), fc.integer({ min: 4_000, max: 20_000 }));
const step = fc.oneof(
  { weight: 8, arbitrary: fc.record({ add: fc.array(commandBytes, { maxLength: 30 }) }) },
  { weight: 2, arbitrary: fc.record({ drop: fc.nat(60) }) },
  { weight: 1, arbitrary: fc.record({ jump: fc.nat(5) }) },
);

function entryOf(index: number, term: number, bytes: number): Entry {
  return { index, term, command: new Uint8Array(bytes).fill(index % 251) };
}

function plain({ index, term, command }: Entry): unknown {
  return { index, term, command: Buffer.from(command).toString("latin1") };
}

test("packed entries are what was added, until they are dropped", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 25 }), fc.nat(3), (steps, termEvery) => {
      const packed = new PackedEntries(5);
      let model: Entry[] = [];
      let first = 5;
      for (const next of steps) {
        if ("add" in next) {
          for (const bytes of next.add) {
            const index = packed.nextIndex;
            const entry = entryOf(index, Math.floor(index / (10 * termEvery + 1)), bytes);
            packed.add(entry);
            model.push(entry);
          }
        } else {
          first = "drop" in next ? Math.min(first + next.drop, packed.nextIndex) : -1;
          if ("jump" in next) first = packed.nextIndex + next.jump;
          packed.dropBefore(first);
          model = model.filter(({ index }) => index >= first);
        }
        const end = first + model.length;
        expect(packed.nextIndex).toBe(end);
        expect(packed.has(first - 1) || packed.has(end)).toBe(false);
        expect(packed.entries(first, end).map(plain)).toEqual(model.map(plain));
        for (const { index, term, command } of model) {
          expect(packed.has(index)).toBe(true);
          expect(packed.term(index)).toBe(term);
          expect(packed.commandBytes(index)).toBe(command.length);
        }
      }
    }),
    { numRuns: 60 },
  );
});

test("an entry that was handed out stays what it is when its memory is filled again", () => {
  const packed = new PackedEntries(1);
  const add = (count: number): void => {
    for (let i = 0; i < count; i++) packed.add(entryOf(packed.nextIndex, 1, 1_000));
  };
  add(1_000);
  const before = packed.entries(1, 1_001);
  packed.dropBefore(1_001);
  add(2_000);
  expect(before.map(plain)).toEqual(before.map(({ index }) => plain(entryOf(index, 1, 1_000))));
  expect(plain(packed.entry(2_500))).toEqual(plain(entryOf(2_500, 1, 1_000)));
});
