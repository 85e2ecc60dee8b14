import { rpcLimits } from "../config/options.js";
import { bigHigh32, bigLow32, signed64, unsigned64 } from "./bigIntegers.js";
import { high32, low32 } from "./varint.js";

const capacityDefault = 1024;
/** A varint of 64 bits at its longest. */
const varint64BytesMax = 10;
const uint32Max = 0xffff_ffff;

/** Bytes of someone else's that stand in the middle of what was written. */
interface LentPart {
  /** How much of the writer's own bytes comes before it. */
  at: number;
  readonly bytes: Uint8Array;
}

/**
 * A growing buffer that protobuf messages are written into. It has the methods of protobufjs's
 * writer under their names, so that generated `encode` functions write straight into a frame; unlike
 * it, it refuses an integer that its type can't hold, where protobufjs would silently round.
 *
 * Everything that takes a value returns the writer, and throws RangeError or TypeError for one that
 * doesn't fit. A message that failed half-way is left behind: `truncate` removes it.
 */
export class ByteWriter {
  #bytes: Buffer;
  #length = 0;
  /** Where each open `fork` began. */
  #forks: number[] = [];
  readonly #borrows: boolean;
  readonly #lent: LentPart[] = [];
  #lentBytes = 0;

  /** @param borrows What was written will be taken by `parts`, so that `lend` need not copy. */
  constructor(capacity: number = capacityDefault, borrows = false) {
    this.#bytes = Buffer.allocUnsafeSlow(capacity);
    this.#borrows = borrows;
  }

  /** Bytes written so far; positions count from 0 to here. */
  get length(): number {
    return this.#length + this.#lentBytes;
  }

  /** Some of it is not in one piece with the rest: it is there by `parts` alone. */
  get hasLent(): boolean {
    return this.#lentBytes > 0;
  }

  /** Bytes that fit before the buffer has to grow. */
  get capacity(): number {
    return this.#bytes.length;
  }

  /** What was written. A view: the next write may change it or leave it behind. */
  view(start = 0, end: number = this.#length): Buffer {
    return this.#bytes.subarray(start, end);
  }

  /** A copy of what was written. */
  finish(): Buffer {
    return this.hasLent ? Buffer.concat(this.parts()) : Buffer.from(this.view());
  }

  /** What was written, in order: views of it, as `view` gives them, and what was lent. */
  parts(): Uint8Array[] {
    const parts: Uint8Array[] = [];
    let start = 0;
    for (const { at, bytes } of this.#lent) {
      if (at > start) parts.push(this.view(start, at));
      parts.push(bytes);
      start = at;
    }
    if (this.#length > start) parts.push(this.view(start));
    return parts;
  }

  /** Hands over what was written, uncopied; the writer goes on elsewhere, empty. */
  take(): Buffer {
    const taken = this.view();
    this.#bytes = this.#bytes.subarray(this.#length);
    this.reset();
    return taken;
  }

  reset(): this {
    return this.truncate(0);
  }

  /** Forgets what was written from position `length` on. */
  truncate(length: number): this {
    const place = this.#placeOf(length);
    for (let last = this.#lent.at(-1); last !== undefined; last = this.#lent.at(-1)) {
      const before = this.#lentBytes - last.bytes.length;
      if (last.at + before < length) break;
      this.#lent.pop();
      this.#lentBytes = before;
    }
    this.#length = place;
    // Setting an array's length is slow even where it changes nothing.
    if (this.#forks.length > 0) this.#forks.length = 0;
    return this;
  }

  /** Goes to `position` to write there over what was written, or back to the end. */
  seek(position: number): this {
    this.#length = this.#placeOf(position);
    return this;
  }

  /** Leaves `count` bytes as they are, to be written later by way of `seek`. */
  skip(count: number): this {
    this.#reserve(count);
    this.#length += count;
    return this;
  }

  /** Moves everything from `position` on by `distance` bytes, forward or back. */
  shift(position: number, distance: number): this {
    this.#shift(this.#placeOf(position), distance);
    let before = 0;
    for (const part of this.#lent) {
      if (part.at + before >= position) part.at += distance;
      before += part.bytes.length;
    }
    return this;
  }

  /** How many of the writer's own bytes come before `position`. */
  #placeOf(position: number): number {
    let before = this.#lentBytes;
    for (let i = this.#lent.length - 1; i >= 0; i--) {
      const { at, bytes } = this.#lent[i]!;
      if (at + before - bytes.length < position) break;
      before -= bytes.length;
    }
    return position - before;
  }

  #shift(place: number, distance: number): void {
    if (distance > 0) this.#reserve(distance);
    this.#bytes.copyWithin(place + distance, place, this.#length);
    this.#length += distance;
  }

  #reserve(count: number): void {
    if (this.#length + count > this.#bytes.length) this.#grow(count);
  }

  #grow(count: number): void {
    const capacity = Math.max(this.#bytes.length * 2, this.#length + count, capacityDefault);
    const grown = Buffer.allocUnsafeSlow(capacity);
    // All of it: after a `seek` there is more behind the place that is written to.
    this.#bytes.copy(grown);
    this.#bytes = grown;
  }

