import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { rpcLimits } from "../../config/options.js";
import {
  GetArgsCodec,
  GetReplyCodec,
  PutAppendArgsCodec,
  PutAppendReplyCodec,
} from "../../proto/index.js";
import {
  getArgsCodec,
  getReplyCodec,
  opAppend,
  opPut,
  putAppendArgsCodec,
  putAppendReplyCodec,
} from "../../proto/kvCodecs.js";
import { ByteWriter, decodePart, RpcError, RpcStatus, type Codec } from "../../rpc/index.js";

const word = fc.constantFrom("", "OK", "O", "OKAY", "ErrNoKey", "Put", "Append", "Pus");
const bytes = fc.oneof(
  fc.uint8Array({ maxLength: 40 }),
  word.map((text) => new TextEncoder().encode(text)),
  fc.constant(new Uint8Array(rpcLimits.lentBytesMin).fill(7)),
);
const int64 = fc.oneof(fc.nat(300), fc.maxSafeInteger());
const int32 = fc.integer();

const messages = {
  PutAppendArgs: {
    ours: putAppendArgsCodec,
    generated: PutAppendArgsCodec,
    fields: {
      Key: bytes,
      Value: bytes,
      Op: bytes,
      ClientId: bytes,
      RequestId: int64,
      FirstUnfinished: int64,
    },
  },
  PutAppendReply: {
    ours: putAppendReplyCodec,
    generated: PutAppendReplyCodec,
    fields: { Err: bytes, LeaderHint: int32 },
  },
  GetArgs: {
    ours: getArgsCodec,
    generated: GetArgsCodec,
    fields: { Key: bytes, ClientId: bytes, RequestId: int64 },
  },
  GetReply: {
    ours: getReplyCodec,
    generated: GetReplyCodec,
    fields: { Err: bytes, Value: bytes, LeaderHint: int32 },
  },
};

/** As plain data: what a message left out counts as what it stands for. */
function plain(message: object, fields: readonly string[]): unknown[] {
  return fields.map((name): unknown => {
    const value: unknown = Reflect.get(message, name);
    return value instanceof Uint8Array ? Buffer.from(value).toString("latin1") : value;
  });
}

function encode(codec: Codec<object>, message: object, borrows = false): Buffer {
  const writer = new ByteWriter(1, borrows);
  codec.encode(message, writer);
  return writer.finish();
}

/** Why the codec does not take `garbage`, or null. */
function refusal(codec: Codec<object>, garbage: Uint8Array): string | null {
  try {
    codec.decode(garbage);
    return null;
  } catch (error) {
    if (error instanceof RpcError && error.status === RpcStatus.INVALID_ARGUMENT)
      return error.message;
    throw error;
  }
}

describe.each(Object.entries(messages))("%s", (name, { fields, ...codecs }) => {
  const ours: Codec<object> = codecs.ours;
  const generated: Codec<object> = codecs.generated;
  const names = Object.keys(fields);
  const arbitraries: Record<string, fc.Arbitrary<unknown>> = fields;
  const anyMessage = fc.record(arbitraries, {
    requiredKeys: [],
  });

  test("is written so that the generated codec, and this one, read what was meant", () => {
    fc.assert(
      fc.property(anyMessage, fc.boolean(), (message, borrows) => {
        const written = encode(ours, message, borrows);
        const theirs = encode(generated, message);
        const meant = plain(generated.decode(theirs), names);
        expect(plain(generated.decode(written), names)).toEqual(meant);
        expect(plain(ours.decode(written), names)).toEqual(meant);
        expect(plain(ours.decode(theirs), names)).toEqual(meant);
      }),
    );
  });

  test("is read the same in the middle of a chunk, with fields unknown to it", () => {
    const unknown = Buffer.from("f80701fa0702abcd", "hex");
    fc.assert(
      fc.property(anyMessage, (message) => {
        const whole = Buffer.concat([encode(ours, message), unknown]);
        const chunk = Buffer.concat([Buffer.from([8, 1]), whole, Buffer.from([255])]);
        const read = decodePart(ours, chunk, 2, chunk.length - 1);
        expect(plain(read, names)).toEqual(plain(generated.decode(whole), names));
      }),
    );
  });

  test("of garbage is refused where the generated codec refuses it, naming the message", () => {
    fc.assert(
      fc.property(anyMessage, fc.nat(), fc.nat(255), (message, place, byte) => {
        const garbage = encode(ours, message);
        if (garbage.length > 0) garbage[place % garbage.length] = byte;
        const refused = refusal(ours, garbage);
        expect(refused === null || refused.startsWith(`${name}: `)).toBe(true);
        // The generated codec refuses more: a field of another wire type than its own.
        expect(refused !== null && refusal(generated, garbage) === null).toBe(false);
      }),
    );
  });
});

function decoded(op: string): Uint8Array | undefined {
  return putAppendArgsCodec.decode(encode(putAppendArgsCodec, { Op: Buffer.from(op) })).Op;
}

test("Op, once decoded, is one of two arrays", () => {
  expect(decoded("Put")).toBe(opPut);
  expect(decoded("Append")).toBe(opAppend);
  expect(Buffer.from(decoded("Puts")!).toString()).toBe("Puts");
});

test("a value that is no byte array is refused by name", () => {
  expect(() => encode(putAppendArgsCodec, { Key: "text" })).toThrow(
    "PutAppendArgs: not a Uint8Array",
  );
});
