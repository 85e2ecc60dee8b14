import { rpcLimits } from "../config/options.js";

/**
 * Bytes that arrived and are to be kept: a copy, or themselves where they are many and most of the
 * memory that they lie in. Nothing writes to what has arrived, but a few bytes would keep the whole
 * chunk alive in which they came.
 */
export function keepBytes<Bytes extends Uint8Array>(bytes: Bytes): Bytes {
  const fills = 2 * bytes.length >= bytes.buffer.byteLength;
  if (fills && bytes.length >= rpcLimits.lentBytesMin) return bytes;
  return Uint8Array.prototype.slice.call(bytes) as Bytes;
}
