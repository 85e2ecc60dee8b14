import { describe, expect, test } from "vitest";
import {
  TestNode,
  appendEntries,
  electionTimeoutMsMax,
  electionTimeoutMsMin,
  heartbeatMs,
  requestVote,
} from "./harness.js";

const timeoutNow = (term: number, from: number) => ({ type: "TimeoutNow", term, from }) as const;

function timeoutsOf(node: TestNode): number[] {
  const { requests } = node.settle();
  return requests.filter(({ request }) => request.type === "TimeoutNow").map(({ to }) => to);
}

describe("leadership transfer (thesis §3.10)", () => {
  test("a target that has everything is told at once, and once", () => {
    const node = new TestNode().electAndSync();
    expect(node.core.transferLeadership(2)).toBe(true);
    expect(timeoutsOf(node)).toEqual([2]);
    node.elapse(heartbeatMs);
    node.sync();
    expect(timeoutsOf(node)).toEqual([]);
  });

  test("one that is behind catches up first", () => {
    const node = new TestNode().electAndSync();
    node.propose("a");
    const sent = node.appends();
    expect(node.core.transferLeadership(1)).toBe(true);
    expect(timeoutsOf(node)).toEqual([]);
    node.acknowledge(sent.find(({ to }) => to === 2)!);
    expect(timeoutsOf(node)).toEqual([]);
    node.acknowledge(sent.find(({ to }) => to === 1)!);
    expect(timeoutsOf(node)).toEqual([1]);
  });

  test("proposals stop meanwhile, and go on if nothing came of it", () => {
    const node = new TestNode().electAndSync();
    node.core.transferLeadership(1);
    expect(node.core.propose([new Uint8Array(1)])).toEqual({ outcome: "transferring" });
    for (let waited = 0; waited < electionTimeoutMsMax; waited += heartbeatMs) {
      node.elapse(heartbeatMs);
      node.sync();
    }
    expect(node.core.propose([new Uint8Array(1)])).toMatchObject({ outcome: "accepted" });
  });

  test("without a target it goes to the follower that is furthest along and answers", () => {
    const node = new TestNode({ clusterSize: 4 }).electAndSync();
    node.propose("a");
    node.sync([1, 2]);
    node.propose("b");
    node.sync([2]);
    expect(node.core.transferLeadership(-1)).toBe(true);
    expect(timeoutsOf(node)).toEqual([2]);
  });

  test("it is refused off the leader, to itself, to nobody, and when nobody answers", () => {
    expect(new TestNode().core.transferLeadership(1)).toBe(false);
    const node = new TestNode().electAndSync();
    expect(node.core.transferLeadership(0)).toBe(false);
    expect(node.core.transferLeadership(3)).toBe(false);
    node.elapse(electionTimeoutMsMin);
    expect(node.core.transferLeadership(-1)).toBe(false);
    expect(node.core.role).toBe("leader");
  });

  test("who is told campaigns at once, in a new term and without a pre-vote", () => {
    const node = new TestNode();
    node.append(appendEntries({ term: 1, from: 1, terms: [1] }));
    node.core.timeoutNow(timeoutNow(1, 1), 1);
    const ready = node.ready();
    expect([node.core.role, ready.hardState]).toEqual(["candidate", { term: 2, votedFor: 0 }]);
    expect(ready.requestsAfterPersist.map(({ request }) => request)).toEqual([
      requestVote(2, 0, [1, 1], { leadershipTransfer: true }),
      requestVote(2, 0, [1, 1], { leadershipTransfer: true }),
    ]);
    expect(ready.repliesAfterPersist).toHaveLength(1);
  });

  test.each([
    { why: "an older term", request: timeoutNow(1, 1) },
    { why: "a newer term", request: timeoutNow(3, 1) },
    { why: "one that does not lead", request: timeoutNow(2, 2) },
  ])("it does not, on the word of $why", ({ request }) => {
    const node = new TestNode();
    node.append(appendEntries({ term: 2, from: 1 }));
    node.core.timeoutNow(request, 1);
    expect([node.core.role, node.core.term]).toEqual(["follower", 2]);
  });

  test("told twice, it campaigns once", () => {
    const node = new TestNode();
    node.append(appendEntries({ term: 1, from: 1 }));
    node.core.timeoutNow(timeoutNow(1, 1), 1);
    node.core.timeoutNow(timeoutNow(1, 1), 2);
    expect(node.core.term).toBe(2);
  });
});
