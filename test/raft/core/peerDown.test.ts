import { describe, expect, test } from "vitest";
import type { RequestVote } from "../../../raft/core/index.js";
import {
  TestNode,
  appendEntries,
  electionTimeoutMsMin,
  granted,
  heartbeatMs,
  logOf,
  refused,
  requestVote,
  voteRequestsOf,
} from "./harness.js";

/** A follower of node 1, the leader of term 4. */
function follower(): TestNode {
  const node = new TestNode({ hardState: { term: 4, votedFor: 1 } });
  node.core.appendEntries(appendEntries({ term: 4, from: 1 }), 1);
  node.settle();
  return node;
}

/** One that asks for pre-votes, because node 1, which led, is gone. */
function orphan(id: number, terms: readonly number[] = []): TestNode {
  const node = new TestNode({ id, hardState: { term: 4, votedFor: 1 }, entries: logOf(terms) });
  const after = [terms.length, terms.at(-1) ?? 0] as const;
  node.core.appendEntries(appendEntries({ term: 4, from: 1, after }), 1);
  node.settle();
  node.core.peerDown(1);
  node.elapse(heartbeatMs);
  return node;
}

function voteRequestTo(peer: number, node: TestNode): RequestVote {
  return voteRequestsOf(node.settle()).find(({ to }) => to === peer)!.request;
}

describe("a leader whose process is gone", () => {
  test("is followed by a pre-vote at once, not after an election timeout", () => {
    const node = follower();
    node.core.peerDown(1);
    node.elapse(heartbeatMs);
    expect(node.core.role).toBe("pre-candidate");
    const { request } = voteRequestsOf(node.settle()).find(({ to }) => to === 2)!;
    node.core.requestVoteReplied(2, request, granted(request));
    expect([node.core.role, node.core.term]).toEqual(["candidate", 5]);
  });

  test("is asked about again soon when the other has not noticed yet", () => {
    const node = follower();
    node.core.peerDown(1);
    node.elapse(heartbeatMs);
    const first = voteRequestsOf(node.settle()).find(({ to }) => to === 2)!;
    node.core.requestVoteReplied(2, first.request, refused(4));
    node.elapse(2 * heartbeatMs);
    const again = voteRequestsOf(node.settle()).find(({ to }) => to === 2);
    expect(again?.request).toMatchObject({ preVote: true, term: 5 });
    expect(2 * heartbeatMs).toBeLessThan(electionTimeoutMsMin);
  });

  test("lets this node vote for another", () => {
    const node = follower();
    const candidate = requestVote(5, 2, [0, 0], { preVote: true });
    expect(node.vote(candidate).voteGranted).toBe(false);
    node.core.peerDown(1);
    expect(node.vote(candidate).voteGranted).toBe(true);
  });

  test("makes one leader of two who ask at the same moment, without a split vote", () => {
    const [low, high] = [orphan(0), orphan(2)];
    const fromLow = voteRequestTo(2, low);
    const fromHigh = voteRequestTo(0, high);
    const byHigh = high.vote(fromLow);
    const byLow = low.vote(fromHigh);
    low.core.requestVoteReplied(2, fromLow, byHigh);
    high.core.requestVoteReplied(0, fromHigh, byLow);
    expect([low.core.role, high.core.role]).toEqual(["follower", "candidate"]);
    const election = voteRequestTo(0, high);
    high.core.requestVoteReplied(0, election, low.vote(election));
    expect(high.core.role).toBe("leader");
  });

  test("leaves it to the longer log of two who ask at the same moment, whatever their ids", () => {
    const low = orphan(0, [4, 4]);
    const high = orphan(2, [4]);
    const fromLow = voteRequestTo(2, low);
    const fromHigh = voteRequestTo(0, high);
    expect(low.vote(fromHigh).voteGranted).toBe(false);
    expect(high.vote(fromLow).voteGranted).toBe(true);
    expect([low.core.role, high.core.role]).toEqual(["pre-candidate", "follower"]);
  });

  test("is asked about again soon by one that gave way to another, who then came to nothing", () => {
    const low = orphan(0);
    voteRequestTo(2, low);
    low.vote(requestVote(5, 2, [0, 0], { preVote: true }));
    expect(low.core.role).toBe("follower");
    low.elapse(2 * heartbeatMs);
    expect(voteRequestTo(2, low)).toMatchObject({ preVote: true, term: 5 });
  });

  test("may ask in vain only a few times before the ordinary time-out", () => {
    const node = follower();
    node.core.peerDown(1);
    let asked = 0;
    for (let i = 0; i < 100; i++) {
      node.elapse(2 * heartbeatMs);
      asked += voteRequestsOf(node.settle()).length / 2;
    }
    expect(asked).toBeLessThan(40);
  });

  test("changes nothing when it was another node", () => {
    const node = follower();
    const deadline = node.core.nextDeadline;
    node.core.peerDown(2);
    expect(node.core.nextDeadline).toBe(deadline);
    expect(node.core.currentLeader).toBe(1);
  });
});
