/** The checker against the definition, on many small histories. */
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { isLinearizableByBruteForce } from "./bruteForce.js";
import type { HistoryShape } from "./generator.js";
import { distinctValue, generateHistory, randomFrom } from "./generator.js";
import { append, bytes, failed, get, put, unknown } from "./handMade.js";
import type { Operation } from "./index.js";
import { checkHistory } from "./index.js";

const isLegal = (history: readonly Operation[]): boolean => {
  const { verdict } = checkHistory(history);
  expect(verdict).not.toBe("undecided");
  return verdict === "legal";
};

/** Few values, so that many operations could explain one answer; few times, so that many tie. */
const span = fc
  .tuple(fc.nat(10), fc.nat(5))
  .map(([call, duration]): [number, number] => [call, call + duration]);
const written = fc.constantFrom("", "a", "b", "ab");
const answer = fc.constantFrom(null, "", "a", "b", "aa", "ab", "ba", "aab", "aba", "abab");
const anyOperation = fc.oneof(
  fc.tuple(written, span).map(([value, times]) => put("A", value, times)),
  fc.tuple(written, span).map(([value, times]) => append("A", value, times)),
  fc.tuple(written, span).map(([value, times]) => unknown(put("A", value, times))),
  fc.tuple(written, span).map(([value, times]) => unknown(append("A", value, times))),
  fc.tuple(written, span).map(([value, times]) => failed(put("A", value, times))),
  { weight: 3, arbitrary: fc.tuple(answer, span).map(([output, at]) => get("B", output, at)) },
);

const smallShape: fc.Arbitrary<HistoryShape> = fc.record({
  seed: fc.nat(),
  operations: fc.integer({ min: 1, max: 8 }),
  clients: fc.integer({ min: 1, max: 4 }),
  keys: fc.constant(1),
  weights: fc.constantFrom(
    { put: 1, append: 1, get: 2 },
    { put: 1, append: 0, get: 2 },
    { put: 0, append: 1, get: 1 },
  ),
  unknownShare: fc.constantFrom(0, 0.3),
  value: fc.constantFrom(distinctValue, (_: number, random: () => number) =>
    random() < 0.5 ? "a" : "b",
  ),
});

/** One thing that a broken store, or a broken client, would do. */
function mutate(history: readonly Operation[], seed: number): Operation[] {
  const random = randomFrom(seed);
  const pick = <T>(from: readonly T[]): T => from[Math.floor(random() * from.length)]!;
  const victim = pick(history);
  const outputs = history.map((operation) =>
    operation.kind === "get" ? operation.output : operation.value,
  );
  if (victim.kind === "get") {
    const output = pick([...outputs, undefined, bytes("nobody's")]);
    return history.map((operation) => (operation === victim ? { ...victim, output } : operation));
  }
  if (random() < 0.5) return history.filter((operation) => operation !== victim);
  const other = { ...victim, value: bytes("nobody's") };
  return history.map((operation) => (operation === victim ? other : operation));
}

describe("the checker agrees with the definition", () => {
  test("on histories of any operations", () => {
    fc.assert(
      fc.property(fc.array(anyOperation, { maxLength: 7 }), (history) => {
        expect(isLegal(history)).toBe(isLinearizableByBruteForce(history));
      }),
      { numRuns: 3_000 },
    );
  });

  test("on histories of a store that works, which are legal", () => {
    fc.assert(
      fc.property(smallShape, (shape) => {
        const history = generateHistory(shape);
        expect(isLegal(history)).toBe(true);
        expect(isLinearizableByBruteForce(history)).toBe(true);
      }),
      { numRuns: 1_000 },
    );
  });

  test("on such histories with one thing wrong", () => {
    fc.assert(
      fc.property(smallShape, fc.nat(), (shape, seed) => {
        const history = mutate(generateHistory(shape), seed);
        expect(isLegal(history)).toBe(isLinearizableByBruteForce(history));
      }),
      { numRuns: 3_000 },
    );
  });
});

/** Too large for brute force, and of values that leave many ways to explain each answer. */
describe("longer histories of a store that works are legal", () => {
  const vague: readonly (readonly string[])[] = [
    ["", "a", "b"],
    ["a", "b", "ab"],
    ["a", "aa", "b"],
    ["", "a", "ab", "c", "bc", "d", "e", "f"],
  ];
  const shape = fc.record({
    seed: fc.nat(),
    operations: fc.integer({ min: 10, max: 60 }),
    clients: fc.integer({ min: 2, max: 6 }),
    keys: fc.constant(1),
    weights: fc.constantFrom(
      { put: 1, append: 2, get: 3 },
      { put: 0.2, append: 1, get: 1 },
      { put: 1, append: 0, get: 1 },
    ),
    unknownShare: fc.constantFrom(0, 0, 0.1),
    value: fc.constantFrom(...vague).map(
      (values) =>
        (_: number, random: () => number): string =>
          values[Math.floor(random() * values.length)]!,
    ),
  });

  test("with few values", () => {
    fc.assert(
      fc.property(shape, (vagueShape) => {
        expect(isLegal(generateHistory(vagueShape))).toBe(true);
      }),
      { numRuns: 1_000 },
    );
  });
});

describe("every illegal verdict proves itself", () => {
  test("its order is one, and leaves the value it names", () => {
    let illegal = 0;
    const property = fc.property(fc.array(anyOperation, { maxLength: 12 }), (history) => {
      const verdict = checkHistory(history);
      if (verdict.verdict !== "illegal") return;
      illegal++;
      const { linearized, value, unexplained, operations } = verdict;
      expect(linearized).not.toContain(unexplained);
      expect(operations).toContain(unexplained);
      // One operation at a time: there is but one order for brute force to find.
      const sequence = linearized.map((operation, at) => ({
        ...operation,
        outcome: "ok" as const,
        callTime: at,
        returnTime: at + 0.5,
      }));
      const end = value === undefined ? null : Buffer.from(value).toString("latin1");
      const witness = [...sequence, get("witness", end, [100, 101])];
      expect(isLinearizableByBruteForce(witness)).toBe(true);
      for (const [at, later] of linearized.entries()) {
        const overtaken = linearized.slice(0, at).filter((e) => later.returnTime < e.callTime);
        expect(overtaken).toEqual([]);
      }
    });
    fc.assert(property, { numRuns: 1_000 });
    expect(illegal).toBeGreaterThan(100);
  });
});
