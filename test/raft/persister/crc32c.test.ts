import * as fc from "fast-check";
import { expect, test, vi } from "vitest";
import { crc32c } from "../../../raft/persister/crc32c.js";

const text = (value: string) => new TextEncoder().encode(value);

/** The definition, bit by bit. */
function bitwise(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1;
  }
  return ~crc >>> 0;
}

test("the published check values", () => {
  expect(crc32c(text("123456789"))).toBe(0xe3069283);
  // RFC 3720, B.4.
  expect(crc32c(new Uint8Array(32))).toBe(0x8a9136aa);
  expect(crc32c(new Uint8Array(32).fill(0xff))).toBe(0x62a8ab43);
  expect(crc32c(Uint8Array.from({ length: 32 }, (_, i) => i))).toBe(0x46dd794e);
});

test("equals the definition at every length and alignment", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), fc.nat(8), (bytes, start) => {
      const from = Math.min(start, bytes.length);
      expect(crc32c(bytes, from)).toBe(bitwise(bytes.subarray(from)));
    }),
  );
});

/** Lengths around the step from bytes to words, each from every place in a word. */
function longSlices(): { bytes: Uint8Array; start: number; end: number }[] {
  const memory = Uint8Array.from({ length: 400 }, (_, i) => (i * 167 + (i >> 3)) & 0xff);
  const slices = [];
  for (let offset = 0; offset < 4; offset++) {
    const bytes = memory.subarray(offset);
    for (let start = 0; start < 4; start++) {
      for (let length = 240; length <= 300; length++) {
        slices.push({ bytes, start, end: start + length });
      }
    }
  }
  return slices;
}

test("equals the definition when it takes words, at every length and alignment", () => {
  for (const { bytes, start, end } of longSlices()) {
    expect(crc32c(bytes, start, end)).toBe(bitwise(bytes.subarray(start, end)));
  }
});

test("is the same on a machine whose words begin with the highest byte", async () => {
  vi.resetModules();
  vi.doMock("node:os", () => ({ endianness: () => "BE" }));
  try {
    const bigEndian = await import("../../../raft/persister/crc32c.js");
    for (const { bytes, start, end } of longSlices()) {
      expect(bigEndian.crc32c(bytes, start, end)).toBe(bitwise(bytes.subarray(start, end)));
    }
  } finally {
    vi.doUnmock("node:os");
    vi.resetModules();
  }
});

test("goes on from a seed as if both parts were one, in words too", () => {
  for (const { bytes, start, end } of longSlices()) {
    const seed = crc32c(bytes, 0, start + 1);
    expect(crc32c(bytes, start + 1, end, seed)).toBe(bitwise(bytes.subarray(0, end)));
  }
});

test("goes on from a seed as if both parts were one", () => {
  fc.assert(
    fc.property(fc.uint8Array(), fc.uint8Array(), (a, b) => {
      expect(crc32c(b, 0, b.length, crc32c(a))).toBe(crc32c(Buffer.concat([a, b])));
    }),
  );
});
