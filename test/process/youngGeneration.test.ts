import { execFileSync } from "node:child_process";
import path from "node:path";
import { pathToFileURL } from "node:url";
import { expect, test } from "vitest";
import { mainScript } from "./cluster.js";

const module = pathToFileURL(path.join(path.dirname(mainScript), "youngGeneration.js")).href;

/** Makes much that stays for a while, as a node does; prints how the young generation has grown. */
const script = `
  import v8 from "node:v8";
  const { keepYoungGenerationSmall } = await import(${JSON.stringify(module)});
  const bytes = () =>
    v8.getHeapSpaceStatistics().find(({ space_name }) => space_name === "new_space").space_size;
  keepYoungGenerationSmall();
  const before = bytes();
  for (let round = 0; round < 20; round++) {
    const kept = [];
    for (let i = 0; i < 200_000; i++) kept.push({ i, bytes: [i] });
    await new Promise((resolve) => setImmediate(resolve));
  }
  console.log(bytes() / before);
`;

function growth(...flags: string[]): number {
  const args = [...flags, "--input-type=module", "--eval", script];
  return Number(execFileSync(process.execPath, args, { encoding: "utf8" }));
}

test("the young generation stays as small as it was", () => {
  // Of its two halves the second is there from the first collection on.
  expect(growth()).toBeLessThanOrEqual(2);
});

test("but is as Node was told, if it was", () => {
  expect(growth("--max-semi-space-size=32")).toBeGreaterThan(4);
});
