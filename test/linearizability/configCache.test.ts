import { describe, expect, test } from "vitest";
import { randomFrom } from "./generator.js";
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

  // All differ, and are so many that the hashes of some don't.
  test.each(["positions", "sets"])("compares %s and not their hashes alone", (part) => {
    const random = randomFrom(1);
    const cache = new ConfigCache(2, 0);
    const none = words();
    let added = 0;
    for (let at = 0; at < 300_000; at++) {
      const other = Math.floor(random() * (1 << 30));
      const isNew =
        part === "sets"
          ? cache.add(0, 0, words(at, other), none)
          : cache.add(at, other, words(0, 0), none);
      if (isNew) added++;
    }
    expect(added).toBe(300_000);
  });
});
