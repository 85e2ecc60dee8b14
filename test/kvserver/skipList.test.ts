import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { SkipList } from "../../kvserver/skipList.js";
import { seededLevels } from "../../kvserver/skipListLevels.js";
import type { SkipListSnapshot } from "../../kvserver/skipListSnapshot.js";

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const hex = (value: Uint8Array): string => Buffer.from(value).toString("hex");
const hexOrNone = (value?: Uint8Array): string | undefined => value && hex(value);

/** Keys that are the same in the bytes that a node holds, differ in zeros at the end, or are empty. */
const keyBytes = fc.oneof(
  fc.uint8Array({ maxLength: 3 }),
  fc
    .tuple(
      fc.constantFrom("", "a", "p".repeat(27), "p".repeat(28)),
      fc.constantFrom("", "\0", "a", "b"),
    )
    .map(([start, end]) => bytes(start + end)),
);
/** Sizes on both sides of every way to store a block. */
const valueBytes = fc
  .tuple(fc.constantFrom(0, 1, 8, 15, 16, 17, 100, 130, 200, 300, 16_384, 17_000), fc.nat(255))
  .map(([length, fill]) => new Uint8Array(length).fill(fill));

type Write =
  | { kind: "put" | "append"; key: Uint8Array; value: Uint8Array }
  | { kind: "delete"; key: Uint8Array };
type Read = { kind: "read"; count: number };

function writes(keys: fc.Arbitrary<Uint8Array>): fc.Arbitrary<Write> {
  const kind = fc.constantFrom("put" as const, "append" as const);
  return fc.oneof(
    { weight: 2, arbitrary: fc.record({ kind, key: keys, value: valueBytes }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant("delete" as const), key: keys }) },
  );
}

const step = writes(keyBytes);
/** Of few keys, so that a snapshot sees each written, deleted and written again. */
const write = writes(fc.nat(11).map((n) => bytes(`key${n}`)));
const writeOrRead: fc.Arbitrary<Write | Read> = fc.oneof(
  { weight: 3, arbitrary: write },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("read" as const), count: fc.nat(3) }) },
);

/** The same map in the plainest way. */
class Model {
  private readonly pairs = new Map<string, Uint8Array>();

  /** Does the step on both; what the list answered and what it should. */
  apply(list: SkipList, action: Write): [unknown, unknown] {
    if (action.kind === "put") {
      const isNew = !this.pairs.has(hex(action.key));
      this.pairs.set(hex(action.key), action.value);
      return [list.put(action.key, action.value), isNew];
    }
    if (action.kind === "append") {
      const old = this.pairs.get(hex(action.key)) ?? new Uint8Array(0);
      this.pairs.set(hex(action.key), Buffer.concat([old, action.value]));
      return [list.append(action.key, action.value, 1 << 20), true];
    }
    return [list.delete(action.key), this.pairs.delete(hex(action.key))];
  }

  sorted(): [string, string][] {
    return [...this.pairs]
      .map(([key, value]): [string, string] => [key, hex(value)])
      .sort(([a], [b]) => Buffer.compare(Buffer.from(a, "hex"), Buffer.from(b, "hex")));
  }

  get(key: Uint8Array): Uint8Array | undefined {
    return this.pairs.get(hex(key));
  }

  get bytes(): number {
    return [...this.pairs].reduce((sum, [key, value]) => sum + key.length / 2 + value.length, 0);
  }
}

function readSome(snapshot: SkipListSnapshot, count: number, into: [string, string][]): boolean {
  for (let i = 0; i < count; i++) {
    const pair = snapshot.next();
    if (pair === null) return false;
    if (pair !== undefined) into.push([hex(pair.key), hex(pair.value)]);
  }
  return true;
}

function pairsOf(list: SkipList, from?: Uint8Array): [string, string][] {
  return [...list.entries(from)].map(({ key, value }) => [hex(key), hex(value)]);
}

