import { join } from "node:path";
import * as fc from "fast-check";
import protobuf from "protobufjs";
import { describe, expect, test } from "vitest";
import { originalNodes } from "../../config/options.js";
import { decodeOp, encodeOp, OpCodecError, type Op } from "../../kvserver/opCodec.js";

const proto = join(import.meta.dirname, "../../proto/kvServerRPC.proto");
const reference = (await protobuf.load(proto)).lookupType("raftKVRpcProctoc.Op");
const numbers = { Unknown: 0, Put: 1, Append: 2, Get: 3, OpenSession: 4, CloseSession: 5 };

const someBytes = fc.uint8Array({ maxLength: 300 });
const safeInteger = fc.oneof(
  fc.maxSafeInteger(),
  fc.constantFrom(0, 1, 127, 128, 2 ** 28 - 1, 2 ** 28, 2 ** 31, 2 ** 32 - 1, 2 ** 32, 2 ** 35),
  fc.constantFrom(2 ** 49, Number.MAX_SAFE_INTEGER, -1, -(2 ** 32), Number.MIN_SAFE_INTEGER),
);
const anyOp: fc.Arbitrary<Op> = fc.record({
  operation: fc.constantFrom("Put" as const, "Append" as const, "Get" as const, "OpenSession"),
  key: someBytes,
  value: someBytes,
  clientId: someBytes,
  requestId: safeInteger,
  firstUnfinished: safeInteger,
  logTimeMs: safeInteger,
});

const sample: Op = {
  operation: "Put",
  key: Uint8Array.of(1),
  value: Uint8Array.of(2, 3),
  clientId: Uint8Array.of(4),
  requestId: 5,
  firstUnfinished: 6,
  logTimeMs: 7,
};

/** The message as protobufjs takes it: integers as decimal text, what is empty left out. */
function toMessage(op: Op): protobuf.Message {
  const all = {
    Operation: numbers[op.operation],
    Key: Buffer.from(op.key),
    Value: Buffer.from(op.value),
    ClientId: Buffer.from(op.clientId),
    RequestId: String(op.requestId),
    FirstUnfinished: String(op.firstUnfinished),
    LogTimeMs: String(op.logTimeMs),
  };
  const given = Object.entries(all).filter(
    ([, value]) => value !== "0" && !(Buffer.isBuffer(value) && value.length === 0),
  );
  return reference.fromObject(Object.fromEntries(given));
}

const own = (bytes: Uint8Array): Uint8Array => Uint8Array.from(bytes);

function plain(op: Op): Op {
  const { operation, key, value, clientId, requestId, firstUnfinished, logTimeMs } = op;
  return {
    operation,
    key: own(key),
    value: own(value),
    clientId: own(clientId),
    requestId,
    firstUnfinished,
    logTimeMs,
  };
}

describe("the compact encoding", () => {
  test("is the message Op, byte for byte", () => {
    fc.assert(
      fc.property(anyOp, (op) => {
        const expected = reference.encode(toMessage(op)).finish();
        expect(Buffer.from(encodeOp(op, "compact"))).toEqual(Buffer.from(expected));
      }),
    );
  });

  test("reads what protobuf wrote", () => {
    fc.assert(
      fc.property(anyOp, (op) => {
        expect(plain(decodeOp(reference.encode(toMessage(op)).finish()))).toEqual(op);
      }),
    );
  });

  test("skips fields that a later version may add, in any order", () => {
    const later = protobuf.parse(`syntax = "proto3"; message Op {
      fixed64 a = 200; int32 Operation = 1; string b = 12; fixed32 c = 13; uint64 d = 14; }`).root;
    const type = later.lookupType("Op");
    const extra = type.encode({ a: 1, b: "text", c: 2, d: "18446744073709551615" }).finish();
    const command = Buffer.concat([extra, encodeOp(sample, "compact"), extra]);
    expect(plain(decodeOp(command))).toEqual(sample);
  });

  test("gives bytes that nobody else holds, exactly sized", () => {
    const first = encodeOp(sample, "compact");
    const copy = Buffer.from(first);
    encodeOp({ ...sample, value: new Uint8Array(100).fill(9) }, "compact");
    expect(Buffer.from(first)).toEqual(copy);
  });

  test.each([
    ["cut off in a field", [0x08, 1, 0x12, 5, 1]],
    ["cut off in a length", [0x08, 1, 0x12, 0x80]],
    ["no operation", [0x12, 1, 1]],
    ["an operation of the future", [0x08, 9]],
    ["field number 0", [0x08, 1, 0x00]],
    ["a group", [0x08, 1, 0x0b]],
    ["a varint of eleven bytes", [0x08, 1, 0x28, ...Array.from({ length: 10 }, () => 0xff), 1]],
    ["no safe integer", [0x08, 1, 0x28, ...Array.from({ length: 8 }, () => 0xff), 0x7f]],
    ["a length beyond memory", [0x08, 1, 0x12, 0xff, 0xff, 0xff, 0xff, 0x7f]],
  ])("refuses a command with %s", (_, bytes) => {
    expect(() => decodeOp(Uint8Array.from(bytes))).toThrow(OpCodecError);
  });

  test.each([1.5, Number.NaN, 2 ** 53, Number.POSITIVE_INFINITY])("does not encode %d", (bad) => {
    expect(() => encodeOp({ ...sample, requestId: bad }, "compact")).toThrow(OpCodecError);
    expect(() => encodeOp({ ...sample, logTimeMs: bad }, "boost")).toThrow(OpCodecError);
  });
});

test("a command that fits into no request to a node of the original is refused in its encoding", () => {
  const { commandBytesMax } = originalNodes;
  const rest = encodeOp({ ...sample, value: new Uint8Array(10_000) }, "boost").length - 10_000;
  const largest = { ...sample, value: new Uint8Array(commandBytesMax - rest) };
  expect(encodeOp(largest, "boost")).toHaveLength(commandBytesMax);
  const larger = { ...sample, value: new Uint8Array(commandBytesMax - rest + 1) };
  expect(() => encodeOp(larger, "boost")).toThrow(/59501 bytes.*no node of the original/);
  expect(() => encodeOp(larger, "compact")).not.toThrow();
});

describe("both encodings", () => {
  test("come back as they were, told apart by their first bytes", () => {
    const small = anyOp.map((op) => ({
      ...op,
      requestId: Math.trunc(op.requestId / 2 ** 23) + 0,
      firstUnfinished: Math.abs(op.firstUnfinished),
      logTimeMs: Math.abs(op.logTimeMs),
    }));
    fc.assert(
      fc.property(small, (op) => {
        expect(plain(decodeOp(encodeOp(op, "compact")))).toEqual(op);
        const keepsTime = op.firstUnfinished > 0 || op.operation === "OpenSession";
        const boost = keepsTime ? op : { ...op, logTimeMs: 0 };
        expect(plain(decodeOp(encodeOp(op, "boost")))).toEqual(boost);
      }),
    );
  });

  test("decoding any bytes gives an operation or the typed error", () => {
    const start = fc.constantFrom("", "2", "22 ", "22 serialization::archive 18 0 0 ", "\x08\x01");
    fc.assert(
      fc.property(start, fc.uint8Array({ maxLength: 60 }), (head, tail) => {
        const command = Buffer.concat([Buffer.from(head, "latin1"), tail]);
        let error: unknown = null;
        try {
          decodeOp(command);
        } catch (caught) {
          error = caught;
        }
        expect(error === null || error instanceof OpCodecError).toBe(true);
      }),
      { numRuns: 500 },
    );
  });
});
