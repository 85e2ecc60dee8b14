import { describe, expect, test } from "vitest";
import {
  helpText,
  nodeArguments,
  parseArguments,
  UsageError,
  type RunArguments,
} from "../../kvserver/args.js";

function run(line: string, environment: Record<string, string> = {}): RunArguments {
  const command = parseArguments(line.split(" "), environment);
  if (command.kind !== "run") throw new Error(`not run: ${command.kind}`);
  return command;
}

describe("the command line", () => {
  test("has defaults for all but the node list", () => {
    expect(run("-f nodes.conf")).toEqual({
      kind: "run",
      nodeListFile: "nodes.conf",
      nodeId: null,
      newNodes: null,
      newNode: "join",
      dataDir: "./data",
      logLevel: "info",
      settings: new Map(),
    });
  });

  test("is read in long and short form", () => {
    const line = "--file a -i 2 --data-dir d --log-level debug --set x=1 --set y=a=b";
    expect(run(line)).toMatchObject({
      nodeListFile: "a",
      nodeId: 2,
      dataDir: "d",
      logLevel: "debug",
      settings: new Map([
        ["x", "1"],
        ["y", "a=b"],
      ]),
    });
    expect(run("-f a --id 0").nodeId).toBe(0);
    expect(run("-n 3 -f a").newNodes).toBe(3);
  });

  test("beats the environment", () => {
    const environment = { KV_DATA_DIR: "/e", KV_LOG_LEVEL: "warn" };
    expect(run("-f a", environment)).toMatchObject({ dataDir: "/e", logLevel: "warn" });
    expect(run("-f a --data-dir d --log-level error", environment)).toMatchObject({
      dataDir: "d",
      logLevel: "error",
    });
    expect(run("-f a", { KV_DATA_DIR: "", KV_LOG_LEVEL: "" })).toMatchObject({
      dataDir: "./data",
      logLevel: "info",
    });
  });

  test.each([
    ["--help", "help"],
    ["-h -f a", "help"],
    ["--version", "version"],
    ["-v", "version"],
  ])("asks for %s", (line, kind) => {
    expect(parseArguments(line.split(" "))).toEqual({ kind });
  });

  test("goes on to a child for one node", () => {
    const args = run("-f a -n 3 --data-dir d --log-level warn --set heartbeatMs=50");
    const child = run(nodeArguments(args, 1).join(" "));
    expect(child).toEqual({ ...args, nodeId: 1, newNodes: null });
  });

  test.each([
    ["", "unexpected argument ''; see --help"],
    ["-i 1", "-f FILE is missing"],
    ["-f a -i 1 -n 3", "-i and -n exclude each other"],
    ["-f a -i x", '-i takes a number from 0 to 1000000, not "x"'],
    ["-f a -i -1", "-i"],
    ["-f a -n 0", '-n takes a number from 1 to 100, not "0"'],
    ["-f a -n 101", "-n takes a number"],
    ["-f a -n 1.5", "-n takes a number"],
    ["-f", "-f"],
    ["-f a --log-level loud", "--log-level takes one of trace, debug, info"],
    ["-f a --set x", '--set takes KEY=VALUE, not "x"'],
    ["-f a --set =x", "--set takes KEY=VALUE"],
    ["-f a --bogus", "unknown option '--bogus'; see --help"],
    ["-f a extra", "unexpected argument 'extra'; see --help"],
  ])("is refused in one line that says why: %s", (line, message) => {
    expect(() => parseArguments(line.split(" "))).toThrow(UsageError);
    expect(() => parseArguments(line.split(" "))).toThrow(message);
    expect(() => parseArguments(line.split(" "))).toThrow(/^[^\n]{1,160}$/);
  });

  test("names the environment variable that is wrong", () => {
    expect(() => parseArguments(["-f", "a"], { KV_LOG_LEVEL: "loud" })).toThrow(/^KV_LOG_LEVEL/);
  });

  test("is explained in short lines", () => {
    expect(Math.max(...helpText.split("\n").map((line) => line.length))).toBeLessThanOrEqual(80);
    for (const option of ["-f FILE", "-i, --id", "-n N", "--data-dir", "--log-level", "--set"]) {
      expect(helpText).toContain(option);
    }
  });
});
