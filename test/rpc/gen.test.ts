import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import protobuf from "protobufjs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ByteWriter, RpcError, type Codec } from "../../rpc/index.js";
import { runGenerator } from "../../rpc/gen/cli.js";

const everything = `
syntax = "proto3";
package everything.v1;
import "shared/common.proto";

// All that a message can hold.
message Everything {
  enum Colour { RED = 0; BLUE = 5; }
  message Inner { int64 count = 1; Everything deeper = 2; }
  double a_double = 1;
  float a_float = 2;
  int32 an_int32 = 3;
  int64 an_int64 = 4;
  uint32 a_uint32 = 5;
  uint64 a_uint64 = 6;
  sint32 a_sint32 = 7;
  sint64 a_sint64 = 8;
  fixed32 a_fixed32 = 9;
  fixed64 a_fixed64 = 10;
  sfixed32 a_sfixed32 = 11;
  sfixed64 a_sfixed64 = 12;
  bool a_bool = 13;
  string a_string = 14;
  bytes some_bytes = 15;
  Colour colour = 16;
  Inner inner = 17;
  repeated int64 packed = 18;
  repeated Inner inners = 19;
  map<string, int64> counts = 20;
  oneof choice { string text = 21; int64 number = 22; }
  optional int64 maybe = 23;
  shared.Note note = 24;
  repeated string strings = 25;
}

// Answers. Ends no comment: */
service Oracle {
  // Asks one thing.
  rpc Ask(Everything) returns (shared.Note);
}
`;
const common = `
syntax = "proto3";
package shared;
message Note { string text = 1; }
message Everything { int32 not_the_same = 1; }
`;

// Inside the project, so that what is generated finds its packages.
const folder = resolve("dist", `gen-test-${process.pid}`);
let generated: Record<string, unknown>;
const out = join(folder, "out");

async function run(...args: string[]) {
  const said = { stdout: "", stderr: "" };
  const code = await runGenerator(args, {
    stdout: (text) => (said.stdout += text),
    stderr: (text) => (said.stderr += text),
  });
  return { code, ...said };
}

function generate() {
  const input = ["--proto-path", join(folder, "protos"), join(folder, "everything.proto")];
  return run("--out", out, "--runtime", "../../../rpc/index.js", ...input);
}

