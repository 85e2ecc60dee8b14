/** What a terminal, and what a log, is told while a step takes long. */
import { expect, test } from "vitest";
import { run, Store } from "./support.js";

const directory = "/data";
const file = "/backup";
/** Clears what was written before from there on. */
const toEndOfLine = "\u001b[K";

async function someStore(): Promise<Store> {
  const store = await Store.create();
  for (let i = 0; i < 20; i++) await store.put(`key ${i}`, "v".repeat(500));
  await store.snapshot();
  await store.close();
  return store;
}

/** A clock by which each look at it comes `ms` after the one before. */
function clockOf(ms: number): () => number {
  let now = 0;
  return () => (now += ms);
}

const bars = [
  ["verify", ["verify", directory]],
  ["export", ["export", directory, file]],
] as const;

test.each(bars)("a terminal sees a bar while it is to %s, and then none", async (doing, argv) => {
  const { disk } = await someStore();
  const { code, err } = await run(disk, argv, { stderrIsTty: true, now: clockOf(1_000) });
  expect(code).toBe(0);
  const parts = err.replaceAll(toEndOfLine, "").split("\r");
  const shown = parts.filter((text) => text.startsWith(`${doing} [`));
  expect(shown.length).toBeGreaterThan(1);
  for (const line of shown) {
    expect(line).toMatch(/^\w+ \[#* *\] {1,4}\d+% {2}[\d.]+ \w+ of [\d.]+ \w+, [\d.]+ \w+\/s$/);
    expect(line.indexOf("]") - line.indexOf("[")).toBe(25);
  }
  expect(shown.at(-1)).toMatch(/100%/);
  // What stands alone afterwards is not written behind the bar.
  expect(parts.at(-1)).not.toContain("[");
});

test("a log gets a line now and then", async () => {
  const { disk } = await someStore();
  const { err } = await run(disk, ["verify", directory], { now: clockOf(2_500) });
  const lines = err.split("\n").slice(0, -1);
  expect(lines.length).toBeGreaterThan(0);
  for (const line of lines) expect(line).toMatch(/^verify {1,4}\d+% {2}[\d.]+ \w+ of .*\/s$/);
});

test("what is quick needs none", async () => {
  const { disk } = await someStore();
  const { err } = await run(disk, ["verify", directory], { stderrIsTty: true });
  expect(err).toBe("");
});
