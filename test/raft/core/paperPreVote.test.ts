import { describe, expect, test } from "vitest";
import {
  TestNode,
  appendEntries,
  appendsOf,
  electionTimeoutMsMax,
  electionTimeoutMsMin,
  granted,
  heartbeatMs,
  logOf,
  mismatch,
  refused,
  requestVote,
  voteRequestsOf,
} from "./harness.js";

const preVote = { preVote: true };

function preCandidate(size = 3): {
  node: TestNode;
  requests: ReturnType<typeof voteRequestsOf>;
} {
  const node = new TestNode({ clusterSize: size, hardState: { term: 4, votedFor: 1 } });
  node.elapse(electionTimeoutMsMin);
  return { node, requests: voteRequestsOf(node.settle()) };
}

describe("PreVote (thesis §9.6, original bug 10)", () => {
  test("asking changes neither term nor vote, and saves nothing", () => {
    const node = new TestNode({ hardState: { term: 4, votedFor: 1 } });
    node.elapse(electionTimeoutMsMin);
    const ready = node.ready();
    expect(node.core.role).toBe("pre-candidate");
    expect([ready.saveId, ready.hardState, node.core.term]).toEqual([0, null, 4]);
    expect(ready.requestsAfterPersist.map(({ request }) => request)).toEqual([
      requestVote(5, 0, [0, 0], preVote),
      requestVote(5, 0, [0, 0], preVote),
    ]);
  });

  test("answering changes neither term nor vote nor timer, and saves nothing", () => {
    const node = new TestNode({ hardState: { term: 4, votedFor: 1 } });
    const deadline = node.core.nextDeadline;
    node.elapse(1);
    node.core.requestVote(requestVote(5, 2, [0, 0], preVote), 1);
    const ready = node.ready();
    expect([ready.saveId, ready.hardState, node.core.term]).toEqual([0, null, 4]);
    expect(ready.replies[0]!.reply).toEqual(granted(requestVote(5, 2, [0, 0], preVote)));
    expect(node.core.nextDeadline).toBe(deadline);
  });

  test("several may be granted in one term", () => {
    const node = new TestNode();
    expect(node.vote(requestVote(1, 1, [0, 0], preVote)).voteGranted).toBe(true);
    expect(node.vote(requestVote(1, 2, [0, 0], preVote)).voteGranted).toBe(true);
  });

  test("it is refused to a log that could not win, and for a term that is not new", () => {
    const node = new TestNode({ entries: logOf([1, 1]) });
    expect(node.vote(requestVote(2, 1, [1, 1], preVote)).voteGranted).toBe(false);
    expect(node.vote(requestVote(1, 1, [2, 1], preVote)).voteGranted).toBe(false);
    expect(node.vote(requestVote(2, 1, [2, 1], preVote)).voteGranted).toBe(true);
  });

  test("a majority of pre-votes begins the election; fewer don't", () => {
    const { node, requests } = preCandidate(5);
    node.core.requestVoteReplied(1, requests[0]!.request, granted(requests[0]!.request));
    expect([node.core.role, node.core.term]).toEqual(["pre-candidate", 4]);
    node.core.requestVoteReplied(2, requests[1]!.request, granted(requests[1]!.request));
    expect([node.core.role, node.core.term]).toEqual(["candidate", 5]);
  });

  test("a majority that refuses ends it, in the old term", () => {
    const { node, requests } = preCandidate();
    for (const { to, request } of requests) node.core.requestVoteReplied(to, request, refused(4));
    expect([node.core.role, node.core.term]).toEqual(["follower", 4]);
  });

  test("a newer term in the answer is taken over", () => {
    const { node, requests } = preCandidate();
    node.core.requestVoteReplied(1, requests[0]!.request, refused(8));
    expect([node.core.role, node.core.term]).toEqual(["follower", 8]);
  });

  test("a pre-vote does not count as a vote", () => {
    const { node, requests } = preCandidate(5);
    for (const { to, request } of requests.slice(0, 2))
      node.core.requestVoteReplied(to, request, granted(request));
    node.settle();
    for (const { to, request } of requests.slice(2))
      node.core.requestVoteReplied(to, request, granted(request));
    expect(node.core.role).toBe("candidate");
  });
});

describe("a live leader is not disturbed (thesis §4.2.3)", () => {
  test.each([true, false])(
    "a follower of one refuses, its term unchanged (pre-vote: %s)",
    (pre) => {
      const node = new TestNode();
      node.append(appendEntries({ term: 1 }));
      node.elapse(electionTimeoutMsMin - 1);
      const request = requestVote(7, 2, [9, 1], { preVote: pre });
      expect(node.vote(request)).toMatchObject({ voteGranted: false, term: 1 });
      expect(node.core.term).toBe(1);
      node.elapse(1);
      expect(node.vote(request).voteGranted).toBe(true);
    },
  );

  test("the leader itself refuses and goes on", () => {
    const node = new TestNode().electAndSync();
    const reply = node.vote(requestVote(7, 2, [9, 1]));
    expect(reply).toMatchObject({ voteGranted: false, term: 1 });
    expect([node.core.role, node.core.term]).toEqual(["leader", 1]);
  });

  test("a vote that the leader itself asked for is granted all the same (§3.10)", () => {
    const node = new TestNode();
    node.append(appendEntries({ term: 1 }));
    const request = requestVote(2, 2, [0, 0], { leadershipTransfer: true });
    expect(node.vote(request)).toMatchObject({ voteGranted: true, term: 2 });
  });

  test("a leader whose process is gone is not waited for", () => {
    const node = new TestNode();
    node.append(appendEntries({ term: 1, from: 1 }));
    node.core.peerDown(2);
    node.elapse(heartbeatMs);
    expect(node.core.role).toBe("follower");
    node.core.peerDown(1);
    node.elapse(heartbeatMs);
    expect([node.core.role, node.core.term]).toEqual(["pre-candidate", 1]);
  });
});

