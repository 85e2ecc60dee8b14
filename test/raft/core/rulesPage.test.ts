import { readFileSync } from "node:fs";
import { expect, test } from "vitest";

/** `docs/raft-rules.md`: the second cell names a file, the third a test in it. */
const rows = readFileSync("docs/raft-rules.md", "utf8")
  .split("\n")
  .map((line) => line.split("|").map((cell) => cell.trim()))
  .flatMap(([, , file = "", name = ""]) => (file.startsWith("`") ? [{ file, name }] : []));

test("the page of Raft's rules has rows", () => {
  expect(rows.length).toBeGreaterThan(40);
});

test.each(rows)("$file has $name", ({ file, name }) => {
  expect(readFileSync(file.replaceAll("`", ""), "utf8")).toContain(`"${name}`);
});
