/** Histories of the sizes that tests record; and what happens when one is too hard. */
import { describe, expect, test } from "vitest";
import type { HistoryShape } from "./generator.js";
import { distinctValue, generateHistory } from "./generator.js";
import { get, hardHistory } from "./handMade.js";
import type { Operation } from "./index.js";
import { assertLinearizable, checkHistory } from "./index.js";

const mixed: HistoryShape = {
  seed: 1,
  operations: 20_000,
  clients: 8,
  keys: 3,
  weights: { put: 1, append: 1, get: 2 },
  unknownShare: 0.01,
  value: distinctValue,
};

/** The answer of a late get comes from long ago. */
function withStaleRead(history: readonly Operation[]): Operation[] {
  const gets = history.filter(({ kind, outcome }) => kind === "get" && outcome === "ok");
  const late = gets[Math.floor(gets.length * 0.9)]!;
  const early = gets.find(({ key }) => Buffer.compare(key, late.key) === 0)!;
  return history.map((operation) =>
    operation === late && early.kind === "get" ? { ...early, ...spanOf(late) } : operation,
  );
}

function spanOf({ client, callTime, returnTime }: Operation) {
  return { client, callTime, returnTime };
}

describe("large histories", () => {
  test.each([
    { name: "puts, appends and gets", shape: mixed },
    { name: "appends and gets", shape: { ...mixed, weights: { put: 0, append: 1, get: 1 } } },
    { name: "few gets", shape: { ...mixed, weights: { put: 4, append: 4, get: 1 } } },
    { name: "puts of few values", shape: { ...mixed, unknownShare: 0, value: fewValues } },
  ])("20,000 operations of 8 clients: $name", ({ shape }) => {
    expect(checkHistory(generateHistory(shape))).toMatchObject({
      verdict: "legal",
      operations: 20_000,
    });
  });

  test("a stale read among them is found", () => {
    const verdict = checkHistory(withStaleRead(generateHistory(mixed)));
    expect(verdict).toMatchObject({ verdict: "illegal", unexplained: { kind: "get" } });
  });

  test("100,000 operations of 16 clients on one key are no recursion", () => {
    const shape = { ...mixed, operations: 100_000, clients: 16, keys: 1, unknownShare: 0 };
    expect(checkHistory(generateHistory(shape)).verdict).toBe("legal");
  });
});

function fewValues(_: number, random: () => number): string {
  return String(Math.floor(random() * 10));
}

const assertHard = (): unknown =>
  assertLinearizable(hardHistory(18), { limits: { stepsPerKeyMax: 1_000 } });

describe("limits", () => {
  test("of steps", () => {
    expect(checkHistory(hardHistory(18), { limits: { stepsPerKeyMax: 1_000 } })).toMatchObject({
      verdict: "undecided",
      limit: "stepsPerKeyMax",
      steps: 1_001,
    });
  });

  test("of memory", () => {
    const limits = { memoryPerKeyBytesMax: 4_096 };
    expect(checkHistory(hardHistory(18), { limits })).toMatchObject({
      verdict: "undecided",
      limit: "memoryPerKeyBytesMax",
    });
  });

  test("of time", () => {
    let time = 0;
    const options = { limits: { checkMsMax: 10 }, now: () => (time += 6) };
    expect(checkHistory(hardHistory(18), options)).toMatchObject({
      verdict: "undecided",
      limit: "checkMsMax",
    });
  });

  test("an undecided history does not pass for a linearizable one", () => {
    expect(assertHard).toThrow(expect.objectContaining({ code: "NOT_LINEARIZABLE" }));
    expect(assertHard).toThrow("undecided, stepsPerKeyMax reached");
  });

  test("an illegal key outweighs one that could not be decided", () => {
    const other = [get("A", "never written", [0, 1])].map((o) => ({ ...o, key: Buffer.from("z") }));
    const limits = { stepsPerKeyMax: 1_000 };
    expect(checkHistory([...hardHistory(18), ...other], { limits }).verdict).toBe("illegal");
  });
});
