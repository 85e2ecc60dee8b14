import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { expect, test } from "vitest";
import { Interpreter } from "./commands.js";
import { replay } from "./scriptFile.js";

/*
 * Each .txt here is a scenario and, under each of its commands, all that the cores did. To write
 * down what they do now, for a person to read before it is committed:
 *
 *   UPDATE_GOLDEN=1 npx vitest run test/raft/interaction
 */
const here = new URL(".", import.meta.url);
const scripts = readdirSync(here).filter((name) => name.endsWith(".txt"));

test.each(scripts)("%s", (name) => {
  const file = new URL(name, here);
  const text = readFileSync(file, "utf8");
  const interpreter = new Interpreter();
  const now = replay(text, (command) => interpreter.run(command));
  const update = process.env["UPDATE_GOLDEN"] === "1";
  if (update) writeFileSync(file, now);
  expect(now).toBe(update ? now : text);
});

test("there is a script for each scenario", () => {
  expect(scripts.length).toBeGreaterThanOrEqual(12);
});

test("a script that does what it does not say is found out", () => {
  const interpreter = new Interpreter();
  const text = "nodes 1\n----\n(nothing)\n\ntimeout 0\n----\n0 is follower, term 0\n";
  expect(replay(text, (command) => interpreter.run(command))).not.toBe(text);
});

test("mistakes in a script name their line", () => {
  const interpreter = new Interpreter();
  const run = (command: string) => interpreter.run(command);
  expect(() => replay("# x\n\nnodes 1\n\nfly 0\n", run)).toThrow(
    'line 5, "fly 0": no such command: fly',
  );
  expect(() => replay("deliver 0->1\n", run)).toThrow("no such message");
});
