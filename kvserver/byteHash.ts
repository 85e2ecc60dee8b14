import { randomBytes } from "node:crypto";

/**
 * HalfSipHash-1-3: a keyed hash of 32 bits. Clients choose the keys that are hashed, so an unkeyed
 * hash would let one of them pick keys that all collide. The hash never leaves the process and is
 * no part of the replicated state.
 */
export class ByteHash {
  private readonly key0: number;
  private readonly key1: number;

  /** @param key 8 bytes; without it, random ones. */
  constructor(key: Uint8Array = randomBytes(8)) {
    this.key0 = wordAt(key, 0);
    this.key1 = wordAt(key, 4);
  }

  hash(bytes: Uint8Array): number {
    let v0 = this.key0;
    let v1 = this.key1;
    let v2 = 0x6c796765 ^ this.key0;
    let v3 = 0x74656462 ^ this.key1;
    const length = bytes.length;
    const wordsEnd = length - (length & 3);
    // The loop runs once more for the last word: what is left over, under the length.
    for (let at = 0; at <= wordsEnd; at += 4) {
      const word = at < wordsEnd ? wordAt(bytes, at) : lastWord(bytes, at);
      v3 ^= word;
      v0 = (v0 + v1) | 0;
      v1 = ((v1 << 5) | (v1 >>> 27)) ^ v0;
      v0 = (v0 << 16) | (v0 >>> 16);
      v2 = (v2 + v3) | 0;
      v3 = ((v3 << 8) | (v3 >>> 24)) ^ v2;
      v0 = (v0 + v3) | 0;
      v3 = ((v3 << 7) | (v3 >>> 25)) ^ v0;
      v2 = (v2 + v1) | 0;
      v1 = ((v1 << 13) | (v1 >>> 19)) ^ v2;
      v2 = (v2 << 16) | (v2 >>> 16);
      v0 ^= word;
    }
    v2 ^= 0xff;
    for (let round = 0; round < 3; round++) {
      v0 = (v0 + v1) | 0;
      v1 = ((v1 << 5) | (v1 >>> 27)) ^ v0;
      v0 = (v0 << 16) | (v0 >>> 16);
      v2 = (v2 + v3) | 0;
      v3 = ((v3 << 8) | (v3 >>> 24)) ^ v2;
      v0 = (v0 + v3) | 0;
      v3 = ((v3 << 7) | (v3 >>> 25)) ^ v0;
      v2 = (v2 + v1) | 0;
      v1 = ((v1 << 13) | (v1 >>> 19)) ^ v2;
      v2 = (v2 << 16) | (v2 >>> 16);
    }
    return v1 ^ v3;
  }
}

function wordAt(bytes: Uint8Array, at: number): number {
  return bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24);
}

function lastWord(bytes: Uint8Array, from: number): number {
  let word = bytes.length << 24;
  for (let at = from; at < bytes.length; at++) word |= bytes[at]! << ((at - from) * 8);
  return word;
}
