import { describe, expect, test } from "vitest";
import { UsageError } from "../../../kvserver/args.js";
import { helpText, parseDataArguments } from "../../../kvserver/data/args.js";
import { run } from "./support.js";

const parse = (line: string, env = {}) => parseDataArguments(line.split(" "), env);

describe("the command line of mprpc-data", () => {
  test("is read", () => {
    expect(parse("list d --json")).toEqual({ kind: "list", directory: "d", json: true });
    expect(parse("verify d")).toEqual({ kind: "verify", directory: "d", json: false });
    expect(parse("dump d --from 3 --to 5 --keys")).toEqual({
      kind: "dump",
      directory: "d",
      from: 3,
      to: 5,
      keysOnly: true,
      state: false,
    });
    expect(parse("dump d --state")).toMatchObject({ from: 0, to: Infinity, state: true });
    expect(parse("export d f --through-log --force")).toEqual({
      kind: "export",
      directory: "d",
      file: "f",
      throughLog: true,
      force: true,
    });
    expect(parse("import f -f n.conf -i 2 --data-dir x")).toEqual({
      kind: "import",
      file: "f",
      nodeListFile: "n.conf",
      nodeId: 2,
      dataDir: "x",
    });
  });

  test("finds the nodes' folder as a node does", () => {
    expect(parse("import f -f n")).toMatchObject({ dataDir: "./data", nodeId: null });
    expect(parse("import f -f n", { KV_DATA_DIR: "e" })).toMatchObject({ dataDir: "e" });
  });

  test.each([
    "",
    "frob d",
    "toString d",
    "list",
    "list a b",
    "export d",
    "export d f --json",
    "list d --force",
    "dump d --from x",
    "dump d --state --to 3",
    "import f",
    "import f -f n -i -1",
    "import f -f n -i x",
    "list d --bogus",
  ])("refuses %j", async (line) => {
    const argv = line === "" ? [] : line.split(" ");
    expect(() => parseDataArguments(argv)).toThrow(UsageError);
    const { code, out, err } = await run(null, argv);
    expect({ code, out }).toEqual({ code: 2, out: "" });
    expect(err).toMatch(/^mprpc-data: .+\n$/);
  });

  test("tells about itself", async () => {
    expect(await run(null, ["--help"])).toEqual({ code: 0, out: helpText, err: "" });
    expect(await run(null, ["-v"])).toEqual({ code: 0, out: "1.2.3\n", err: "" });
    for (const line of helpText.split("\n")) expect(line.length).toBeLessThanOrEqual(80);
  });
});
