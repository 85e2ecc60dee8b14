import { describe, expect, test } from "vitest";
import { CoreCluster } from "./coreCluster.js";

/** A few seeds on every run; `npm run sim -- --core` takes as many as one likes. */
const seedsMax = 60;
const seedsPerTest = 10;

describe("clusters of cores under faults keep Raft's invariants, and recover", () => {
  for (let first = 1; first <= seedsMax; first += seedsPerTest) {
    const last = first + seedsPerTest - 1;
    test(`seeds ${first} to ${last}`, () => {
      for (let seed = first; seed <= last; seed++) {
        expect(new CoreCluster(seed).run().committed).toBeGreaterThan(0);
      }
    });
  }
});

describe("a run is determined by its seed", () => {
  test("the same seed takes the same course", () => {
    const first = new CoreCluster(7).run();
    expect(new CoreCluster(7).run()).toEqual(first);
    expect(first.events).toBeGreaterThan(1000);
  });

  test("another seed takes another", () => {
    expect(new CoreCluster(8).run().traceHash).not.toBe(new CoreCluster(7).run().traceHash);
  });
});
