import { describe, expect, test } from "vitest";
import { seedsOf } from "../seeds.js";
import { electionMs, RaftLab } from "./raftLab.js";

/* The Raft lab of MIT 6.5840, part A: elections. Each test has its name there. */

describe.each(seedsOf(2))("seed %s", (seed) => {
  test("TestInitialElection3A: one leader, and no election while nothing fails", () => {
    const lab = new RaftLab(3, seed);
    lab.oneLeader();
    lab.sleep(50);
    const term = lab.oneTerm();
    expect(term).toBeGreaterThan(0);
    lab.sleep(2 * electionMs);
    expect(lab.oneTerm()).toBe(term);
    lab.oneLeader();
  });

  test("TestReElection3A: a lost leader is replaced, and returns as a follower", () => {
    const lab = new RaftLab(3, seed);
    const first = lab.oneLeader();
    lab.disconnect(first);
    const second = lab.oneLeader();
    lab.connect(first);
    expect(lab.oneLeader()).toBe(second);

    const other = lab.after(second, 1);
    lab.disconnect(second, other);
    lab.sleep(2 * electionMs);
    lab.noLeader();
    lab.connect(other);
    const third = lab.oneLeader();
    lab.connect(second);
    expect(lab.oneLeader()).toBe(third);
  });

  test("TestManyElections3A: a majority of seven, whichever, always has a leader", () => {
    const lab = new RaftLab(7, seed);
    lab.oneLeader();
    for (let round = 0; round < 10; round++) {
      const lost = new Set([0, 1, 2].map(() => lab.prng.pick(lab.nodes)));
      lab.disconnect(...lost);
      expect(lost).not.toContain(lab.oneLeader());
      lab.connect(...lost);
    }
    lab.oneLeader();
  });
});
