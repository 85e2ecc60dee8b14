/**
 * The keys of a protobuf map, which JavaScript holds as strings, as what the wire carries. For
 * generated code.
 */

/** @throws RangeError for what no safe integer is written as. */
export function integerKey(text: string): number {
  const value = /^-?\d+$/.test(text) ? Number(text) : Number.NaN;
  if (!Number.isSafeInteger(value)) throw new RangeError(`${text} is no safe integer`);
  return value;
}

/** @throws RangeError for what no integer is written as. */
export function bigintKey(text: string): bigint {
  if (!/^-?\d+$/.test(text)) throw new RangeError(`${text} is no integer`);
  return BigInt(text);
}

/** @throws RangeError for what is neither `true` nor `false`. */
export function booleanKey(text: string): boolean {
  if (text !== "true" && text !== "false") throw new RangeError(`${text} is no boolean`);
  return text === "true";
}
