import { rmSync } from "node:fs";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { RpcError } from "../../../rpc/index.js";
import { codecOf, encode, Protos } from "./support.js";

/** One .proto file generated both ways, used in one process. */

const protos = new Protos("gen-int64");
const fields = ["int64", "uint64", "sint64", "fixed64", "sfixed64"] as const;
const signed = new Set<string>(["int64", "sint64", "sfixed64"]);
let numbers: Record<string, unknown>;
let bigints: Record<string, unknown>;

beforeAll(async () => {
  const declared = fields.map(
    (type, at) => `
      ${type} a_${type} = ${at * 5 + 1}; repeated ${type} many_${type} = ${at * 5 + 2};
      map<${type}, ${type}> map_${type} = ${at * 5 + 3}; optional ${type} maybe_${type} = ${at * 5 + 4};
      repeated ${type} loose_${type} = ${at * 5 + 5} [packed = false];`,
  );
  protos.write({
    "wide.proto": `syntax = "proto3"; package wide;
      message Wide { ${declared.join("")} Wide inner = 100; oneof pick { int64 one = 101; string other = 102; }
        map<bool, int32> by_bool = 103; map<int32, Wide> by_int = 104; map<sint32, uint32> by_sint = 105;
        map<fixed32, string> by_fixed = 106; map<string, Colour> colours = 107;
        enum Colour { RED = 0; BLUE = 3; } }
      service Same { rpc A(Wide) returns (Wide); }`,
  });
  await protos.generateApart("number", protos.path("wide.proto"));
  await protos.generateApart("bigint", "--int64", "bigint", protos.path("wide.proto"));
  numbers = await protos.import("number");
  bigints = await protos.import("bigint");
});

afterAll(() => rmSync(protos.folder, { recursive: true, force: true }));

const rangeOf = (type: string): readonly [bigint, bigint] =>
  signed.has(type) ? [-(2n ** 63n), 2n ** 63n - 1n] : [0n, 2n ** 64n - 1n];

function filled(type: string, values: readonly unknown[]): Record<string, unknown> {
  const [first] = values;
  return {
    [`a_${type}`]: first,
    [`maybe_${type}`]: first,
    [`many_${type}`]: values,
    [`loose_${type}`]: values,
    [`map_${type}`]: Object.fromEntries(values.map((value) => [String(value), value])),
  };
}

describe.each(fields)("%s", (type) => {
  test("as bigint: every value, in every kind of field", () => {
    const codec = codecOf(bigints, "Wide");
    const [min, max] = rangeOf(type);
    const edges = [min, max, 0n, 1n, 2n ** 53n, 2n ** 32n, 2n ** 31n];
    const value = fc.oneof(fc.constantFrom(...edges), fc.bigInt({ min, max }));
    fc.assert(
      fc.property(fc.array(value, { minLength: 1, maxLength: 9 }), (values) => {
        const message = filled(type, values);
        expect(codec.decode(encode(codec, message))).toMatchObject(message);
      }),
    );
  });

  test("as number: every safe value, and the same bytes", () => {
    const asNumber = codecOf(numbers, "Wide");
    const asBigint = codecOf(bigints, "Wide");
    const min = signed.has(type) ? Number.MIN_SAFE_INTEGER : 0;
    const max = Number.MAX_SAFE_INTEGER;
    const value = fc.oneof(fc.constantFrom(min, max, 0), fc.integer({ min, max }));
    fc.assert(
      fc.property(fc.array(value, { minLength: 1, maxLength: 9 }), (values) => {
        const message = filled(type, values);
        const bytes = encode(asNumber, message);
        expect(asNumber.decode(bytes)).toMatchObject(message);
        expect(bytes).toEqual(encode(asBigint, filled(type, values.map(BigInt))));
      }),
    );
  });

  test("one beyond the boundary is refused by its path", () => {
    const [min, max] = rangeOf(type);
    const cases = [
      [numbers, type === "int64" || signed.has(type) ? Number.MIN_SAFE_INTEGER - 1 : -1],
      [numbers, 2 ** 53],
      [numbers, 1n],
      [bigints, min - 1n],
      [bigints, max + 1n],
      [bigints, 1],
    ] as const;
    for (const [services, bad] of cases) {
      const codec = codecOf(services, "Wide");
      const good = services === numbers ? 1 : 1n;
      for (const [message, path] of [
        [{ [`a_${type}`]: bad }, `a_${type}`],
        [{ inner: { [`many_${type}`]: [good, bad] } }, `inner.many_${type}[1]`],
        [{ [`map_${type}`]: { 5: bad } }, `map_${type}["5"]`],
      ] as const) {
        expect(() => encode(codec, message)).toThrow(RpcError);
        expect(() => encode(codec, message)).toThrow(`wide.Wide.${path}: ${bad} is out of range`);
      }
    }
  });

  test("a number can't hold what a bigint peer sends: the reader says so", () => {
    const bytes = encode(codecOf(bigints, "Wide"), { [`a_${type}`]: 2n ** 53n });
    expect(() => codecOf(numbers, "Wide").decode(bytes)).toThrow("beyond 2^53");
  });
});

test("a field that is left out is 0n, and 0n takes no bytes", () => {
  const codec = codecOf(bigints, "Wide");
  const empty = codec.decode(new Uint8Array(0));
  for (const type of fields) expect(empty[`a_${type}`]).toBe(0n);
  expect(encode(codec, Object.fromEntries(fields.map((type) => [`a_${type}`, 0n])))).toHaveLength(
    0,
  );
  expect(encode(codec, empty)).toHaveLength(0);
  expect(empty["maybe_int64"]).toBeNull();
  expect(codec.decode(encode(codec, { maybe_int64: 0n }))["maybe_int64"]).toBe(0n);
  expect(codec.decode(encode(codec, { one: 0n }))).toMatchObject({ pick: "one", one: 0n });
});

describe("maps", () => {
  test("of every kind of key", () => {
    for (const services of [numbers, bigints]) {
      const codec = codecOf(services, "Wide");
      const message = {
        by_bool: { true: 1, false: -2 },
        by_int: { "-5": { by_bool: {} }, 7: {} },
        by_sint: { "-2147483648": 4294967295 },
        by_fixed: { 4294967295: "x" },
        colours: { a: 3 },
      };
      expect(codec.decode(encode(codec, message))).toMatchObject(message);
    }
  });

  test.each([
    [{ by_int: { x: {} } }, 'by_int["x"]'],
    [{ by_int: { 2147483648: {} } }, 'by_int["2147483648"]'],
    [{ by_int: { 1: { by_sint: { 0: -1 } } } }, 'by_int["1"].by_sint["0"]: -1'],
    [{ by_fixed: { "-1": "x" } }, 'by_fixed["-1"]'],
    [{ by_sint: { "": 1 } }, 'by_sint[""]'],
    [{ colours: { a: 0.5 } }, 'colours["a"]: 0.5'],
    [{ by_bool: { yes: 1 } }, "yes is no boolean"],
  ])("a key or value that does not fit is refused: %o", (message, path) => {
    for (const services of [numbers, bigints]) {
      expect(() => encode(codecOf(services, "Wide"), message)).toThrow(RpcError);
      expect(() => encode(codecOf(services, "Wide"), message)).toThrow(path);
    }
  });
});

test("--int64 takes number or bigint", async () => {
  const { code, stderr } = await protos.generate(
    "no",
    "--int64",
    "long",
    protos.path("wide.proto"),
  );
  expect([code, stderr.split("\n")[0]]).toEqual([
    2,
    "mprpc-gen: --int64 is number or bigint, not long",
  ]);
});
