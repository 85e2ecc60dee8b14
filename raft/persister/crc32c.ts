/**
 * CRC-32C (Castagnoli), the checksum of every record and block on disk. `zlib.crc32` is another
 * polynomial. Check value: crc32c("123456789") = 0xe3069283.
 */
import { endianness } from "node:os";

/** 0x1edc6f41 with its bits in reverse: the algorithm takes the lowest bit first. */
const POLYNOMIAL = 0x82f63b78;

/**
 * Slicing by 16: table k advances a byte over k further bytes of zeros, so that sixteen bytes need
 * sixteen independent look-ups. An array for each is half as fast again as one for all.
 */
const t0 = firstTable();
const t1 = nextTable(t0);
const t2 = nextTable(t1);
const t3 = nextTable(t2);
const t4 = nextTable(t3);
const t5 = nextTable(t4);
const t6 = nextTable(t5);
const t7 = nextTable(t6);
const t8 = nextTable(t7);
const t9 = nextTable(t8);
const t10 = nextTable(t9);
const t11 = nextTable(t10);
const t12 = nextTable(t11);
const t13 = nextTable(t12);
const t14 = nextTable(t13);
const t15 = nextTable(t14);

function firstTable(): Int32Array {
  return Int32Array.from({ length: 256 }, (_, byte) => {
    let crc = byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ POLYNOMIAL : crc >>> 1;
    return crc;
  });
}

function nextTable(previous: Int32Array): Int32Array {
  return previous.map((crc) => (crc >>> 8) ^ t0[crc & 0xff]!);
}

/** Below this a view of the bytes as words costs more than it saves. */
const wordwiseBytesMin = 256;
const wordsAreLittleEndian = endianness() === "LE";

/**
 * The checksum of `bytes` from `start` to before `end`. With the checksum of what comes before as
 * `seed`, it is that of both together: crc32c(b, 0, n, crc32c(a)) = crc32c(ab).
 */
export function crc32c(bytes: Uint8Array, start = 0, end = bytes.length, seed = 0): number {
  if (end - start < wordwiseBytesMin || !wordsAreLittleEndian) {
    return ~bytewise(bytes, start, end, ~seed) >>> 0;
  }
  // Words lie at multiples of four of the memory, wherever the array begins in it.
  const firstWord = start + (-(bytes.byteOffset + start) & 3);
  const words = new Int32Array(bytes.buffer, bytes.byteOffset + firstWord, (end - firstWord) >> 2);
  const wholeWords = words.length & -4;
  const crc = wordwise(words, wholeWords, bytewise(bytes, start, firstWord, ~seed));
  return ~bytewise(bytes, firstWord + 4 * wholeWords, end, crc) >>> 0;
}

/** `count` is a multiple of four. */
function wordwise(words: Int32Array, count: number, before: number): number {
  let crc = before;
  for (let at = 0; at < count; at += 4) {
    const a = crc ^ words[at]!;
    const b = words[at + 1]!;
    const c = words[at + 2]!;
    const d = words[at + 3]!;
    crc =
      t15[a & 0xff]! ^
      t14[(a >>> 8) & 0xff]! ^
      t13[(a >>> 16) & 0xff]! ^
      t12[a >>> 24]! ^
      t11[b & 0xff]! ^
      t10[(b >>> 8) & 0xff]! ^
      t9[(b >>> 16) & 0xff]! ^
      t8[b >>> 24]! ^
      t7[c & 0xff]! ^
      t6[(c >>> 8) & 0xff]! ^
      t5[(c >>> 16) & 0xff]! ^
      t4[c >>> 24]! ^
      t3[d & 0xff]! ^
      t2[(d >>> 8) & 0xff]! ^
      t1[(d >>> 16) & 0xff]! ^
      t0[d >>> 24]!;
  }
  return crc;
}

function bytewise(bytes: Uint8Array, start: number, end: number, before: number): number {
  let crc = before;
  let at = start;
  for (const last = end - 8; at <= last; at += 8) {
    const low =
      crc ^ (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24));
    crc =
      t7[low & 0xff]! ^
      t6[(low >>> 8) & 0xff]! ^
      t5[(low >>> 16) & 0xff]! ^
      t4[low >>> 24]! ^
      t3[bytes[at + 4]!]! ^
      t2[bytes[at + 5]!]! ^
      t1[bytes[at + 6]!]! ^
      t0[bytes[at + 7]!]!;
  }
  for (; at < end; at++) crc = (crc >>> 8) ^ t0[(crc ^ bytes[at]!) & 0xff]!;
  return crc;
}
