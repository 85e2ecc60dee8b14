import { describe, expect, test } from "vitest";
import {
  TestNode,
  appendEntries,
  electionTimeoutMsMin,
  granted,
  heartbeatMs,
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
