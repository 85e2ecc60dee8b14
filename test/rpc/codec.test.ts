import { readFileSync } from "node:fs";
import fc from "fast-check";
import protobuf from "protobufjs";
import { describe, expect, test } from "vitest";
import * as proto from "../../proto/index.js";
import { ByteWriter, RpcError, RpcStatus, type Codec } from "../../rpc/index.js";

const codecs = new Map<string, Codec<unknown>>(
  Object.entries(proto).flatMap(([name, value]) =>
    name.endsWith("Codec") ? [[name.slice(0, -"Codec".length), value as Codec<unknown>]] : [],
  ),
);

/** protobufjs by reflection: it shares nothing with the generated code but the .proto files. */
const root = new protobuf.Root().loadSync(
  ["rpcheader", "raftRPC", "kvServerRPC"].map((name) => `proto/${name}.proto`),
  { keepCase: true },
);
const types = ["RPC", "raftRpcProctoc", "raftKVRpcProctoc"].flatMap((space) =>
  (root.lookup(space) as protobuf.Namespace).nestedArray.filter(
    (nested) => nested instanceof protobuf.Type,
  ),
);

function encode(codec: Codec<unknown>, message: unknown): Buffer {
  const writer = new ByteWriter();
  codec.encode(message, writer);
  return writer.finish();
}

function statusOf(action: () => unknown): [RpcStatus, string] {
  try {
    action();
  } catch (error) {
    if (error instanceof RpcError) return [error.status, error.message];
    throw error;
  }
  throw new Error("nothing was thrown");
}

const encodeBad = (message: proto.AppendEntriesArgs.$Properties) => () =>
  encode(proto.AppendEntriesArgsCodec, message);

function decodeOutcome(garbage: Uint8Array): string {
  try {
    proto.AppendEntriesArgsCodec.decode(garbage);
    return "decoded";
  } catch (error) {
    return error instanceof RpcError ? "RpcError" : String(error);
  }
}

/** Any value of a field, as plain data. */
function fieldArbitrary(field: protobuf.Field, depth: number): fc.Arbitrary<unknown> {
  if (field.resolvedType instanceof protobuf.Type) {
    const inner = messageArbitrary(field.resolvedType, depth + 1);
    return field.repeated ? fc.array(inner, { maxLength: 3 }) : inner;
  }
  if (field.resolvedType instanceof protobuf.Enum) {
    return fc.constantFrom(...Object.values(field.resolvedType.values));
  }
  const arbitraries: Record<string, fc.Arbitrary<unknown>> = {
    bytes: fc.uint8Array({ maxLength: 300 }),
    string: fc.string({ unit: "grapheme" }),
    bool: fc.boolean(),
    int32: fc.integer(),
    uint32: fc.nat(0xffff_ffff),
    int64: fc.maxSafeInteger(),
    uint64: fc.maxSafeNat(),
  };
  return arbitraries[field.type]!;
}

function messageArbitrary(type: protobuf.Type, depth = 0): fc.Arbitrary<object> {
  const fields = Object.fromEntries(
    type.fieldsArray.map((field) => [field.name, fieldArbitrary(field.resolve(), depth)]),
  );
  return fc.record(fields, { requiredKeys: [] });
}

interface Vector {
  readonly message: string;
  readonly name: string;
  readonly fields: Record<string, unknown>;
  readonly hex: string;
}
const { vectors } = JSON.parse(readFileSync("test/interop/vectors/proto.json", "utf8")) as {
  vectors: Vector[];
};

/** The vectors name a field of bytes `<Field>Hex`. */
function fromVector(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(fromVector);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, inner]) =>
      name.endsWith("Hex")
        ? [name.slice(0, -3), Buffer.from(String(inner), "hex")]
        : [name, fromVector(inner)],
    ),
  );
}

describe("generated codecs", () => {
  test("there is one for each message", () => {
    expect(types.length).toBeGreaterThan(15);
    for (const type of types) expect([...codecs.keys()]).toContain(type.name);
  });

  test.each(vectors.map((vector) => [vector.message, vector.name, vector] as const))(
    "%s, %s: the bytes of libprotobuf",
    (message, _name, vector) => {
      const codec = codecs.get(message)!;
      const fields = fromVector(vector.fields);
      expect(encode(codec, fields).toString("hex")).toBe(vector.hex);
      const decoded = codec.decode(Buffer.from(vector.hex, "hex"));
      expect(encode(codec, decoded).toString("hex")).toBe(vector.hex);
      expect(decoded).toMatchObject(fields as object);
    },
  );

  test.each(types.map((type) => [type.name, type] as const))(
    "%s agrees with protobufjs's reflection on any message",
    (name, type) => {
      const codec = codecs.get(name)!;
      fc.assert(
        fc.property(messageArbitrary(type), (message) => {
          const theirs = type.encode(type.fromObject(message)).finish();
          expect(encode(codec, message)).toEqual(Buffer.from(theirs));
          expect(encode(codec, codec.decode(theirs))).toEqual(Buffer.from(theirs));
        }),
        { numRuns: 50 },
      );
    },
  );

  test("an integer that is not safe is refused by the name of its field", () => {
    expect(statusOf(encodeBad({ Term: 2 ** 53 }))).toEqual([
      RpcStatus.INVALID_ARGUMENT,
      "raftRpcProctoc.AppendEntriesArgs.Term: 9007199254740992 is out of range",
    ]);
    expect(statusOf(encodeBad({ Entries: [{}, { LogIndex: 0.5 }] }))[1]).toContain(
      "AppendEntriesArgs.Entries[1].LogIndex: 0.5",
    );
    expect(statusOf(encodeBad({ LeaderId: 2 ** 31 }))[1]).toContain("AppendEntriesArgs.LeaderId");
  });

  test("an integer beyond the safe ones is refused when it arrives, not rounded", () => {
    const tooLarge = protobuf.Writer.create()
      .uint32(8)
      .uint64(2 ** 53)
      .finish();
    const [status, message] = statusOf(() => proto.AppendEntriesArgsCodec.decode(tooLarge));
    expect(status).toBe(RpcStatus.INVALID_ARGUMENT);
    expect(message).toContain("field number 1");
    const largest = protobuf.Writer.create()
      .uint32(8)
      .uint64(2 ** 53 - 1)
      .finish();
    expect(proto.AppendEntriesArgsCodec.decode(largest).Term).toBe(Number.MAX_SAFE_INTEGER);
  });

  test("64-bit fields are numbers, also where they are absent", () => {
    expect(new proto.AppendEntriesArgs().Term).toBe(0);
    expect(proto.AppendEntriesArgsCodec.decode(Buffer.of(0x08, 0x05)).Term).toBe(5);
    const negative = encode(proto.AppendEntriesReplyCodec, { UpdateNextIndex: -100 });
    expect(negative.length).toBe(11);
    expect(proto.AppendEntriesReplyCodec.decode(negative).UpdateNextIndex).toBe(-100);
  });

  test("garbage is refused, and the next message is not affected by it", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), (garbage) => {
        expect(decodeOutcome(garbage)).toMatch(/^(decoded|RpcError)$/);
        expect(proto.AppendEntriesArgsCodec.decode(Buffer.of(0x08, 0x05)).Term).toBe(5);
      }),
    );
  });
});
