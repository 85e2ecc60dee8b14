import { describe, expect, test } from "vitest";
import { writeFully, writeFullySync } from "../../../raft/persister/writeFully.js";

/** Takes so many bytes at each call, then none. */
function taking(...counts: number[]) {
  const calls: (readonly [number, number])[] = [];
  const writeSome = (done: number, position: number): number => {
    calls.push([done, position]);
    return counts[calls.length - 1] ?? 0;
  };
  return { calls, writeSome };
}

const ways = {
  waiting: async (length: number, position: number, some: (d: number, p: number) => number) =>
    writeFullySync("/data/file", length, position, some),
  beside: (length: number, position: number, some: (d: number, p: number) => number) =>
    writeFully("/data/file", length, position, async (done, at) => some(done, at)),
};

describe.each(Object.entries(ways))("%s", (_, write) => {
  test("a short write goes on where it ended", async () => {
    const { calls, writeSome } = taking(3, 1, 6);
    await write(10, 100, writeSome);
    expect(calls).toEqual([
      [0, 100],
      [3, 103],
      [4, 104],
    ]);
  });

  test("a write that makes no progress is an error that names the place", async () => {
    const { calls, writeSome } = taking(3);
    await expect(write(10, 100, writeSome)).rejects.toMatchObject({
      code: "IO",
      file: "/data/file",
      offset: 103,
    });
    expect(calls).toHaveLength(2);
  });

  test("nothing to write is no call", async () => {
    const { calls, writeSome } = taking();
    await write(0, 100, writeSome);
    expect(calls).toEqual([]);
  });
});
