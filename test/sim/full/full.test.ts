import { describe, expect, test } from "vitest";
import { FullCluster } from "./fullCluster.js";

/** A few seeds on every run; `npm run sim` takes as many as one likes. */
const seedsMax = 24;
const seedsPerTest = 8;

describe("whole servers under faults stay linearizable, keep Raft's invariants, and recover", () => {
  for (let first = 1; first <= seedsMax; first += seedsPerTest) {
    const last = first + seedsPerTest - 1;
    test(`seeds ${first} to ${last}`, async () => {
      for (let seed = first; seed <= last; seed++) {
        expect((await new FullCluster(seed).run()).committed).toBeGreaterThan(0);
      }
    });
  }
});

describe("a run of whole servers is determined by its seed", () => {
  test("the same seed takes the same course, another seed another", async () => {
    const first = await new FullCluster(7).run();
    expect(await new FullCluster(7).run()).toEqual(first);
    expect((await new FullCluster(8).run()).traceHash).not.toBe(first.traceHash);
  });
});
