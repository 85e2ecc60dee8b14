import fc from "fast-check";
import protobuf from "protobufjs/minimal.js";
import { describe, expect, test } from "vitest";
import { rpcLimits } from "../../config/options.js";
import { ByteWriter } from "../../rpc/index.js";

const safeInteger = fc.oneof(fc.maxSafeInteger(), fc.integer({ min: -300, max: 300 }));
const unsigned = fc.oneof(fc.maxSafeNat(), fc.nat(300));
const int32 = fc.oneof(fc.integer(), fc.integer({ min: -300, max: 300 }));
const uint32 = fc.nat(0xffff_ffff);

/** One write that both writers know, by the method's name. */
const operation = fc.oneof(
  fc.record({ name: fc.constantFrom("int64", "sint64", "sfixed64"), value: safeInteger }),
  fc.record({ name: fc.constantFrom("uint64", "fixed64"), value: unsigned }),
  fc.record({ name: fc.constantFrom("int32", "sint32", "sfixed32"), value: int32 }),
  fc.record({ name: fc.constantFrom("uint32", "fixed32"), value: uint32 }),
  fc.record({ name: fc.constantFrom("float", "double"), value: fc.double({ noNaN: true }) }),
  fc.record({ name: fc.constant("bool"), value: fc.boolean() }),
  fc.record({ name: fc.constant("bytes"), value: fc.uint8Array({ maxLength: 300 }) }),
  fc.record({
    name: fc.constant("string"),
    value: fc.string({ unit: "grapheme", maxLength: 100 }),
  }),
  fc.record({ name: fc.constantFrom("int64s", "sint64s"), value: fc.array(safeInteger) }),
  fc.record({ name: fc.constantFrom("uint64s", "fixed64s"), value: fc.array(unsigned) }),
  fc.record({ name: fc.constantFrom("int32s", "sint32s", "sfixed32s"), value: fc.array(int32) }),
  fc.record({ name: fc.constantFrom("uint32s", "fixed32s"), value: fc.array(uint32) }),
  fc.record({ name: fc.constantFrom("doubles", "floats"), value: fc.array(fc.double()) }),
  fc.record({ name: fc.constant("bools"), value: fc.array(fc.boolean()) }),
  fc.constantFrom({ name: "fork", value: undefined }, { name: "ldelim", value: undefined }),
);

function run(writer: object, name: string, value: unknown): void {
  const method: unknown = Reflect.get(writer, name);
  if (typeof method !== "function") throw new Error(`no method ${name}`);
  method.call(writer, value);
}

describe("ByteWriter", () => {
  test("writes what protobufjs writes", () => {
    fc.assert(
      fc.property(fc.array(operation, { maxLength: 40 }), (operations) => {
        const ours = new ByteWriter(1);
        const theirs = protobuf.Writer.create();
        let depth = 0;
        for (const { name, value } of operations) {
          if (name === "ldelim" && depth === 0) continue;
          depth += name === "fork" ? 1 : name === "ldelim" ? -1 : 0;
          run(ours, name, value);
          run(theirs, name, value);
        }
        for (; depth > 0; depth--) {
          ours.ldelim();
          theirs.ldelim();
        }
        expect(ours.finish()).toEqual(Buffer.from(theirs.finish()));
      }),
    );
  });

  test.each([
    ["int64", 2 ** 53],
    ["int64", 1.5],
    ["int64", Number.NaN],
    ["int64", "5"],
    ["uint64", -1],
    ["sint64", -(2 ** 53)],
    ["fixed64", -1],
    ["sfixed64", Infinity],
    ["int32", 2 ** 31],
    ["int32", 0.5],
    ["uint32", -1],
    ["uint32", 2 ** 32],
    ["sint32", -(2 ** 31) - 1],
    ["fixed32", -1],
    ["sfixed32", 2 ** 31],
    ["bytes", "not base64 either"],
    ["string", 5],
  ])("refuses %s(%s), which protobufjs would bend to something else", (name, value) => {
    const writer = new ByteWriter();
    expect(() => run(writer, name, value)).toThrow(/./);
    expect(writer.length).toBe(0);
  });

  test("a part longer than one length byte can tell is moved to make room", () => {
    for (const size of [0, 127, 128, 16_383, 16_384, 2_097_151, 2_097_152]) {
      const part = Buffer.alloc(size, 0xab);
      const whole = new ByteWriter().byte(1).fork().raw(part).ldelim().byte(2).finish();
      const expected = protobuf.Writer.create().bytes(part).finish();
      expect(whole.equals(Buffer.concat([Buffer.of(1), expected, Buffer.of(2)]))).toBe(true);
    }
  });

  test("what was taken is not written over", () => {
    const writer = new ByteWriter(64);
    const first = writer.raw(Buffer.from("first")).take();
    const second = writer.raw(Buffer.from("second")).take();
    writer.raw(Buffer.alloc(100, 0));
    expect(first.toString()).toBe("first");
    expect(second.toString()).toBe("second");
  });

  test("shift moves the rest forward and back", () => {
    const writer = new ByteWriter(4).ascii("abcd").shift(2, 3);
    expect(writer.length).toBe(8);
    expect(writer.view(5).toString()).toBe("bcd");
    expect(writer.shift(5, -3).view().toString()).toBe("\u0004abcd");
  });
});