describe("the election timer", () => {
  test("a heartbeat of a stale term does not reset it", () => {
    const node = new TestNode({ hardState: { term: 5, votedFor: -1 } });
    for (let waited = 0; waited < electionTimeoutMsMin; waited += heartbeatMs) {
      expect(node.core.role).toBe("follower");
      node.elapse(heartbeatMs);
      node.core.appendEntries(appendEntries({ term: 4 }), 1);
      node.core.snapshotChunk(4, 1);
    }
    expect(node.core.role).toBe("pre-candidate");
  });

  test("nor does a stale leader make a vote be refused", () => {
    const node = new TestNode({ hardState: { term: 5, votedFor: -1 } });
    node.append(appendEntries({ term: 4 }));
    expect(node.vote(requestVote(6, 2)).voteGranted).toBe(true);
  });

  test("a refused vote of a newer term does not reset it", () => {
    const node = new TestNode({ entries: logOf([1, 1]) });
    for (let term = 2; node.core.role === "follower" && term < 100; term++) {
      node.elapse(heartbeatMs);
      if (node.core.role === "follower") node.vote(requestVote(term, 1, [1, 1]));
    }
    expect(node.now).toBe(1000 + electionTimeoutMsMin);
  });
});

/** Time passes while the leader leads; the followers in `answering` answer all they get. */
function beat(node: TestNode, ms: number, answering: readonly number[]): void {
  for (let waited = 0; waited < ms && node.core.role === "leader"; waited += heartbeatMs) {
    node.elapse(heartbeatMs);
    if (node.core.role === "leader") node.sync(answering);
  }
}

describe("CheckQuorum (thesis §6.2, original bug 10)", () => {
  test("a leader that no majority answers steps down, in its term", () => {
    const node = new TestNode({ clusterSize: 5 }).electAndSync();
    beat(node, 2 * electionTimeoutMsMax, [3]);
    expect([node.core.role, node.core.term]).toEqual(["follower", 1]);
    expect(node.core.currentLeader).toBe(-1);
  });

  test("it says why it stepped down", () => {
    const node = new TestNode().electAndSync();
    node.elapse(electionTimeoutMsMax);
    const steppedDown = "no quorum answers";
    expect(node.ready().softState).toEqual({ role: "follower", term: 1, leader: -1, steppedDown });
  });

  test("one that a majority answers does not, whoever is missing", () => {
    const node = new TestNode({ clusterSize: 5 }).electAndSync();
    beat(node, 5 * electionTimeoutMsMax, [3, 4]);
    expect(node.core.role).toBe("leader");
  });

  test("it waits an election timeout after the last answer", () => {
    const node = new TestNode().electAndSync();
    node.elapse(electionTimeoutMsMax - 1);
    expect(node.core.role).toBe("leader");
  });

  test("a refusal is an answer too; one to a request of an earlier term is not", () => {
    const node = new TestNode().elect();
    const [append] = node.appends();
    for (let waited = 0; waited < 2 * electionTimeoutMsMax; waited += heartbeatMs) {
      node.elapse(heartbeatMs);
      for (const beaten of node.appends())
        node.core.appendEntriesReplied(beaten.to, beaten.context, mismatch(1, 1));
    }
    expect(node.core.role).toBe("leader");
    const stale = { ...append!.context, term: 0 };
    for (let waited = 0; waited < 2 * electionTimeoutMsMax; waited += heartbeatMs) {
      node.elapse(heartbeatMs);
      node.core.appendEntriesReplied(1, stale, mismatch(1, 1));
    }
    expect(node.core.role).not.toBe("leader");
  });

  test("a leader whose disk stalls steps down and says so, so that another can lead", () => {
    const node = new TestNode().electAndSync();
    node.propose("a");
    node.ready();
    let ready = null;
    for (let waited = 0; waited < electionTimeoutMsMax; waited += heartbeatMs) {
      expect(node.core.role).toBe("leader");
      node.elapse(heartbeatMs);
      ready = node.ready();
      // The followers are well: they answer every heartbeat.
      if (node.core.role === "leader")
        for (const append of appendsOf(ready)) node.acknowledge(append);
    }
    expect(node.core.role).toBe("follower");
    expect(ready?.softState?.steppedDown).toBe("its disk stalls");
  });

  test("a disk that is slow with much, and is seen to work, does not cost the lead", () => {
    const node = new TestNode().electAndSync();
    node.propose("a");
    node.ready();
    for (let waited = 0; waited < 3 * electionTimeoutMsMax; waited += heartbeatMs) {
      node.core.diskMoved(node.now);
      node.elapse(heartbeatMs);
      for (const append of appendsOf(node.ready())) node.acknowledge(append);
    }
    expect(node.core.role).toBe("leader");
  });
});