describe("SkipList", () => {
  test("does what a plain sorted map does, whatever the steps", () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 80 }), fc.integer(), (steps, seed) => {
        const list = new SkipList(seededLevels(seed));
        const model = new Model();
        for (const action of steps) {
          const [actual, expected] = model.apply(list, action);
          expect(actual).toBe(expected);
          expect(hexOrNone(list.get(action.key))).toBe(hexOrNone(model.get(action.key)));
        }
        expect(pairsOf(list)).toEqual(model.sorted());
        expect(list.size).toBe(model.sorted().length);
        expect(list.bytes).toBe(model.bytes);
      }),
    );
  });

  test("takes pairs one after the other as any others, in their order or not", () => {
    const pairs = fc.array(fc.tuple(fc.uint8Array({ maxLength: 12 }), fc.uint8Array()));
    fc.assert(
      fc.property(pairs, fc.boolean(), fc.integer(), (unsorted, inOrder, seed) => {
        const some = inOrder ? unsorted.toSorted(([a], [b]) => Buffer.compare(a, b)) : unsorted;
        const [list, model] = [new SkipList(seededLevels(seed)), new SkipList(seededLevels(seed))];
        for (const [key, value] of some) {
          expect(list.putNext(key, value)).toBe(model.put(key, value));
          expect(hexOrNone(list.get(key))).toBe(hex(value));
        }
        expect(pairsOf(list)).toEqual(pairsOf(model));
        expect([list.size, list.bytes]).toEqual([model.size, model.bytes]);
      }),
    );
  });

  test("iterates from the first key at or after the given one", () => {
    fc.assert(
      fc.property(fc.array(keyBytes), keyBytes, (keys, from) => {
        const list = new SkipList();
        for (const key of keys) list.put(key, bytes("v"));
        const expected = [...new Set(keys.map(hex))]
          .filter((key) => Buffer.compare(Buffer.from(key, "hex"), from) >= 0)
          .sort((a, b) => Buffer.compare(Buffer.from(a, "hex"), Buffer.from(b, "hex")));
        expect(pairsOf(list, from).map(([key]) => key)).toEqual(expected);
      }),
    );
  });

  test("orders keys as memcmp does, where text would not", () => {
    const list = new SkipList();
    const keys = [[0xff], [0x7f], [0x80], [], [0x00], [0x7f, 0x00], [0x80, 0x01]];
    for (const key of keys) list.put(Uint8Array.from(key), bytes("v"));
    expect(pairsOf(list).map(([key]) => key)).toEqual(["", "00", "7f", "7f00", "80", "8001", "ff"]);
  });

  test("owns what it keeps: the caller's buffer may be used again", () => {
    const list = new SkipList();
    const shared = bytes("keyvalue");
    list.put(shared.subarray(0, 3), shared.subarray(3));
    shared.fill(0);
    expect(list.get(bytes("key"))).toEqual(bytes("value"));
  });

  test.each([10, 5_000, 100_000])("a value that was read never changes (%i bytes)", (length) => {
    const list = new SkipList();
    const value = new Uint8Array(length).fill(1);
    list.put(bytes("k"), value);
    list.append(bytes("k"), value, 1 << 20);
    const read = list.get(bytes("k"));
    list.append(bytes("k"), bytes("tail"), 1 << 20);
    list.put(bytes("k"), new Uint8Array(2 * length).fill(2));
    list.put(bytes("k"), new Uint8Array(length).fill(3));
    list.delete(bytes("k"));
    list.put(bytes("k"), new Uint8Array(2 * length).fill(4));
    expect(read && Buffer.from(read).equals(Buffer.alloc(2 * length, 1))).toBe(true);
  });

  test("refuses an append beyond the limit and changes nothing", () => {
    const list = new SkipList();
    expect(list.append(bytes("k"), bytes("12345"), 4)).toBe(false);
    expect(list.size).toBe(0);
    expect(list.append(bytes("k"), bytes("1234"), 4)).toBe(true);
    expect(list.append(bytes("k"), bytes("5"), 4)).toBe(false);
    expect(list.get(bytes("k"))).toEqual(bytes("1234"));
  });

  test("many appends cost what their bytes cost, not what the value costs each time", () => {
    const list = new SkipList();
    const before = list.memoryBytes;
    for (let i = 0; i < 200_000; i++) list.append(bytes("k"), bytes("0123456789"), 1 << 24);
    expect(list.get(bytes("k"))?.length).toBe(2_000_000);
    expect(list.memoryBytes - before).toBeLessThan(2_000_000 * 1.5);
  });

  test("memory of deleted keys serves other sizes", () => {
    const list = new SkipList();
    const fill = (size: number): void => {
      for (let i = 0; i < 20_000; i++) list.put(bytes(`key${i}`), new Uint8Array(size));
    };
    fill(100);
    const once = list.memoryBytes;
    for (let i = 0; i < 20_000; i++) list.delete(bytes(`key${i}`));
    expect(list.size).toBe(0);
    expect(list.bytes).toBe(0);
    fill(90);
    fill(40);
    fill(100);
    expect(list.memoryBytes).toBeLessThan(once * 1.3);
  });

  test("finds each of 200,000 keys again, inserted in order and not", () => {
    const list = new SkipList();
    const keyOf = (i: number): Uint8Array => bytes(`user:${(i * 7919) % 200_003}`);
    for (let i = 0; i < 200_003; i++) list.put(keyOf(i), bytes(String(i)));
    expect(list.size).toBe(200_003);
    const lost = [];
    for (let i = 0; i < 200_003; i++) {
      if (Buffer.compare(list.peek(keyOf(i)) ?? bytes(""), bytes(String(i))) !== 0) lost.push(i);
    }
    expect(lost).toEqual([]);
    const disordered = [];
    let before = bytes("");
    for (const { key } of list.entries()) {
      if (Buffer.compare(before, key) >= 0) disordered.push(key);
      before = key;
    }
    expect(disordered).toEqual([]);
  });
});