describe("ByteWriter that borrows", () => {
  const large = fc
    .nat(2 * rpcLimits.lentBytesMin)
    .map((length) => new Uint8Array(length).fill(length));

  interface Message {
    readonly header: number;
    readonly head: Uint8Array;
    readonly values: readonly Uint8Array[];
    readonly fails: boolean;
  }

  /** As a frame is written: the message first, then what goes before it, whose size shows late. */
  function write(writer: ByteWriter, { header, head, values, fails }: Message): void {
    const start = writer.length;
    const guessed = 3;
    writer.skip(guessed).bytes(head);
    for (const value of values) writer.lend(value).bool(true);
    if (fails) {
      writer.truncate(start);
      return;
    }
    const size = writer.length - start - guessed;
    writer.shift(start + guessed, header - guessed);
    const end = writer.length;
    writer.seek(start);
    for (let i = 1; i < header; i++) writer.byte(i);
    writer.byte(size % 256).seek(end);
  }

  const message: fc.Arbitrary<Message> = fc.record({
    header: fc.integer({ min: 1, max: 8 }),
    head: fc.uint8Array({ maxLength: 20 }),
    values: fc.array(large, { maxLength: 4 }),
    fails: fc.boolean(),
  });

  test("has the same bytes in its parts as one that copies", () => {
    fc.assert(
      fc.property(fc.array(message, { maxLength: 5 }), (messages) => {
        const copying = new ByteWriter(1);
        const borrowing = new ByteWriter(1, true);
        for (const each of messages) {
          write(copying, each);
          write(borrowing, each);
        }
        expect(borrowing.length).toBe(copying.length);
        expect(Buffer.concat(borrowing.parts()).equals(copying.finish())).toBe(true);
        expect(borrowing.finish().equals(copying.finish())).toBe(true);
        expect(borrowing.reset().parts()).toEqual([]);
      }),
      { numRuns: 200 },
    );
  });

  test("copies no large value, and every small one", () => {
    const writer = new ByteWriter(1, true);
    const value = new Uint8Array(rpcLimits.lentBytesMin);
    const small = new Uint8Array(rpcLimits.lentBytesMin - 1);
    writer.lend(value).lend(small);
    expect(writer.hasLent).toBe(true);
    expect(writer.parts()[1]).toBe(value);
    expect(writer.parts()).toHaveLength(3);
  });

  test("writes over the beginning without losing what is behind it", () => {
    const writer = new ByteWriter(4);
    writer.skip(1).raw(Uint8Array.of(1, 2, 3));
    const end = writer.length;
    writer.seek(0).uint32(9).seek(end);
    expect([...writer.finish()]).toEqual([9, 1, 2, 3]);
  });
});