beforeAll(async () => {
  mkdirSync(join(folder, "protos/shared"), { recursive: true });
  writeFileSync(join(folder, "everything.proto"), everything);
  writeFileSync(join(folder, "protos/shared/common.proto"), common);
  await generate();
  generated = (await import(join(out, "services.js"))) as Record<string, unknown>;
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

const everythingCodec = () => generated["everything_v1_EverythingCodec"] as Codec<object>;

function encode(message: object): Buffer {
  const writer = new ByteWriter();
  everythingCodec().encode(message, writer);
  return writer.finish();
}

describe("mprpc-gen", () => {
  test("codecs for every kind of field agree with protobufjs", () => {
    const root = new protobuf.Root();
    root.resolvePath = (_origin, target) =>
      target.startsWith("shared/") ? join(folder, "protos", target) : target;
    root.loadSync(join(folder, "everything.proto"), { keepCase: true });
    const type = root.lookupType("everything.v1.Everything");
    const message = {
      a_double: 1.5,
      a_float: -0.25,
      an_int32: -7,
      an_int64: -(2 ** 50),
      a_uint32: 2 ** 31,
      a_uint64: 2 ** 53 - 1,
      a_sint32: -(2 ** 31),
      a_sint64: 1 - 2 ** 53,
      a_fixed32: 7,
      a_fixed64: 2 ** 40,
      a_sfixed32: -7,
      a_sfixed64: -(2 ** 40),
      a_bool: true,
      a_string: "grüß",
      some_bytes: Uint8Array.of(0, 255),
      colour: 5,
      inner: { count: 9, deeper: { an_int32: 1 } },
      packed: [1, -1, 2 ** 45],
      inners: [{ count: 1 }, {}],
      counts: { one: 1, many: 2 ** 48 },
      number: 12,
      maybe: 0,
      note: { text: "n" },
      strings: ["a", "", "c"],
    };
    const theirs = Buffer.from(type.encode(type.fromObject(message)).finish());
    expect(encode(message)).toEqual(theirs);
    const decoded = everythingCodec().decode(theirs);
    expect(encode(decoded)).toEqual(theirs);
    expect(decoded).toMatchObject({ an_int64: -(2 ** 50), a_uint64: 2 ** 53 - 1, maybe: 0 });
    expect(decoded).toMatchObject({ a_sint64: 1 - 2 ** 53, a_sfixed64: -(2 ** 40), number: 12 });
  });

  test.each([
    [{ an_int64: 2 ** 53 }, "everything.v1.Everything.an_int64"],
    [{ packed: [1, 0.5] }, "everything.v1.Everything.packed[1]"],
    [{ inner: { deeper: { a_uint64: -1 } } }, "everything.v1.Everything.inner.deeper.a_uint64"],
    [{ inners: [{ count: Number.NaN }] }, "everything.v1.Everything.inners[0].count"],
    [{ a_fixed32: -1 }, "everything.v1.Everything.a_fixed32"],
    [{ counts: { bad: 0.5 } }, 'everything.v1.Everything.counts["bad"]: 0.5 is out of range'],
    [{ some_bytes: "text" }, "everything.v1.Everything: not a Uint8Array"],
  ])("a value that does not fit is refused by its path: %o", (message, path) => {
    expect(() => encode(message)).toThrow(RpcError);
    expect(() => encode(message)).toThrow(path);
  });

  test("names that two packages share are told apart, others are short", () => {
    expect(Object.keys(generated).toSorted()).toEqual([
      "InnerCodec",
      "NoteCodec",
      "Oracle",
      "OracleDescriptor",
      "OracleMethods",
      "Oracle_Stub",
      "everything_v1_EverythingCodec",
      "shared_EverythingCodec",
    ]);
    expect(generated["OracleDescriptor"]).toMatchObject({
      name: "Oracle",
      fullName: "everything.v1.Oracle",
      methods: [{ serviceName: "Oracle", name: "Ask", index: 0 }],
    });
  });

  test("comments become documentation, and can't break out of it", () => {
    const types = readFileSync(join(out, "services.d.ts"), "utf8");
    expect(types).toContain("/** Asks one thing. */");
    expect(types).toContain("/** Answers. Ends no comment: * / */");
    expect(readFileSync(join(out, "messages.d.ts"), "utf8")).toContain(
      "All that a message can hold.",
    );
    expect(types).not.toContain("Long");
  });

  test("running it again writes the same, and leaves nothing beside it", async () => {
    const before = readdirSync(out).map((name) => [name, readFileSync(join(out, name), "utf8")]);
    expect(readdirSync(out).toSorted()).toEqual([
      "messages.d.ts",
      "messages.js",
      "services.d.ts",
      "services.js",
    ]);
    expect(await generate()).toEqual({ code: 0, stdout: "", stderr: "" });
    const after = readdirSync(out).map((name) => [name, readFileSync(join(out, name), "utf8")]);
    expect(after).toEqual(before);
  });

  test.each([
    ["no --out", ["a.proto"], 2, "--out is missing"],
    ["no file", ["--out", "x"], 2, "no .proto file"],
    ["an unknown flag", ["--frobnicate"], 2, "frobnicate"],
    ["a missing file", ["--out", "x", "missing.proto"], 1, "missing.proto"],
  ])("bad arguments are said and change nothing: %s", async (_name, args, code, text) => {
    const result = await run(...args);
    expect(result.code).toBe(code);
    expect(result.stderr).toContain(text);
  });

  test.each([
    ["a syntax error", "message {", "bad.proto:1: illegal"],
    ["an unknown type", 'syntax = "proto3"; message M { Missing m = 1; }', "Missing"],
    [
      "a stream of requests",
      'syntax = "proto3"; message M {} service S { rpc Send(stream M) returns (M); }',
      "S.Send: streams of requests are not supported",
    ],
    [
      "a method with a name of the class itself",
      'syntax = "proto3"; message M {} service S { rpc callMethod(M) returns (M); }',
      "S.callMethod: the name is taken",
    ],
  ])("a bad file is refused by what is wrong in it: %s", async (_name, content, text) => {
    const file = join(mkdtempSync(join(folder, "bad-")), "bad.proto");
    writeFileSync(file, content);
    const result = await run("--out", join(folder, "bad-out"), file);
    expect(result.code).toBe(1);
    expect(result.stderr).toContain(text);
    expect(readdirSync(folder)).not.toContain("bad-out");
  });

  test("--help explains itself", async () => {
    const { code, stdout } = await run("--help");
    expect(code).toBe(0);
    expect(stdout).toContain("usage: mprpc-gen --out DIR");
  });
});
