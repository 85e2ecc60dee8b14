import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { distinctValue, generateHistory } from "./generator.js";
import { append, failed, get, hardHistory, put, unknown } from "./handMade.js";
import type { Illegal, Operation } from "./index.js";
import { assertLinearizable, checkHistory, drawHtml } from "./index.js";
import { drawingDefaults } from "./limits.js";

function illegal(history: readonly Operation[]): Illegal {
  const verdict = checkHistory(history);
  if (verdict.verdict !== "illegal") throw new Error(`the history is ${verdict.verdict}`);
  return verdict;
}

const bars = (html: string, part: string): string[] =>
  [...html.matchAll(new RegExp(`<g class="${part} \\w+"><title>([^<]*)`, "g"))].map((m) => m[1]!);

const staleRead = [
  put("A", "old", [0, 1]),
  put("B", "<new>", [2, 3]),
  unknown(append("C", "late", [2, 4])),
  failed(put("C", "refused", [3, 5])),
  get("D", "old", [6, 7]),
  get("D", "after it", [8, 9]),
];

describe("the drawing of an illegal history", () => {
  test("marks what is in the order, what is not, and the answer without a place", () => {
    const html = drawHtml(illegal(staleRead));
    expect(bars(html, "placed").map((tip) => tip.split("\n")[0])).toEqual([
      "A: put &quot;old&quot;",
      "B: put &quot;&lt;new&gt;&quot;",
    ]);
    expect(bars(html, "unexplained")).toEqual([
      "D: get = &quot;old&quot;\nok, called at 6, returned at 7",
    ]);
    expect(bars(html, "left")).toHaveLength(2);
    expect(html.match(/class="client"/g)).toHaveLength(4);
    expect(html.match(/<circle/g)).toHaveLength(2);
  });

  test("is one page without anything outside of it, and escapes what clients wrote", () => {
    const html = drawHtml(illegal(staleRead));
    expect(html).toMatch(/^<!doctype html>/);
    expect(html).not.toMatch(/(src|href)=/);
    expect(html).not.toContain("<new>");
  });

  test("gives operations that overlap within a client rows of their own", () => {
    const html = drawHtml(
      illegal([put("A", "x", [0, 9]), put("A", "y", [1, 8]), get("B", "z", [2, 3])]),
    );
    const rows = [...html.matchAll(/<rect x="[\d.]+" y="(\d+)" width="[\d.]+" height="20"/g)];
    expect(new Set(rows.map((row) => row[1])).size).toBe(3);
  });

  test("of a large history shows its end up to the contradiction", () => {
    const shape = { seed: 3, operations: 2_000, clients: 4, keys: 1, unknownShare: 0.01 };
    const weights = { put: 1, append: 1, get: 2 };
    const history = generateHistory({ ...shape, weights, value: distinctValue });
    const end = Math.max(...history.map(({ callTime }) => callTime)) + 10;
    const stale: Operation = { ...get("reader", "never", [end, end + 1]), key: history[0]!.key };
    const html = drawHtml(illegal([...history, stale]));
    expect(html).toContain(`${drawingDefaults.operationsDrawnMax} of 2001 operations are drawn`);
    expect(bars(html, "unexplained")).toHaveLength(1);
    expect(html.match(/<tr><td>/g)).toHaveLength(drawingDefaults.rowsShownMax);
  });

  test("of an undecided one shows what there is", () => {
    const limits = { stepsPerKeyMax: 1 };
    const history = hardHistory(10);
    const verdict = checkHistory(history, { limits });
    if (verdict.verdict !== "undecided") throw new Error(`the history is ${verdict.verdict}`);
    expect(bars(drawHtml(verdict), "left")).toHaveLength(history.length);
  });
});

describe("assertLinearizable", () => {
  let directory = "";
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), "linearizability-"));
  });
  afterEach(() => rmSync(directory, { recursive: true }));

  test("says why, and writes the drawing where it is told", () => {
    const drawTo = join(directory, "history.html");
    const check = (): unknown => assertLinearizable(staleRead, { drawTo });
    expect(check).toThrow('key "k": get = "old" by D has no place');
    expect(check).toThrow(`drawn in ${drawTo}`);
    expect(readFileSync(drawTo, "utf8")).toBe(drawHtml(illegal(staleRead)));
  });

  test("returns the verdict on a history that is legal, and writes nothing", () => {
    const drawTo = join(directory, "history.html");
    expect(assertLinearizable(staleRead.slice(0, 4), { drawTo })).toMatchObject({ operations: 4 });
    expect(() => readFileSync(drawTo)).toThrow("ENOENT");
  });
});
