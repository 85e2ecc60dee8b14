import protobuf from "protobufjs/minimal.js";
import { fromHalves } from "./bigIntegers.js";

const TWO_32 = 4_294_967_296;

// protobufjs reads this when generated classes are made, and so it must happen before they are
// loaded: without it their 64-bit fields are objects of the `long` package, which it finds by itself.
Reflect.set(protobuf.util, "Long", undefined);
protobuf.configure();

/** For generated code, which takes protobufjs from here. */
export { protobuf };

/** What is used of protobufjs's reader; by its own types its 64-bit integers are never numbers. */
interface PlainReader {
  buf: Uint8Array;
  pos: number;
  len: number;
  view: DataView | null;
  tag(): number;
  raw(start: number, end: number): Uint8Array;
  fixed32(): number;
  int64(): number;
  uint64(): number;
  sint64(): number;
  fixed64(): number;
  sfixed64(): number;
  uint32(): number;
  int32(): number;
  bool(): boolean;
  bytes(): Uint8Array;
  skipType(wireType: number): unknown;
}
const className: string = "Reader";
const PlainReader: new (bytes: Uint8Array) => PlainReader = Reflect.get(protobuf, className);

/**
 * protobufjs's reader with 64-bit integers as plain numbers, whatever `long` package is about. It
 * throws RangeError for a value that a number can't hold exactly, where the original rounds.
 */
export class MessageReader extends PlainReader {
  /** The last tag that was read, for error messages. */
  lastTag = 0;
  #low = 0;
  #high = 0;
  /** The memory under `buf` and where that begins, once somebody asked: it is slow to ask. */
  #memory: ArrayBufferLike | null = null;
  #offset = 0;

  /** Starts over with a message that is `bytes[start..end)`. */
  open(bytes: Uint8Array, start = 0, end: number = bytes.length): this {
    this.buf = bytes;
    this.pos = start;
    this.len = end;
    this.view = null;
    this.#memory = null;
    return this;
  }

  /** As `bytes`, but never a Buffer: a plain view is made in half the time. */
  plainBytes(): Uint8Array {
    const length = this.uint32();
    const start = this.pos;
    if (length > this.len - start) throw new RangeError("a field goes on beyond the end");
    this.pos = start + length;
    if (this.#memory === null) {
      this.#memory = this.buf.buffer;
      this.#offset = this.buf.byteOffset;
    }
    return new Uint8Array(this.#memory, this.#offset + start, length);
  }

  override tag(): number {
    this.lastTag = super.tag();
    return this.lastTag;
  }

  override raw(start: number, end: number): Uint8Array {
    return this.buf.subarray(start, end);
  }

  override int64(): number {
    // Most integers are small: they need no halves.
    const byte = this.buf[this.pos]!;
    if (byte < 0x80 && this.pos < this.len) {
      this.pos++;
      return byte;
    }
    this.#readVarint64();
    return this.#signed();
  }

  override uint64(): number {
    this.#readVarint64();
    return this.#unsigned();
  }

  override sint64(): number {
    this.#readVarint64();
    const sign = -(this.#low & 1);
    const low = ((this.#low >>> 1) | (this.#high << 31)) ^ sign;
    this.#high = ((this.#high >>> 1) ^ sign) >>> 0;
    this.#low = low >>> 0;
    return this.#signed();
  }

  override fixed64(): number {
    this.#low = this.fixed32();
    this.#high = this.fixed32();
    return this.#unsigned();
  }

  override sfixed64(): number {
    this.#low = this.fixed32();
    this.#high = this.fixed32();
    return this.#signed();
  }

  bigInt64(): bigint {
    return BigInt.asIntN(64, this.bigUint64());
  }

  bigUint64(): bigint {
    this.#readVarint64();
    return fromHalves(this.#low, this.#high);
  }

  bigSint64(): bigint {
    const bits = this.bigUint64();
    return (bits >> 1n) ^ -(bits & 1n);
  }

  bigFixed64(): bigint {
    const low = this.fixed32();
    return fromHalves(low, this.fixed32());
  }

  bigSfixed64(): bigint {
    return BigInt.asIntN(64, this.bigFixed64());
  }

  bigInt64s(array: bigint[]): bigint[] {
    return this.#packed(array, () => this.bigInt64());
  }
  bigUint64s(array: bigint[]): bigint[] {
    return this.#packed(array, () => this.bigUint64());
  }
  bigSint64s(array: bigint[]): bigint[] {
    return this.#packed(array, () => this.bigSint64());
  }
  bigFixed64s(array: bigint[]): bigint[] {
    return this.#packed(array, () => this.bigFixed64());
  }
  bigSfixed64s(array: bigint[]): bigint[] {
    return this.#packed(array, () => this.bigSfixed64());
  }

  #packed(array: bigint[], read: () => bigint): bigint[] {
    const size = this.uint32();
    const end = this.pos + size;
    if (end > this.len) throw new RangeError("a packed field goes on beyond the end");
    while (this.pos < end) array.push(read());
    if (this.pos !== end) throw new RangeError("a packed field ends within a value");
    return array;
  }

  #unsigned(): number {
    return safe(this.#high * TWO_32 + this.#low);
  }

  #signed(): number {
    return safe((this.#high | 0) * TWO_32 + this.#low);
  }

  /** Fills the two halves; bits beyond the 64th are dropped, as everywhere in protobuf. */
  #readVarint64(): void {
    let low = 0;
    let high = 0;
    for (let shift = 0; shift < 70; shift += 7) {
      if (this.pos >= this.len) throw new RangeError("a varint goes on beyond the end");
      const byte = this.buf[this.pos++]!;
      const bits = byte & 0x7f;
      if (shift < 28) low |= bits << shift;
      else if (shift === 28) {
        low |= bits << 28;
        high = bits >>> 4;
      } else high |= bits << (shift - 32);
      if (byte < 0x80) {
        this.#low = low >>> 0;
        this.#high = high >>> 0;
        return;
      }
    }
    throw new RangeError("a varint is longer than ten bytes");
  }
}

function safe(value: number): number {
  if (!Number.isSafeInteger(value)) throw new RangeError("an integer is beyond 2^53");
  return value;
}