  byte(value: number): this {
    this.#reserve(1);
    this.#bytes[this.#length++] = value;
    return this;
  }

  /** A field's tag. `wireType` is 0 varint, 1 fixed64, 2 length-delimited, 5 fixed32. */
  tag(field: number, wireType: number): this {
    return this.uint32((field << 3) | wireType);
  }

  /** Bytes as they are, without a length before them. */
  raw(value: Uint8Array): this {
    this.#reserve(value.length);
    this.#bytes.set(value, this.#length);
    this.#length += value.length;
    return this;
  }

  /** A varint field whose tag takes one byte; nothing for 0. `value` is a non-negative safe integer. */
  field(tag: number, value: number): this {
    if (value === 0) return this;
    this.#reserve(1 + varint64BytesMax);
    this.#bytes[this.#length++] = tag;
    if (value <= uint32Max) this.#varint32(value);
    else this.#varint64(low32(value), high32(value));
    return this;
  }

  /** Bytes with their length as a varint before them. */
  bytes(value: Uint8Array): this {
    // protobufjs would take a string for base64; here it is the mistake of a caller.
    if (!(value instanceof Uint8Array)) throw new TypeError("not a Uint8Array");
    return this.uint32(value.length).raw(value);
  }

  /**
   * As `bytes`, for a value that never changes any more. A large one is not copied if the writer
   * borrows, unless a `fork` is open.
   */
  lend(value: Uint8Array): this {
    const copied = !this.#borrows || value.length < rpcLimits.lentBytesMin;
    if (copied || this.#forks.length > 0) return this.bytes(value);
    this.uint32(value.length);
    this.#lent.push({ at: this.#length, bytes: value });
    this.#lentBytes += value.length;
    return this;
  }

  /** UTF-8 with its length before it. */
  string(value: string): this {
    if (typeof value !== "string") throw new TypeError("not a string");
    const length = Buffer.byteLength(value);
    this.uint32(length);
    this.#reserve(length);
    this.#bytes.write(value, this.#length, length, "utf8");
    this.#length += length;
    return this;
  }

  /** Like `string`, for text known to be ASCII. */
  ascii(value: string): this {
    this.uint32(value.length);
    this.#reserve(value.length);
    this.#bytes.write(value, this.#length, value.length, "latin1");
    this.#length += value.length;
    return this;
  }

  uint32(value: number): this {
    if (value >>> 0 !== value) throw new RangeError(`${value} is no unsigned 32-bit integer`);
    this.#reserve(varint64BytesMax);
    this.#varint32(value);
    return this;
  }

  /** The name that the wire's own prefixes have in the original: varint32. */
  varint32(value: number): this {
    return this.uint32(value);
  }

  int32(value: number): this {
    if ((value | 0) !== value) throw new RangeError(`${value} is no 32-bit integer`);
    this.#reserve(varint64BytesMax);
    if (value >= 0) this.#varint32(value);
    else this.#varint64(low32(value), high32(value));
    return this;
  }

  sint32(value: number): this {
    if ((value | 0) !== value) throw new RangeError(`${value} is no 32-bit integer`);
    return this.uint32(((value << 1) ^ (value >> 31)) >>> 0);
  }

  /** A varint of a safe integer; a negative one takes ten bytes. */
  int64(value: number): this {
    if (!Number.isSafeInteger(value)) throw new RangeError(`${value} is no safe integer`);
    this.#reserve(varint64BytesMax);
    if (value >>> 0 === value) this.#varint32(value);
    else this.#varint64(low32(value), high32(value));
    return this;
  }

  uint64(value: number): this {
    if (value < 0) throw new RangeError(`${value} is negative`);
    return this.int64(value);
  }

  sint64(value: number): this {
    if (!Number.isSafeInteger(value)) throw new RangeError(`${value} is no safe integer`);
    this.#reserve(varint64BytesMax);
    const sign = value < 0 ? 0xffff_ffff : 0;
    const low = low32(value);
    const high = high32(value);
    this.#varint64(((low << 1) ^ sign) >>> 0, (((high << 1) | (low >>> 31)) ^ sign) >>> 0);
    return this;
  }

  bool(value: boolean): this {
    return this.byte(value ? 1 : 0);
  }

  fixed32(value: number): this {
    if (value >>> 0 !== value) throw new RangeError(`${value} is no unsigned 32-bit integer`);
    this.#reserve(4);
    this.#length = this.#bytes.writeUInt32LE(value, this.#length);
    return this;
  }

  sfixed32(value: number): this {
    if ((value | 0) !== value) throw new RangeError(`${value} is no 32-bit integer`);
    return this.fixed32(value >>> 0);
  }

  fixed64(value: number): this {
    if (value < 0) throw new RangeError(`${value} is negative`);
    return this.sfixed64(value);
  }

  sfixed64(value: number): this {
    if (!Number.isSafeInteger(value)) throw new RangeError(`${value} is no safe integer`);
    return this.fixed32(low32(value)).fixed32(high32(value));
  }

  /** A varint of a signed 64-bit integer; for code generated with `--int64 bigint`. */
  bigInt64(value: bigint): this {
    return this.#bigVarint(signed64(value));
  }

  bigUint64(value: bigint): this {
    return this.#bigVarint(unsigned64(value));
  }

  bigSint64(value: bigint): this {
    return this.#bigVarint(BigInt.asUintN(64, (value << 1n) ^ (signed64(value) >> 63n)));
  }

  bigFixed64(value: bigint): this {
    const bits = unsigned64(value);
    return this.fixed32(bigLow32(bits)).fixed32(bigHigh32(bits));
  }

  bigSfixed64(value: bigint): this {
    return this.bigFixed64(BigInt.asUintN(64, signed64(value)));
  }

  #bigVarint(value: bigint): this {
    this.#reserve(varint64BytesMax);
    this.#varint64(bigLow32(value), bigHigh32(value));
    return this;
  }

