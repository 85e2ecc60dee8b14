import { describe, expect, test } from "vitest";
import { FullCluster } from "./fullCluster.js";

/** A few seeds on every run; `npm run sim` takes as many as one likes. */
const seeds = Array.from({ length: 20 }, (_, at) => at + 1);
/** For a machine with a lot else to do. */
const timeoutMs = 120_000;

describe("whole servers under faults stay linearizable, keep Raft's invariants, and recover", () => {
  test.each(seeds)(
    "seed %i",
    async (seed) => {
      expect((await new FullCluster(seed).run()).committed).toBeGreaterThan(0);
    },
    timeoutMs,
  );
});

describe("a run of whole servers is determined by its seed", () => {
  test(
    "the same seed takes the same course, another seed another",
    async () => {
      const first = await new FullCluster(7).run();
      expect(await new FullCluster(7).run()).toEqual(first);
      expect((await new FullCluster(8).run()).traceHash).not.toBe(first.traceHash);
    },
    timeoutMs,
  );
});