describe("SkipList.snapshotIterator", () => {
  test("reads the list as it was, whatever is written between the slices", () => {
    fc.assert(
      fc.property(fc.array(write), fc.array(writeOrRead), fc.integer(), (before, during, seed) => {
        const list = new SkipList(seededLevels(seed));
        const model = new Model();
        // Twice, as a list does not forget the snapshots that it had.
        for (let round = 0; round < 2; round++) {
          for (const action of before) model.apply(list, action);
          const expected = model.sorted();
          const snapshot = list.snapshotIterator();
          const read: [string, string][] = [];
          for (const action of during) {
            if (action.kind === "read") readSome(snapshot, action.count, read);
            else model.apply(list, action);
          }
          while (readSome(snapshot, 1, read));
          snapshot.close();
          expect(read).toEqual(expected);
          expect(snapshot.size).toBe(expected.length);
          expect(pairsOf(list)).toEqual(model.sorted());
        }
      }),
      { numRuns: 200 },
    );
  });

  test("only one at a time, and another after close", () => {
    const list = new SkipList();
    list.put(bytes("k"), bytes("v"));
    const first = list.snapshotIterator();
    expect(() => list.snapshotIterator()).toThrow(/open already/);
    first.close();
    first.close();
    expect(first.next()).toBeNull();
    const second = list.snapshotIterator();
    expect(second.next()).toEqual({ key: bytes("k"), value: bytes("v") });
  });

  test("a slice is bounded, however many keys were added since", () => {
    const list = new SkipList();
    list.put(bytes("a"), bytes("old"));
    list.put(bytes("z"), bytes("old"));
    const slices = list.snapshotIterator();
    expect(slices.next()?.key).toEqual(bytes("a"));
    for (let i = 0; i < 10_000; i++) list.put(bytes(`b${i}`), bytes("new"));
    for (let i = 0; i < 10_000; i++) list.put(bytes(`zz${i}`), bytes("new"));
    expect(slices.next()?.key).toEqual(bytes("z"));
    expect(slices.next()).toBeUndefined();
    expect(slices.next()).toBeUndefined();
    expect(slices.next()).toBeNull();
  });
});
