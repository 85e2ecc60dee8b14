/**
 * Exactly sized byte arrays for what outlives a call. A typed array with memory of its own costs
 * ten times as much as one cut from a shared block, so small ones are cut from a block; it lives as
 * long as any of them, which is why large ones get their own memory.
 */
const blockBytes = 65_536;
const cutBytesMax = 4096;

let block = new ArrayBuffer(0);
let used = 0;

/** `length` bytes of arbitrary content that nobody else holds. */
export function freshBytes(length: number): Uint8Array {
  if (length > cutBytesMax) return allocateBytes(length);
  if (used + length > block.byteLength) {
    block = allocateBytes(blockBytes).buffer;
    used = 0;
  }
  const bytes = new Uint8Array(block, used, length);
  used += length;
  return bytes;
}

export function copyBytes(bytes: Uint8Array): Uint8Array {
  const copy = freshBytes(bytes.length);
  copy.set(bytes);
  return copy;
}

/** An array with memory of its own: not zeroed, and not from Node's pool. */
export function allocateBytes(length: number): Uint8Array<ArrayBuffer> {
  return new Uint8Array(Buffer.allocUnsafeSlow(length).buffer);
}
