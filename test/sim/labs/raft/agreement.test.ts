import { describe, expect, test } from "vitest";
import { steadyTuning } from "../../steadyTuning.js";
import { seedsOf } from "../seeds.js";
import { electionMs, RaftLab } from "./raftLab.js";

/* The Raft lab of MIT 6.5840, part B: the log. Each test has its name there. */

/** Heartbeats to two followers in `ms`, at most. */
function beats(ms: number): number {
  return 2 * (ms / steadyTuning.node.heartbeatMs + 2);
}

describe.each(seedsOf(2))("seed %s", (seed) => {
  test("TestBasicAgree3B: commands take their places in order, none before it is proposed", () => {
    const lab = new RaftLab(3, seed);
    const first = lab.one(3, "retry");
    for (let index = first + 1; index <= first + 3; index++) {
      expect(lab.appliedBy(index)).toBe(0);
      expect(lab.one(3, "once")).toBe(index);
    }
  });

  test("TestRPCBytes3B: each command travels once to each follower", () => {
    const lab = new RaftLab(3, seed);
    lab.one(3);
    const before = lab.meter.bytes;
    const [commands, commandBytes] = [10, 5_000];
    for (let done = 0; done < commands; done++) lab.one(3, "once", commandBytes);
    const sent = lab.meter.bytes - before;
    expect(sent).toBeGreaterThan(2 * commands * commandBytes);
    expect(sent).toBeLessThan(2 * commands * commandBytes + 10_000);
  });

  test("TestFollowerFailure3B: one lost follower of two is no matter, both are", () => {
    const lab = new RaftLab(3, seed);
    lab.one(3);
    lab.disconnect(lab.after(lab.oneLeader(), 1));
    lab.one(2, "once");
    lab.sleep(electionMs);
    lab.one(2, "once");
    const leader = lab.oneLeader();
    lab.disconnect(lab.after(leader, 1), lab.after(leader, 2));
    const index = lab.propose(leader);
    expect(index).toBeGreaterThan(0);
    lab.sleep(2 * electionMs);
    expect(lab.appliedBy(index)).toBe(0);
  });

  test("TestLeaderFailure3B: the others go on without it, a second one is too many", () => {
    const lab = new RaftLab(3, seed);
    lab.one(3);
    lab.disconnect(lab.oneLeader());
    lab.one(2);
    lab.sleep(electionMs);
    lab.one(2);
    lab.disconnect(lab.oneLeader());
    const indexes = lab.nodes.map((node) => lab.propose(node)).filter((index) => index > 0);
    expect(indexes.length).toBeGreaterThan(0);
    lab.sleep(2 * electionMs);
    for (const index of indexes) expect(lab.appliedBy(index)).toBe(0);
  });

  test("TestFailAgree3B: a follower that comes back gets what it missed", () => {
    const lab = new RaftLab(3, seed);
    lab.one(3, "once");
    const lost = lab.after(lab.oneLeader(), 1);
    lab.disconnect(lost);
    for (let round = 0; round < 2; round++) {
      lab.one(2, "once");
      lab.one(2, "once");
      lab.sleep(electionMs);
    }
    lab.connect(lost);
    lab.one(3);
    lab.sleep(electionMs);
    lab.one(3);
  });

  test("TestFailNoAgree3B: nothing is committed without a majority, and all goes on with it", () => {
    const lab = new RaftLab(5, seed);
    lab.one(5, "once");
    const leader = lab.oneLeader();
    const lost = [1, 2, 3].map((offset) => lab.after(leader, offset));
    lab.disconnect(...lost);
    const index = lab.propose(leader);
    expect(index).toBeGreaterThan(0);
    lab.sleep(2 * electionMs);
    expect(lab.appliedBy(index)).toBe(0);

    lab.connect(...lost);
    // The lost may have elected one of themselves, who never heard of that command.
    const next = lab.propose(lab.oneLeader());
    expect(next).toBeGreaterThanOrEqual(index);
    expect(next).toBeLessThanOrEqual(index + 2);
    lab.one(5);
  });

  test("TestConcurrentStarts3B: commands of one moment are all agreed on", () => {
    const lab = new RaftLab(3, seed);
    const leader = lab.oneLeader();
    const { term } = leader.core!;
    const commands = Array.from({ length: 5 }, () => lab.command());
    const indexes = commands.map((command) => lab.propose(leader, command));
    lab.until("all five applied", () => indexes.every((index) => lab.appliedBy(index) === 3));
    expect(leader.core!.term).toBe(term);
    commands.forEach((command, at) => expect(lab.isAt(indexes[at]!, command)).toBe(true));
    expect(new Set(indexes).size).toBe(5);
  });

  test("TestRejoin3B: a leader that comes back gives up what nobody else has", () => {
    const lab = new RaftLab(3, seed);
    lab.one(3);
    const first = lab.oneLeader();
    lab.disconnect(first);
    const alone = Array.from({ length: 3 }, () => lab.command());
    const indexes = alone.map((command) => lab.propose(first, command));
    lab.one(2);
    const second = lab.oneLeader();
    lab.disconnect(second);
    lab.connect(first);
    lab.one(2);
    lab.connect(second);
    lab.one(3);
    alone.forEach((command, at) => expect(lab.isAt(indexes[at]!, command)).toBe(false));
  });

  test("TestBackup3B: long divergent logs become one within moments", () => {
    const lab = new RaftLab(5, seed);
    lab.one(5);
    const first = lab.oneLeader();
    const [, friend, ...others] = [0, 1, 2, 3, 4].map((offset) => lab.after(first, offset));
    lab.disconnect(...others);
    lab.proposeMany(first, 50);
    lab.sleep(electionMs / 2);

    lab.disconnect(first, friend!);
    lab.connect(...others);
    for (let done = 0; done < 50; done++) lab.one(3);
    const second = lab.oneLeader();
    const apart = others.find((node) => node !== second)!;
    lab.disconnect(apart);
    lab.proposeMany(second, 50);
    lab.sleep(electionMs / 2);

    lab.disconnect(...lab.nodes);
    lab.connect(first, friend!, apart);
    for (let done = 0; done < 50; done++) lab.one(3);
    lab.connect(...lab.nodes);
    const before = lab.cluster.clock.now;
    lab.one(5);
    expect(lab.cluster.clock.now - before).toBeLessThan(2 * electionMs);
  });

  test("TestCount3B: requests are no more than elections, commands and heartbeats need", () => {
    const lab = new RaftLab(3, seed);
    const leader = lab.oneLeader();
    expect(lab.meter.requests).toBeGreaterThan(0);
    // A pre-vote, a vote and a no-op, by two candidates; heartbeats since.
    expect(lab.meter.requests).toBeLessThan(2 * 6 + beats(lab.cluster.clock.now));

    const since = { requests: lab.meter.requests, now: lab.cluster.clock.now };
    const commands = Array.from({ length: 12 }, () => lab.command());
    const indexes = commands.map((command) => lab.propose(leader, command));
    lab.until("all applied", () => indexes.every((index) => lab.appliedBy(index) === 3));
    const spent = lab.cluster.clock.now - since.now;
    expect(lab.meter.requests - since.requests).toBeLessThan(2 * commands.length + beats(spent));

    lab.sleep(electionMs);
    const idle = lab.meter.requests;
    lab.sleep(electionMs);
    expect(lab.meter.requests - idle).toBeLessThan(beats(electionMs));
  });
});
