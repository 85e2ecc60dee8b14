import { execFileSync } from "node:child_process";
import path from "node:path";
import { pathToFileURL } from "node:url";
import { expect, test } from "vitest";
import { growthPercent } from "../../kvserver/heap.js";
import { mainScript } from "./cluster.js";

const module = pathToFileURL(path.join(path.dirname(mainScript), "heap.js")).href;
const settle = `(await import(${JSON.stringify(module)})).settleHeap();`;

/** What a process of its own prints. */
function run(script: string, ...flags: string[]): number {
  const args = [...flags, "--input-type=module", "--eval", script];
  return Number(execFileSync(process.execPath, args, { encoding: "utf8" }));
}

/** Makes much that stays for a while, as a node does; prints the MiB of the young generation. */
const youngMiB = `
  import v8 from "node:v8";
  ${settle}
  for (let round = 0; round < 20; round++) {
    const kept = [];
    for (let i = 0; i < 200_000; i++) kept.push({ i, bytes: [i] });
    await new Promise((resolve) => setImmediate(resolve));
  }
  const spaces = v8.getHeapSpaceStatistics();
  console.log(spaces.find((space) => space.space_name === "new_space").space_size / 2 ** 20);
`;

test("the young generation has two halves of 4 MiB", () => {
  expect(run(youngMiB)).toBeLessThanOrEqual(8);
});

test("but is as Node was told, if it was", () => {
  expect(run(youngMiB, "--max-semi-space-size=32")).toBeGreaterThan(8);
});

/** Makes 500 MB that stay for longer than the young are young; prints the full collections. */
const fullCollections = `
  import { constants, PerformanceObserver } from "node:perf_hooks";
  let count = 0;
  new PerformanceObserver((list) => {
    for (const { detail } of list.getEntries())
      if (detail.kind === constants.NODE_PERFORMANCE_GC_MAJOR) count++;
  }).observe({ entryTypes: ["gc"] });
  const kept = [];
  for (let i = 0; i < 600_000; i++) {
    kept[i % 10_000] = Array.from({ length: 100 }, () => i);
    if (i % 1_000 === 0) await new Promise((resolve) => setImmediate(resolve));
  }
  await new Promise((resolve) => setTimeout(resolve, 50));
  console.log(count);
`;

test("there are half as many full collections as without it, or fewer", () => {
  const without = run(fullCollections, "--max-semi-space-size=4");
  expect(without).toBeGreaterThan(10);
  expect(run(settle + fullCollections)).toBeLessThanOrEqual(without / 2);
});

test.each([
  [1, 1_600],
  [10, 600],
  [16, 400],
  [17, 300],
  [30, 200],
  [40, 100],
  [65, 0],
  [2_000, 0],
])("a heap of %s MiB may grow by %s percent, and so by no more than 64 MiB", (mebi, percent) => {
  expect(growthPercent(mebi * 2 ** 20)).toBe(percent);
});
