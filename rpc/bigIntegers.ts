/** 64-bit integers as bigints, and their halves. */

const low32Mask = 0xffff_ffffn;

/** @throws RangeError, or TypeError for what is no bigint. */
export function signed64(value: bigint): bigint {
  return checked(value, BigInt.asIntN(64, bigintOnly(value)));
}

/** @throws RangeError, or TypeError for what is no bigint. */
export function unsigned64(value: bigint): bigint {
  return checked(value, BigInt.asUintN(64, bigintOnly(value)));
}

function bigintOnly(value: unknown): bigint {
  if (typeof value !== "bigint") throw new TypeError(`${String(value)} is no bigint`);
  return value;
}

function checked(value: bigint, held: bigint): bigint {
  if (value !== held) throw new RangeError(`${value} takes more than 64 bits`);
  return value;
}

/** The lower half of the two's complement, unsigned. */
export function bigLow32(value: bigint): number {
  return Number(value & low32Mask);
}

/** The upper half of the two's complement, unsigned. */
export function bigHigh32(value: bigint): number {
  return Number((value >> 32n) & low32Mask);
}

/** The unsigned integer of two unsigned halves. */
export function fromHalves(low: number, high: number): bigint {
  return (BigInt(high) << 32n) | BigInt(low);
}
