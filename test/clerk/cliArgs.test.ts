import { describe, expect, it } from "vitest";
import { benchDefaults, helpText, parseCliArgs, UsageError } from "../../clerk/cliArgs.js";

function parse(line: string, env: Record<string, string> = { KV_NODES: "nodes.conf" }) {
  return parseCliArgs(
    line.split(" ").filter((word) => word !== ""),
    env,
  );
}

function request(line: string) {
  const parsed = parse(line);
  if (parsed.kind !== "run") throw new Error(`${line} is ${parsed.kind}`);
  return parsed.request;
}

describe("parseCliArgs", () => {
  it("reads each command", () => {
    const key = Buffer.from("k");
    expect(request("put k v").command).toEqual({ name: "put", key, value: Buffer.from("v") });
    expect(request("append k v").command).toEqual({ name: "append", key, value: Buffer.from("v") });
    expect(request("put k -").command).toEqual({ name: "put", key, value: "stdin" });
    expect(request("get k").command).toEqual({ name: "get", key });
    expect(request("status").command).toEqual({ name: "status" });
    expect(request("bench").command).toEqual({ name: "bench", plan: benchDefaults });
    expect(request("bench -n 10 -c 2 --value-bytes 0 --key-count 3").command).toEqual({
      name: "bench",
      plan: { count: 10, concurrency: 2, valueBytes: 0, keyCount: 3 },
    });
  });

  it("takes options before, between and after", () => {
    expect(request("-f a put --timeout 5 6b 76 --hex")).toMatchObject({
      nodes: "a",
      timeoutMs: 5,
      hex: true,
      command: { key: Buffer.from("k"), value: Buffer.from("v") },
    });
    expect(request("--file b get k").nodes).toBe("b");
    expect(request("get k")).toMatchObject({ nodes: "nodes.conf", timeoutMs: undefined });
  });

  it("prefers -f to KV_NODES", () => {
    expect(request("get k -f other").nodes).toBe("other");
  });

  it("lets a value begin with a dash after --", () => {
    expect(request("put -- k -5").command).toMatchObject({ value: Buffer.from("-5") });
  });

  it("answers --help and --version whatever else there is", () => {
    expect(parse("--help put").kind).toBe("help");
    expect(parse("-h", {}).kind).toBe("help");
    expect(parse("--version", {}).kind).toBe("version");
  });

  it.each([
    ["", /no command/],
    ["pot k v", /no command "pot"/],
    ["put k", /put takes KEY VALUE, not 1/],
    ["get", /get takes KEY, not 0/],
    ["get a b", /not 2/],
    ["status x", /status takes nothing/],
    ["bench x", /bench takes nothing/],
    ["put k v --nope", /nope/],
    ["put k v -n 5", /--count is for bench/],
    ["put k v --timeout", /timeout/],
    ["put k v --timeout 0", /--timeout must be a number/],
    ["put k v --timeout 1e3", /--timeout/],
    ["bench -n 0", /--count/],
    ["bench -c 99999999999", /--concurrency/],
    ["put xy 00 --hex", /"xy" is not hexadecimal/],
    ["put 0 00 --hex", /"0" is not hexadecimal/],
  ])("refuses %j", (line, message) => {
    expect(() => parse(line)).toThrow(UsageError);
    expect(() => parse(line)).toThrow(message);
  });

  it("wants a node list", () => {
    expect(() => parse("get k", {})).toThrow(/-f FILE or in KV_NODES/);
  });
});

it("the help names every option and exit code", () => {
  for (const word of ["--file", "--timeout", "--hex", "--version", "--count", "--concurrency"]) {
    expect(helpText).toContain(word);
  }
  expect(helpText).toMatch(/3 {2}a write failed and may have happened/);
});
