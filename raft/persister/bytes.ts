/** Little-endian integers in a byte array: what every file of the data directory is made of. */

const TWO_32 = 0x1_0000_0000;

export function putU32(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value;
  bytes[at + 1] = value >>> 8;
  bytes[at + 2] = value >>> 16;
  bytes[at + 3] = value >>> 24;
}

export function getU32(bytes: Uint8Array, at: number): number {
  return (
    (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)) >>> 0
  );
}

/** `value` is a safe integer and not negative. */
export function putU64(bytes: Uint8Array, at: number, value: number): void {
  putU32(bytes, at, value % TWO_32);
  putU32(bytes, at + 4, Math.floor(value / TWO_32));
}

/** Above 2^53 the result is not a safe integer; whoever reads a file checks that. */
export function getU64(bytes: Uint8Array, at: number): number {
  return getU32(bytes, at + 4) * TWO_32 + getU32(bytes, at);
}

const zeros = new Uint8Array(64 * 1024);

/** One past the last byte that is not zero in [from, bytes.length), or `from`. */
export function endOfContent(bytes: Uint8Array, from: number): number {
  let end = bytes.length;
  while (end > from) {
    const start = Math.max(from, end - zeros.length);
    if (Buffer.compare(bytes.subarray(start, end), zeros.subarray(0, end - start)) !== 0) break;
    end = start;
  }
  while (end > from && bytes[end - 1] === 0) end--;
  return end;
}
