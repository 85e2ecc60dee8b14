import { describe, expect, test } from "vitest";
import { ConfigCache } from "./configCache.js";

const words = (...values: number[]): Int32Array => Int32Array.from(values);

describe("ConfigCache", () => {
  test("tells configurations apart by each of their parts", () => {
    const cache = new ConfigCache(2, 1);
    const none = words(0);
    expect(cache.add(1, 1, words(0, 1), none)).toBe(true);
    expect(cache.add(1, 1, words(0, 1), none)).toBe(false);
    expect(cache.add(2, 1, words(0, 1), none)).toBe(true);
    expect(cache.add(1, 2, words(0, 1), none)).toBe(true);
    expect(cache.add(1, 1, words(1, 0), none)).toBe(true);
    expect(cache.add(1, 1, words(0, 3), none)).toBe(true);
  });

  test("answers for those that used more optional operations, not for other ones", () => {
    const cache = new ConfigCache(1, 2);
    expect(cache.add(0, 0, words(0), words(0b0110, 0))).toBe(true);
    expect(cache.add(0, 0, words(0), words(0b0111, 1 << 31))).toBe(false);
    expect(cache.add(0, 0, words(0), words(0b0101, 0))).toBe(true);
    expect(cache.add(0, 0, words(0), words(0b0010, 0))).toBe(true);
    expect(cache.add(0, 0, words(0), words(0b1110, 0))).toBe(false);
  });

  test("keeps all of them, exactly, as it grows", () => {
    const cache = new ConfigCache(1, 1);
    const all = Array.from({ length: 5_000 }, (_, at) => [at % 50, at % 7, at] as const);
    const add = ([position, state, set]: (typeof all)[number]): boolean =>
      cache.add(position, state, words(set), words(0));
    expect(all.every(add)).toBe(true);
    expect(all.some(add)).toBe(false);
    expect(cache.memoryBytes).toBeGreaterThan(5_000 * 6 * 4);
  });
});
