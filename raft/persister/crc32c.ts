/**
 * CRC-32C (Castagnoli), the checksum of every record and block on disk. `zlib.crc32` is another
 * polynomial. Check value: crc32c("123456789") = 0xe3069283.
 */

/** 0x1edc6f41 with its bits in reverse: the algorithm takes the lowest bit first. */
const POLYNOMIAL = 0x82f63b78;

/**
 * Slicing by 8: table k advances a byte over k further bytes of zeros, so that eight bytes need
 * eight independent look-ups. An array for each is half as fast again as one for all.
 */
const t0 = firstTable();
const t1 = nextTable(t0);
const t2 = nextTable(t1);
const t3 = nextTable(t2);
const t4 = nextTable(t3);
const t5 = nextTable(t4);
const t6 = nextTable(t5);
const t7 = nextTable(t6);

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

/**
 * The checksum of `bytes` from `start` to before `end`. With the checksum of what comes before as
 * `seed`, it is that of both together: crc32c(b, 0, n, crc32c(a)) = crc32c(ab).
 */
export function crc32c(bytes: Uint8Array, start = 0, end = bytes.length, seed = 0): number {
  let crc = ~seed;
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
  return ~crc >>> 0;
}
