import { describe, expect, test } from "vitest";
import {
  TestNode,
  appendEntries,
  electionTimeoutMsMax,
  electionTimeoutMsMin,
  heartbeatMs,
  logOf,
  refused,
  requestVote,
  type Setup,
} from "./harness.js";

const lease = { readMode: "lease" } as const;

/** Leads, and holds a lease from now on. */
function leader(setup: Setup = {}): TestNode {
  return new TestNode({ ...lease, ...setup }).electAndSync();
}

/** Node 0 has answered node 1, the leader of term 4. */
function follower(setup: Setup = {}): TestNode {
  const node = new TestNode({ ...lease, hardState: { term: 4, votedFor: 1 }, ...setup });
  node.elapse(electionTimeoutMsMin);
  node.append(appendEntries({ term: 4, from: 1 }));
  return node;
}

/** Whether a read that begins and ends at `ms` from now is served. */
function reads(node: TestNode, ms = 0): boolean {
  const read = node.core.leaseRead(node.now + ms);
  return read !== null && node.core.leaseHolds(read, node.now + ms);
}

function asks(term: number, kind: Parameters<typeof requestVote>[3] = {}) {
  return requestVote(term, 2, [9, 9], kind);
}

describe("a leader under its lease (thesis §6.4.1)", () => {
  test("reads without a message, at what is committed", () => {
    const node = leader();
    node.propose("a");
    node.sync();
    expect(node.core.leaseRead(node.now)).toEqual({ index: 2, term: 1 });
    expect(node.core.hasReady()).toBe(false);
  });

  test("only where it is asked for: by default there is none", () => {
    expect(reads(new TestNode().electAndSync())).toBe(false);
  });

  test("it lasts an election timeout from when the answered heartbeat left", () => {
    const node = leader();
    node.elapse(heartbeatMs);
    const beats = node.appends();
    node.now += 100;
    node.core.tick(node.now);
    for (const beat of beats) node.acknowledge(beat);
    expect(reads(node, electionTimeoutMsMin - 101)).toBe(true);
    expect(reads(node, electionTimeoutMsMin - 100)).toBe(false);
  });

  test("and the shorter, the further the clocks may run apart", () => {
    const node = leader({ leaseClockDriftPpmMax: 500_000 });
    expect(reads(node, electionTimeoutMsMin / 1.5 - 1)).toBe(true);
    expect(reads(node, electionTimeoutMsMin / 1.5)).toBe(false);
  });

  test("a majority must have answered", () => {
    const node = leader({ clusterSize: 5 });
    node.elapse(electionTimeoutMsMin);
    const beats = node.appends();
    node.acknowledge(beats[0]!);
    expect(reads(node)).toBe(false);
    node.acknowledge(beats[1]!);
    expect(reads(node)).toBe(true);
  });

  test("a new leader has none before an entry of its term is committed (§6.4)", () => {
    const node = new TestNode({ ...lease, entries: logOf([1, 1]) }).elect();
    const probes = node.appends();
    node.elapse(heartbeatMs);
    // Heartbeats prove that it leads, not what older leaders had committed.
    for (const beat of node.appends()) node.acknowledge(beat);
    expect(reads(node)).toBe(false);
    for (const probe of probes) node.acknowledge(probe);
    expect(reads(node)).toBe(true);
  });

  test("a single node always holds it", () => {
    const node = new TestNode({ ...lease, clusterSize: 1 });
    node.elapse(0);
    node.settle();
    expect(reads(node, 1_000_000)).toBe(true);
  });

  test("a node that does not lead has none", () => {
    expect(reads(follower())).toBe(false);
  });
});

describe("a leader that was paused", () => {
  test("between looking at the lease and reading: the value does not count", () => {
    const node = leader();
    const read = node.core.leaseRead(node.now)!;
    expect(node.core.leaseHolds(read, node.now + electionTimeoutMsMin)).toBe(false);
  });

  test("has none before its clock was told to the core", () => {
    const node = leader();
    expect(reads(node, 10 * electionTimeoutMsMax)).toBe(false);
    expect(node.core.role).toBe("leader");
  });

  test("answers that waited in its sockets meanwhile don't renew it", () => {
    const node = leader();
    node.elapse(heartbeatMs);
    const beats = node.appends();
    node.now += electionTimeoutMsMin;
    for (const beat of beats) node.acknowledge(beat);
    expect(reads(node)).toBe(false);
  });

  test("leads a later term: what was read under the earlier lease does not count", () => {
    const node = leader();
    const read = node.core.leaseRead(node.now)!;
    node.append(appendEntries({ term: 2, from: 2, after: [1, 1], terms: [2] }));
    node.electAndSync();
    expect(reads(node)).toBe(true);
    expect(node.core.leaseHolds(read, node.now)).toBe(false);
  });
});

describe("a transfer of leadership ends the lease (thesis §6.4.1)", () => {
  test("from its beginning", () => {
    const node = leader();
    node.propose("a");
    node.appends();
    const read = node.core.leaseRead(node.now)!;
    node.core.transferLeadership(1);
    expect(node.core.leaseHolds(read, node.now)).toBe(false);
  });

  test("for the whole term, once another node was told to campaign", () => {
    const node = leader();
    node.core.transferLeadership(1);
    for (let waited = 0; waited < 4 * electionTimeoutMsMax; waited += heartbeatMs) {
      node.elapse(heartbeatMs);
      node.sync();
      expect(reads(node)).toBe(false);
    }
    expect(node.propose("a")).toBe(2);
  });

  test("not when the target never caught up and was told nothing", () => {
    const node = leader();
    node.propose("a");
    node.sync([2]);
    node.core.transferLeadership(1);
    for (let waited = 0; waited < electionTimeoutMsMax; waited += heartbeatMs) {
      node.elapse(heartbeatMs);
      node.sync([2]);
    }
    expect(reads(node)).toBe(true);
  });
});

describe("a follower that answered helps nobody else to lead for an election timeout", () => {
  test.each([{ preVote: true }, { preVote: false }])("it refuses its vote: %s", (kind) => {
    const node = follower();
    node.elapse(electionTimeoutMsMin - 1);
    expect(node.vote(asks(9, kind)).voteGranted).toBe(false);
    node.elapse(1);
    expect(node.vote(asks(9, kind)).voteGranted).toBe(true);
  });

  test("it learns of a newer term meanwhile", () => {
    const node = follower();
    const asked = requestVote(5, 0, [0, 0], { preVote: true });
    node.core.requestVoteReplied(2, asked, refused(8));
    expect([node.core.term, node.core.currentLeader]).toEqual([8, -1]);
    node.elapse(electionTimeoutMsMin - 1);
    expect(node.vote(asks(9)).voteGranted).toBe(false);
  });

  test("it is restarted meanwhile", () => {
    const node = new TestNode({ ...lease, hardState: { term: 4, votedFor: 1 } });
    node.elapse(electionTimeoutMsMin - 1);
    expect(node.vote(asks(9)).voteGranted).toBe(false);
    node.elapse(1);
    expect(node.vote(asks(9)).voteGranted).toBe(true);
  });

  test("its connection to the leader is refused", () => {
    const node = follower();
    node.core.peerDown(1);
    node.elapse(electionTimeoutMsMin - 1);
    expect([node.core.role, node.vote(asks(9)).voteGranted]).toEqual(["follower", false]);
  });

  test("a node that never answered anyone votes at once", () => {
    expect(new TestNode(lease).vote(asks(1)).voteGranted).toBe(true);
  });
});
