/** Protobuf's variable-length integers, for the safe integers among int64. */

/** A place in some bytes that reading moves on. */
export interface VarintCursor {
  at: number;
}

const two32 = 2 ** 32;
/** A negative int64 always takes this many. */
const varintBytesMax = 10;

export function varintBytes(value: number): number {
  if (value < 0) return varintBytesMax;
  let bytes = 1;
  for (let rest = value; rest >= 0x80; rest = Math.floor(rest / 0x80)) bytes++;
  return bytes;
}

/** Writes a safe integer; the place behind it. */
export function writeVarint(into: Uint8Array, at: number, value: number): number {
  if (value < 0) return writeNegative(into, at, value);
  let rest = value;
  let end = at;
  while (rest >= two32) {
    into[end++] = (rest % 0x80) | 0x80;
    rest = Math.floor(rest / 0x80);
  }
  for (rest >>>= 0; rest >= 0x80; rest >>>= 7) into[end++] = (rest & 0x7f) | 0x80;
  into[end++] = rest;
  return end;
}

/** Two's complement of 64 bits, seven a byte: ten bytes, the last with one bit. */
function writeNegative(into: Uint8Array, at: number, value: number): number {
  let rest = BigInt.asUintN(64, BigInt(value));
  for (let i = 0; i < varintBytesMax - 1; i++) {
    into[at + i] = Number(rest & 0x7fn) | 0x80;
    rest >>= 7n;
  }
  into[at + varintBytesMax - 1] = Number(rest);
  return at + varintBytesMax;
}

/** Reads one at the cursor; NaN when it is cut off or over 64 bits, infinite when not safe. */
export function readVarint(bytes: Uint8Array, cursor: VarintCursor): number {
  const first = bytes[cursor.at];
  if (first !== undefined && first < 0x80) {
    cursor.at++;
    return first;
  }
  return readLongVarint(bytes, cursor);
}

function readLongVarint(bytes: Uint8Array, cursor: VarintCursor): number {
  let low = 0;
  let high = 0;
  for (let i = 0; i < varintBytesMax; i++) {
    const byte = bytes[cursor.at++];
    if (byte === undefined) return Number.NaN;
    const bits = byte & 0x7f;
    // 28 bits from the first four bytes, the fifth lies on both sides, the others above.
    if (i < 4) low |= bits << (7 * i);
    else if (i === 4) {
      low |= bits << 28;
      high = bits >> 4;
    } else if (i < varintBytesMax - 1) high |= bits << (7 * i - 32);
    else if (byte > 1) return Number.NaN;
    else high |= bits << 31;
    if (byte < 0x80) return safe((high | 0) * two32 + (low >>> 0));
  }
  return Number.NaN;
}

function safe(value: number): number {
  return Number.isSafeInteger(value) ? value : Number.POSITIVE_INFINITY;
}
