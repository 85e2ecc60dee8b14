import { rmSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { codecOf, encode, Protos } from "./support.js";

const protos = new Protos("gen-imports");

beforeAll(() => {
  protos.write({
    "top.proto": `syntax = "proto3"; package top;
      import "left.proto"; import "sub/right.proto"; import "google/protobuf/timestamp.proto";
      import "google/protobuf/any.proto"; import "google/protobuf/empty.proto";
      import "lib/far.proto";
      message Top {
        left.Left l = 1; right.Right r = 2; google.protobuf.Timestamp at = 3;
        google.protobuf.Any detail = 4; lib.Far far = 5;
      }
      service First { rpc Ask(Top) returns (google.protobuf.Empty); }
      service Second { rpc Ask(left.Left) returns (Top); }`,
    "left.proto": `syntax = "proto3"; package left; import "base.proto";
      message Left { base.Base base = 1; }
      service Third { rpc Ask(base.Base) returns (base.Base); }`,
    "sub/right.proto": `syntax = "proto3"; package right; import "near.proto";
      message Right { Near near = 1; }`,
    "sub/near.proto": `syntax = "proto3"; package right; import "../base.proto";
      message Near { base.Base base = 1; }`,
    "base.proto": `syntax = "proto3"; package base; message Base { string text = 1; }`,
    "include/lib/far.proto": `syntax = "proto3"; package lib; message Far { int32 x = 1; }`,
  });
});

afterAll(() => rmSync(protos.folder, { recursive: true, force: true }));

describe("imports", () => {
  test("beside the file, in --proto-path, twice by a diamond, and Google's own", async () => {
    const include = protos.path("include");
    const result = await protos.generate("out", "--proto-path", include, protos.path("top.proto"));
    expect(result).toEqual({ code: 0, stdout: "", stderr: "" });
    const services = await protos.import("out");
    const message = {
      l: { base: { text: "l" } },
      r: { near: { base: { text: "r" } } },
      at: { seconds: 2 ** 40, nanos: 7 },
      detail: { type_url: "x/base.Base", value: Buffer.from([10, 1, 97]) },
      far: { x: -1 },
    };
    const codec = codecOf(services, "Top");
    expect(codec.decode(encode(codec, message))).toMatchObject(message);
    expect(Object.keys(services)).toEqual(expect.arrayContaining(["First", "Second", "Third"]));
    expect(await protos.import("out", "messages")).toHaveProperty("Timestamp");
  });

  test("a main file may be named as an import would name it, and given beside its imports", async () => {
    const include = protos.path("include");
    const files = ["lib/far.proto", protos.path("base.proto"), protos.path("left.proto")];
    expect((await protos.generate("out2", "--proto-path", include, ...files)).code).toBe(0);
    expect(Object.keys(await protos.import("out2"))).toEqual(
      expect.arrayContaining(["FarCodec", "BaseCodec", "LeftCodec"]),
    );
  });

  test("what protobufjs ships as files", async () => {
    protos.write({
      "meta.proto": `syntax = "proto3"; package meta; import "google/protobuf/source_context.proto";
        message Holder { google.protobuf.SourceContext context = 1; }`,
    });
    expect((await protos.generate("meta", protos.path("meta.proto"))).stderr).toBe("");
    const codec = codecOf(await protos.import("meta"), "Holder");
    const message = { context: { file_name: "a" } };
    expect(codec.decode(encode(codec, message))).toMatchObject(message);
  });

  test("comments of a .proto are the documentation of messages, fields, services and methods", async () => {
    protos.write({
      "doc.proto": `syntax = "proto3"; package doc;
        // A whole message.
        message Said {
          // What was said. It ends */ nothing.
          string what = 1;
          int32 count = 2; // How often.
        }
        /** Two lines
         * of a service. */
        service Sayer {
          // Says it.
          rpc Say(Said) returns (Said);
        }`,
    });
    expect((await protos.generate("doc", protos.path("doc.proto"))).code).toBe(0);
    const messages = await readFile(protos.path("doc/messages.d.ts"), "utf8");
    for (const text of ["A whole message.", "What was said. It ends * / nothing.", "How often."]) {
      expect(messages).toContain(text);
    }
    const services = await readFile(protos.path("doc/services.d.ts"), "utf8");
    expect(services).toContain("Two lines\n * of a service.");
    expect(services.split("/** Says it. */")).toHaveLength(3);
    expect(await readFile(protos.path("doc/messages.js"), "utf8")).not.toContain("/**");
  });
});

describe("names", () => {
  test("words that JavaScript or the generated code keeps get a _ behind them", async () => {
    protos.write({
      "words.proto": `syntax = "proto3"; package function;
        message class { string delete = 1; int32 new = 2; repeated int64 length = 3; }
        message Codec { class in = 1; message Object { int32 default = 1; } Object o = 2; }
        message Promise { enum void { NULL = 0; ONE = 1; } void is = 1; }
        service RpcService { rpc delete(class) returns (Codec); rpc settle(Promise) returns (class); }`,
    });
    expect((await protos.generate("words", protos.path("words.proto"))).stderr).toBe("");
    const services = await protos.import("words");
    const codec = codecOf(services, "Codec_");
    const message = { in: { delete: "x", new: 3, length: [1, 2 ** 40] }, o: { default: 4 } };
    expect(codec.decode(encode(codec, message))).toMatchObject(message);
    const promise = codecOf(services, "Promise_");
    expect(promise.decode(encode(promise, { is: 1 }))).toMatchObject({ is: 1 });
    expect(services["RpcService_Descriptor"]).toMatchObject({
      name: "RpcService",
      fullName: "function.RpcService",
      methods: [{ name: "delete" }, { name: "settle" }],
    });
  });

  test("services of one short name in two packages are told apart", async () => {
    protos.write({
      "one.proto": `syntax = "proto3"; package one; message M {} service Same { rpc A(M) returns (M); }`,
      "two.proto": `syntax = "proto3"; package two; message M {} service Same { rpc B(M) returns (M); }`,
    });
    const files = [protos.path("one.proto"), protos.path("two.proto")];
    expect((await protos.generate("same", ...files)).stderr).toBe("");
    const services = await protos.import("same");
    expect(services["one_SameDescriptor"]).toMatchObject({ name: "Same", fullName: "one.Same" });
    expect(services["two_SameDescriptor"]).toMatchObject({ name: "Same", fullName: "two.Same" });
  });
});

describe("what is wrong in a file is said with its line", () => {
  const head = 'syntax = "proto3";\npackage p;\n';
  test.each([
    ["a syntax error", `${head}message M {\n  int32 = 1;\n}`, "bad.proto:4: illegal"],
    [
      "an unknown type",
      `${head}// m Missing m = 1\nmessage M {\n  Missing m = 1;\n}`,
      "bad.proto:5: p.M.m: no type Missing",
    ],
    [
      "a missing import",
      `${head}\nimport "no/where.proto";`,
      'bad.proto:4: import "no/where.proto": no such file',
    ],
    [
      "a name twice",
      `${head}message M {\n  int32 a = 1;\n  int32 a = 2;\n}`,
      "bad.proto:5: duplicate name 'a'",
    ],
    [
      "a number twice",
      `${head}message M {\n  int32 a = 1;\n  int32 b = 1;\n}`,
      "bad.proto:5: duplicate id 1",
    ],
    [
      "a reserved number",
      `${head}message M {\n  reserved 4;\n  int32 b = 4;\n}`,
      "bad.proto:5: id 4 is reserved",
    ],
    [
      "an unknown message of a method",
      `${head}message M {}\nservice S {\n  rpc A(M) returns (N);\n}`,
      "bad.proto:5: p.S.A: no message N",
    ],
    [
      "an enum as a request",
      `${head}enum E { Z = 0; }\nmessage M {}\nservice S {\n  rpc A(E) returns (M);\n}`,
      "bad.proto:6: p.S.A: no message E",
    ],
    [
      "a stream of requests",
      `${head}message M {}\nservice S {\n  rpc A(stream M) returns (M);\n}`,
      "bad.proto:5: p.S.A: stream",
    ],
    [
      "a field that a class has itself",
      `${head}message M {\n  string constructor = 1;\n}`,
      "bad.proto:4: p.M.constructor: the name is taken",
    ],
  ])("%s", async (_name, content, expected) => {
    protos.write({ "bad.proto": content });
    const { code, stderr } = await protos.generate("bad", protos.path("bad.proto"));
    expect(stderr).toContain(expected);
    expect(code).toBe(1);
  });

  test("in an imported file the file is that one", async () => {
    protos.write({
      "outer.proto": `${head}import "inner.proto";`,
      "inner.proto": `${head}message I {\n  Nope n = 1;\n}`,
    });
    const { stderr } = await protos.generate("bad", protos.path("outer.proto"));
    expect(stderr).toContain("inner.proto:4: p.I.n: no type Nope");
  });
});