  float(value: number): this {
    this.#reserve(4);
    this.#length = this.#bytes.writeFloatLE(value, this.#length);
    return this;
  }

  double(value: number): this {
    this.#reserve(8);
    this.#length = this.#bytes.writeDoubleLE(value, this.#length);
    return this;
  }

  /** Opens a length-delimited part; `ldelim` closes it and puts its length before it. */
  fork(): this {
    this.#reserve(1);
    this.#length++;
    this.#forks.push(this.#length);
    return this;
  }

  ldelim(): this {
    const start = this.#forks.pop();
    if (start === undefined) throw new Error("ldelim without fork");
    const size = this.#length - start;
    if (size < 0x80) {
      this.#bytes[start - 1] = size;
      return this;
    }
    // One byte was kept free for the length; a longer one pushes the part back.
    let extra = 1;
    for (let rest = size >>> 14; rest > 0; rest >>>= 7) extra++;
    this.#shift(start, extra);
    const end = this.#length;
    this.#length = start - 1;
    this.#varint32(size);
    this.#length = end;
    return this;
  }

  uint32s(values: readonly number[]): this {
    return this.#packed(values, (value) => this.uint32(value));
  }
  int32s(values: readonly number[]): this {
    return this.#packed(values, (value) => this.int32(value));
  }
  sint32s(values: readonly number[]): this {
    return this.#packed(values, (value) => this.sint32(value));
  }
  uint64s(values: readonly number[]): this {
    return this.#packed(values, (value) => this.uint64(value));
  }
  int64s(values: readonly number[]): this {
    return this.#packed(values, (value) => this.int64(value));
  }
  sint64s(values: readonly number[]): this {
    return this.#packed(values, (value) => this.sint64(value));
  }
  fixed32s(values: readonly number[]): this {
    return this.#packed(values, (value) => this.fixed32(value));
  }
  sfixed32s(values: readonly number[]): this {
    return this.#packed(values, (value) => this.sfixed32(value));
  }
  fixed64s(values: readonly number[]): this {
    return this.#packed(values, (value) => this.fixed64(value));
  }
  sfixed64s(values: readonly number[]): this {
    return this.#packed(values, (value) => this.sfixed64(value));
  }
  bigInt64s(values: readonly bigint[]): this {
    return this.#packed(values, (value) => this.bigInt64(value));
  }
  bigUint64s(values: readonly bigint[]): this {
    return this.#packed(values, (value) => this.bigUint64(value));
  }
  bigSint64s(values: readonly bigint[]): this {
    return this.#packed(values, (value) => this.bigSint64(value));
  }
  bigFixed64s(values: readonly bigint[]): this {
    return this.#packed(values, (value) => this.bigFixed64(value));
  }
  bigSfixed64s(values: readonly bigint[]): this {
    return this.#packed(values, (value) => this.bigSfixed64(value));
  }
  floats(values: readonly number[]): this {
    return this.#packed(values, (value) => this.float(value));
  }
  doubles(values: readonly number[]): this {
    return this.#packed(values, (value) => this.double(value));
  }
  bools(values: readonly boolean[]): this {
    return this.#packed(values, (value) => this.bool(value));
  }

  #packed<T>(values: readonly T[], write: (value: T) => unknown): this {
    this.fork();
    for (const value of values) write(value);
    return this.ldelim();
  }

  /** Ten bytes are reserved. */
  #varint32(value: number): void {
    const bytes = this.#bytes;
    let position = this.#length;
    let rest = value;
    while (rest > 0x7f) {
      bytes[position++] = (rest & 0x7f) | 0x80;
      rest >>>= 7;
    }
    bytes[position++] = rest;
    this.#length = position;
  }

  /** Ten bytes are reserved. */
  #varint64(low: number, high: number): void {
    const bytes = this.#bytes;
    let position = this.#length;
    let lowRest = low;
    let highRest = high;
    while (highRest > 0 || lowRest > 0x7f) {
      bytes[position++] = (lowRest & 0x7f) | 0x80;
      lowRest = ((lowRest >>> 7) | (highRest << 25)) >>> 0;
      highRest >>>= 7;
    }
    bytes[position++] = lowRest;
    this.#length = position;
  }
}
