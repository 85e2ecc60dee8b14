/** Base-128 varints, as protobuf has them, on plain numbers. */

const TWO_32 = 4_294_967_296;

/** Bytes of a varint that holds an unsigned 32-bit value at the longest. */
export const varint32BytesMax = 5;

/** Bytes that `value`, a non-negative safe integer, takes as a varint: 1 to 8. */
export function varintSize(value: number): number {
  if (value < 0x80) return 1;
  if (value < 0x4000) return 2;
  if (value < 0x20_0000) return 3;
  if (value < 0x1000_0000) return 4;
  let size = 4;
  for (let rest = Math.floor(value / 0x1000_0000); rest > 0; rest = Math.floor(rest / 0x80)) size++;
  return size;
}

/**
 * What `readVarint` found. `value` is -1 while the varint goes on beyond `end`, and -2 when it is
 * longer than ten bytes or holds more than a safe integer can. One object is filled again and
 * again, so that reading makes no garbage.
 */
export interface VarintResult {
  value: number;
  /** Where the next field begins; meaningful when `value` is not negative. */
  next: number;
}

export const varintIncomplete = -1;
export const varintInvalid = -2;

/** Reads one unsigned varint from `bytes[start..end)` into `result`. */
export function readVarint(
  bytes: Uint8Array,
  start: number,
  end: number,
  result: VarintResult,
): void {
  let position = start;
  if (position < end && bytes[position]! < 0x80) {
    result.value = bytes[position]!;
    result.next = position + 1;
    return;
  }
  let value = 0;
  let scale = 1;
  while (position < end) {
    const byte = bytes[position++]!;
    value += (byte & 0x7f) * scale;
    if (byte < 0x80) {
      result.value = Number.isSafeInteger(value) ? value : varintInvalid;
      result.next = position;
      return;
    }
    scale *= 0x80;
    if (position - start >= 10) {
      result.value = varintInvalid;
      return;
    }
  }
  result.value = varintIncomplete;
}

/** The lower half of a signed integer's two's complement, unsigned. */
export function low32(value: number): number {
  return value >>> 0;
}

/** The upper half of a signed integer's two's complement, unsigned. */
export function high32(value: number): number {
  return Math.floor(value / TWO_32) >>> 0;
}
