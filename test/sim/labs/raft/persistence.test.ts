import { describe, expect, test } from "vitest";
import type { CoreNode } from "../../coreNode.js";
import { churn } from "./churn.js";
import { seedsOf } from "../seeds.js";
import { electionMs, RaftLab } from "./raftLab.js";

/* The Raft lab of MIT 6.5840, part C: crashes and bad networks. Each test has its name there. */

/** Crashes or losses of a leader in one run of Figure 8. */
const figure8Rounds = 400;
/** Entries travel one by one, so that many a leader is lost between an older term's and its own. */
const oneByOne = { appendEntriesMax: 1, inflightMax: 1 };

describe.each(seedsOf(2))("seed %s", (seed) => {
  test("TestPersist13C: what was agreed on outlives the crash of all, and of each", () => {
    const lab = new RaftLab(3, seed);
    lab.one(3);
    lab.crash(...lab.nodes);
    lab.start(...lab.nodes);
    lab.one(3);

    const first = lab.oneLeader();
    lab.crash(first);
    lab.start(first);
    lab.one(3);

    const second = lab.oneLeader();
    lab.crash(second);
    const index = lab.one(2);
    lab.start(second);
    lab.until("the restarted leader has all", () => second.machine.index >= index);

    const third = lab.after(lab.oneLeader(), 1);
    lab.crash(third);
    lab.one(2);
    lab.start(third);
    lab.one(3);
  });

  test("TestPersist23C: the agreement moves from majority to majority over crashes", () => {
    const lab = new RaftLab(5, seed);
    for (let round = 0; round < 5; round++) {
      lab.one(5);
      const leader = lab.oneLeader();
      const [, b, c, d, e] = [0, 1, 2, 3, 4].map((offset) => lab.after(leader, offset));
      lab.crash(b!, c!);
      lab.one(3);
      lab.crash(leader, d!, e!);
      lab.start(b!, c!);
      lab.sleep(electionMs);
      lab.start(d!);
      lab.one(3);
      lab.start(e!, leader);
    }
    lab.one(5);
  });

  test("TestPersist33C: a follower that was apart and a restarted leader make a majority", () => {
    const lab = new RaftLab(3, seed);
    lab.one(3);
    const leader = lab.oneLeader();
    const [follower, apart] = [lab.after(leader, 1), lab.after(leader, 2)];
    lab.disconnect(apart);
    lab.one(2);
    lab.crash(leader, follower);
    lab.connect(apart);
    lab.start(leader);
    lab.one(2);
    lab.start(follower);
    lab.one(3);
  });

  test("TestFigure83C: leaders crash before, while and after they commit", () => {
    const lab = new RaftLab(5, seed, oneByOne);
    lab.one(1);
    for (let round = 0; round < figure8Rounds; round++) {
      const leader = proposeEverywhere(lab);
      lab.sleep(lab.prng.between(0, lab.prng.chance(0.1) ? electionMs / 2 : 13));
      if (leader !== undefined) lab.crash(leader);
      const down = lab.nodes.filter(({ core }) => core === null);
      if (down.length > 2) lab.start(lab.prng.pick(down));
    }
    lab.start(...lab.nodes);
    lab.one(5);
  });

  test("TestUnreliableAgree3C: many commands at a time, though a tenth of all is lost", () => {
    const lab = new RaftLab(5, seed, { unreliable: true });
    for (let round = 0; round < 50; round++) {
      const commands = Array.from({ length: 5 }, () => lab.command());
      const indexes = lab.all(commands, 1);
      expect(new Set(indexes).size).toBe(5);
    }
    lab.setNetwork("reliable");
    lab.one(5);
  });

  test("TestFigure8Unreliable3C: leaders are cut off, and old messages arrive late", () => {
    const lab = new RaftLab(5, seed, { unreliable: true, ...oneByOne });
    lab.one(1);
    for (let round = 0; round < figure8Rounds; round++) {
      if (round === figure8Rounds / 5) lab.setNetwork("late");
      const leader = proposeEverywhere(lab);
      lab.sleep(lab.prng.between(0, lab.prng.chance(0.1) ? electionMs / 2 : 13));
      if (leader !== undefined && lab.prng.chance(0.5)) lab.disconnect(leader);
      const lost = lab.nodes.filter((node) => !lab.isConnected(node));
      if (lost.length > 2) lab.connect(lab.prng.pick(lost));
    }
    lab.connect(...lab.nodes);
    lab.setNetwork("reliable");
    lab.one(5);
  });

  test("TestReliableChurn3C: servers come and go under clients, who lose nothing", () => {
    expect(churn(new RaftLab(5, seed))).toBeGreaterThan(20);
  });

  test("TestUnreliableChurn3C: the same, though a tenth of all is lost", () => {
    expect(churn(new RaftLab(5, seed, { unreliable: true }))).toBeGreaterThan(20);
  });
});

/** Proposes at each server that runs; returns the last one that took it. */
function proposeEverywhere(lab: RaftLab): CoreNode | undefined {
  return lab.nodes.filter((node) => lab.propose(node) > 0).at(-1);
}
