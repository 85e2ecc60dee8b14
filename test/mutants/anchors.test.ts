import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { applyEdit } from "./mutant.js";
import { mutants } from "./mutants.js";

/* `npm run mutate` takes minutes; that its mutants still fit the source shows at once. */

test.each(mutants)("$name: what it replaces stands where it did, once", ({ edits }) => {
  const sources = new Map<string, string>();
  for (const edit of edits) {
    const source = sources.get(edit.file) ?? readFileSync(edit.file, "utf8");
    const mutated = applyEdit(source, edit);
    expect(mutated).not.toBe(source);
    sources.set(edit.file, mutated);
  }
});

test("each mutant has a name of its own", () => {
  expect(new Set(mutants.map(({ name }) => name)).size).toBe(mutants.length);
});

test("docs/mutants.md tells of each", () => {
  const table = readFileSync("docs/mutants.md", "utf8");
  for (const { name } of mutants) expect(table).toContain(`| ${name} `);
});
