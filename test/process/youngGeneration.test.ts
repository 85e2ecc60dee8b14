import { execFileSync } from "node:child_process";
import path from "node:path";
import { pathToFileURL } from "node:url";
import { expect, test } from "vitest";
import { mainScript } from "./cluster.js";

const module = pathToFileURL(path.join(path.dirname(mainScript), "youngGeneration.js")).href;

/** Makes much that stays for a while, as a node does; prints the MiB of the young generation. */
const script = `
  import v8 from "node:v8";
  const { settleYoungGeneration } = await import(${JSON.stringify(module)});
  settleYoungGeneration();
  for (let round = 0; round < 20; round++) {
    const kept = [];
    for (let i = 0; i < 200_000; i++) kept.push({ i, bytes: [i] });
    await new Promise((resolve) => setImmediate(resolve));
  }
  const spaces = v8.getHeapSpaceStatistics();
  console.log(spaces.find((space) => space.space_name === "new_space").space_size / 2 ** 20);
`;

function youngMiB(...flags: string[]): number {
  const args = [...flags, "--input-type=module", "--eval", script];
  return Number(execFileSync(process.execPath, args, { encoding: "utf8" }));
}

test("the young generation has two halves of 8 MiB", () => {
  expect(youngMiB()).toBeLessThanOrEqual(16);
});

test("but is as Node was told, if it was", () => {
  expect(youngMiB("--max-semi-space-size=32")).toBeGreaterThan(16);
});
