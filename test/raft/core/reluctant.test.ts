import { describe, expect, test } from "vitest";
import {
  TestNode,
  appendEntries,
  electionTimeoutMsMax,
  heartbeatMs,
  success,
  type OutgoingAppend,
} from "./harness.js";

const command = [new Uint8Array(1)];

/** Lets `ms` pass while followers answer; those of `reluctant` say that they had rather not lead. */
function pass(node: TestNode, ms: number, reluctant: readonly number[] = []): number[] {
  const timeouts: number[] = [];
  for (let passed = 0; passed < ms; passed += heartbeatMs) {
    node.elapse(heartbeatMs);
    const { requests } = node.settle();
    for (const out of requests) {
      if (out.request.type === "TimeoutNow") timeouts.push(out.to);
      else if ("context" in out) answer(node, out, reluctant.includes(out.to));
    }
  }
  return timeouts;
}

function answer(node: TestNode, { to, context }: OutgoingAppend, reluctant: boolean): void {
  const reply = { ...success(node.core.term), reluctant: reluctant || undefined };
  node.core.appendEntriesReplied(to, context, reply);
}

/** A hand-over is under way to follower 1, that still lacks an entry. */
function handingOver(): { node: TestNode; sent: OutgoingAppend[] } {
  const node = new TestNode().electAndSync();
  pass(node, heartbeatMs, [2]);
  node.propose("a");
  node.core.setReluctant(true);
  node.elapse(1);
  const sent = node.appends();
  expect(node.core.propose(command)).toEqual({ outcome: "transferring" });
  return { node, sent };
}

describe("a node that had rather not lead", () => {
  test("says so in its answers, and no more when that is over", () => {
    const node = new TestNode();
    expect(node.append(appendEntries({ term: 1 })).reluctant).toBeUndefined();
    node.core.setReluctant(true);
    expect(node.append(appendEntries({ term: 1 }))).toMatchObject({
      success: true,
      reluctant: true,
    });
    node.core.setReluctant(false);
    expect(node.append(appendEntries({ term: 1 })).reluctant).toBeUndefined();
  });

  test("hands leadership to the willing follower that is furthest along", () => {
    const node = new TestNode({ clusterSize: 4 }).electAndSync();
    pass(node, heartbeatMs, [3]);
    node.propose("a");
    node.sync([2]);
    node.core.setReluctant(true);
    expect(pass(node, heartbeatMs, [3])).toEqual([2]);
  });

  test("keeps it while no follower is known to be willing, takes nothing, and reads go on", () => {
    const node = new TestNode().elect();
    node.core.setReluctant(true);
    // Nobody has answered in this term yet.
    expect(node.settle().requests.every(({ request }) => request.type !== "TimeoutNow")).toBe(true);
    expect(pass(node, 4 * electionTimeoutMsMax, [1, 2])).toEqual([]);
    expect(node.core.role).toBe("leader");
    expect(node.core.propose(command)).toEqual({ outcome: "reluctant" });
    const round = node.core.requestRead();
    const sent = node.appends();
    for (const append of sent) answer(node, append, true);
    expect(node.settle().reads).toMatchObject([{ round }]);
  });

  test("replicates what it took before", () => {
    const node = new TestNode().electAndSync();
    pass(node, heartbeatMs, [1, 2]);
    const index = node.propose("a");
    node.core.setReluctant(true);
    pass(node, heartbeatMs, [1, 2]);
    expect(node.core.log.commitIndex).toBe(index);
  });

  test("tries again when nothing came of it, but not at once", () => {
    const node = new TestNode().electAndSync();
    node.core.setReluctant(true);
    expect(pass(node, 3 * electionTimeoutMsMax)).toHaveLength(1);
    expect(node.core.propose(command)).toEqual({ outcome: "reluctant" });
    expect(pass(node, 2 * electionTimeoutMsMax)).toHaveLength(1);
  });

  test("takes proposals again when that is over", () => {
    const node = new TestNode().electAndSync();
    pass(node, heartbeatMs, [1, 2]);
    node.core.setReluctant(true);
    pass(node, heartbeatMs, [1, 2]);
    expect(node.core.propose(command)).toEqual({ outcome: "reluctant" });
    node.core.setReluctant(false);
    expect(node.core.propose(command)).toMatchObject({ outcome: "accepted" });
  });

  test("may be elected all the same, and knows as leader what it had rather not", () => {
    const node = new TestNode();
    node.core.setReluctant(true);
    node.elect();
    expect(node.core.propose(command)).toEqual({ outcome: "reluctant" });
    expect(pass(node, 2 * heartbeatMs, [1])).toEqual([2]);
  });

  test("leaves one that is reluctant itself by now, and stays where no other is willing", () => {
    const { node, sent } = handingOver();
    for (const append of sent) answer(node, append, true);
    expect(pass(node, 4 * electionTimeoutMsMax, [1, 2])).toEqual([]);
    expect(node.core.propose(command)).toEqual({ outcome: "reluctant" });
    const round = node.core.requestRead();
    for (const append of node.appends()) answer(node, append, true);
    expect(node.settle().reads).toMatchObject([{ round }]);
  });

  test("leaves it for another that has become willing, at once", () => {
    const { node, sent } = handingOver();
    for (const append of sent) answer(node, append, append.to === 1);
    expect(pass(node, heartbeatMs, [1])).toEqual([2]);
  });

  test("goes on to lead when it is reluctant no more before the other was told", () => {
    const { node, sent } = handingOver();
    node.core.setReluctant(false);
    expect(node.core.propose(command)).toMatchObject({ outcome: "accepted" });
    for (const append of sent) answer(node, append, false);
    expect(pass(node, 2 * electionTimeoutMsMax)).toEqual([]);
  });

  test("goes through with it once the other was told, whatever that says then", () => {
    const { node, sent } = handingOver();
    const [first, second] = sent;
    answer(node, first!, false);
    expect(node.settle().requests.map(({ request }) => request.type)).toEqual(["TimeoutNow"]);
    answer(node, second!, true);
    for (const append of node.appends()) answer(node, append, true);
    expect(node.core.propose(command)).toEqual({ outcome: "transferring" });
    expect(pass(node, 4 * electionTimeoutMsMax, [1, 2])).toEqual([]);
    expect(node.core.propose(command)).toEqual({ outcome: "reluctant" });
  });

  test("that is told to hand over does so, though the others had rather not either", () => {
    const node = new TestNode().electAndSync();
    pass(node, heartbeatMs, [1, 2]);
    node.core.setReluctant(true);
    expect(node.core.transferLeadership(1)).toBe(true);
    expect(pass(node, heartbeatMs, [1, 2])).toEqual([1]);
  });

  test("is asked last by a leader that is told to hand over", () => {
    const node = new TestNode({ clusterSize: 4 }).electAndSync();
    pass(node, heartbeatMs, [1, 2]);
    expect(node.core.transferLeadership(-1)).toBe(true);
    expect(pass(node, heartbeatMs, [1, 2])).toEqual([3]);
    const all = new TestNode().electAndSync();
    pass(all, heartbeatMs, [1, 2]);
    expect(all.core.transferLeadership(-1)).toBe(true);
  });
});
