import { rpcLimits } from "../config/options.js";

/**
 * Bytes that arrived and are to be kept: a copy, or themselves where they are many and most of the
 * memory that they lie in. Nothing writes to what has arrived, but a few bytes would keep the whole
 * chunk alive in which they came.
 */
export function keepBytes(bytes: Uint8Array): Uint8Array {
  const { buffer } = bytes;
  const fills = 2 * bytes.length >= buffer.byteLength;
  if (fills && bytes.length >= rpcLimits.lentBytesMin)
    return new Uint8Array(buffer, bytes.byteOffset, bytes.length);
  return new Uint8Array(bytes);
}
