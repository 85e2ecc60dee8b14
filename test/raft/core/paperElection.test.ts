import { describe, expect, test } from "vitest";
import {
  TestNode,
  appendEntries,
  electionTimeoutMsMax,
  electionTimeoutMsMin,
  granted,
  heartbeatMs,
  logOf,
  mismatch,
  refused,
  requestVote,
  success,
  voteRequestsOf,
} from "./harness.js";

/** A candidate of `size` nodes whose requests for votes have left. */
function candidate(size: number): {
  node: TestNode;
  requests: ReturnType<typeof voteRequestsOf>;
} {
  const node = new TestNode({ clusterSize: size });
  node.campaign();
  return { node, requests: voteRequestsOf(node.settle()) };
}

describe("terms (Raft §5.1)", () => {
  test("a node starts as a follower in the term that its disk held", () => {
    const { core } = new TestNode({ hardState: { term: 7, votedFor: 2 } });
    expect([core.role, core.term, core.currentLeader]).toEqual(["follower", 7, -1]);
  });

  test("a newer term in a request is taken over, and saved", () => {
    const node = new TestNode({ hardState: { term: 2, votedFor: 0 } });
    node.core.appendEntries(appendEntries({ term: 5 }), 1);
    expect(node.ready().hardState).toEqual({ term: 5, votedFor: -1 });
    expect(node.core.currentLeader).toBe(1);
  });

  test("a newer term in a request for votes is taken over though the vote is refused", () => {
    const node = new TestNode({ entries: logOf([1, 2]) });
    const reply = node.vote(requestVote(6, 1, [1, 1]));
    expect(reply).toMatchObject({ voteGranted: false, term: 6 });
    expect(node.core.term).toBe(6);
  });

  test("a candidate steps down on a newer term in a reply", () => {
    const { node, requests } = candidate(3);
    node.core.requestVoteReplied(1, requests[0]!.request, refused(9));
    expect([node.core.role, node.core.term]).toEqual(["follower", 9]);
  });

  test("a leader steps down on a newer term in a reply, and persists it (original bug 11)", () => {
    const node = new TestNode().elect();
    const [append] = node.appends();
    node.core.appendEntriesReplied(1, append!.context, mismatch(9, 1));
    expect([node.core.role, node.core.term]).toEqual(["follower", 9]);
    expect(node.ready().hardState).toEqual({ term: 9, votedFor: -1 });
  });

  test("requests of an older term are refused with the newer one, and change nothing", () => {
    const node = new TestNode({ hardState: { term: 4, votedFor: -1 }, entries: logOf([1, 4]) });
    const deadline = node.core.nextDeadline;
    node.elapse(100);
    const append = node.append(appendEntries({ term: 3, terms: [3, 3, 3], commit: 3 }));
    expect(append).toEqual(mismatch(4, -100));
    expect(node.vote(requestVote(3, 1, [9, 3]))).toMatchObject({ term: 4, voteGranted: false });
    expect(node.terms).toEqual([1, 4]);
    expect([node.core.currentLeader, node.core.log.commitIndex]).toEqual([-1, 0]);
    expect(node.core.nextDeadline).toBe(deadline);
  });
});

describe("elections (Raft §5.2)", () => {
  test("a leader sends heartbeats to all, at once and then every heartbeat interval", () => {
    const node = new TestNode().electAndSync();
    expect(node.appends()).toEqual([]);
    for (let beats = 0; beats < 3; beats++) {
      node.elapse(heartbeatMs - 1);
      expect(node.appends()).toEqual([]);
      node.elapse(1);
      const sent = node.appends();
      expect(sent.map(({ to }) => to)).toEqual([1, 2]);
      expect(sent.map(({ request }) => request.entries)).toEqual([[], []]);
    }
  });

  test("a follower that hears nothing stands for election; one that hears a leader does not", () => {
    const node = new TestNode();
    node.elapse(electionTimeoutMsMin - 1);
    expect(node.core.role).toBe("follower");
    node.append(appendEntries({ term: 1 }));
    node.elapse(electionTimeoutMsMin - 1);
    expect(node.core.role).toBe("follower");
    node.elapse(1);
    expect(node.core.role).toBe("pre-candidate");
  });

  test("the timeout is uniform between its bounds, and drawn anew each time", () => {
    const draws = [0, 0.25, 0.999, 0.5];
    const node = new TestNode({ random: () => draws.shift() ?? 0 });
    const spread = electionTimeoutMsMax - electionTimeoutMsMin;
    for (const draw of [0, 0.25, 0.999, 0.5]) {
      expect(node.core.nextDeadline - node.now).toBeCloseTo(electionTimeoutMsMin + draw * spread);
      node.elapse(10);
      node.append(appendEntries({ term: 1 }));
    }
  });

  test("a candidate raises its term, votes for itself and asks every other node", () => {
    const node = new TestNode({ hardState: { term: 3, votedFor: 2 }, entries: logOf([1, 3]) });
    node.campaign();
    const ready = node.ready();
    expect(ready.hardState).toEqual({ term: 4, votedFor: 0 });
    expect(voteRequestsOf({ requests: ready.requestsAfterPersist })).toEqual(
      [1, 2].map((to) => ({ to, request: requestVote(4, 0, [2, 3]) })),
    );
  });

  test.each([
    { size: 2, votes: 1 },
    { size: 3, votes: 1 },
    { size: 4, votes: 2 },
    { size: 5, votes: 2 },
    { size: 7, votes: 3 },
  ])("of $size nodes, $votes votes beside its own make a leader and fewer don't", (row) => {
    const { node, requests } = candidate(row.size);
    requests.slice(0, row.votes).forEach(({ to, request }) => {
      expect(node.core.role).toBe("candidate");
      node.core.requestVoteReplied(to, request, granted(request));
    });
    expect(node.core.role).toBe("leader");
    expect(node.core.currentLeader).toBe(0);
  });

  test("a vote that is told twice counts once", () => {
    const { node, requests } = candidate(5);
    const { request } = requests[0]!;
    for (let times = 0; times < 3; times++)
      node.core.requestVoteReplied(1, request, granted(request));
    expect(node.core.role).toBe("candidate");
  });

  test("a majority that refuses ends the candidacy, in the same term", () => {
    const { node, requests } = candidate(3);
    for (const { to, request } of requests) node.core.requestVoteReplied(to, request, refused(1));
    expect([node.core.role, node.core.term]).toEqual(["follower", 1]);
  });

  test("votes of an earlier election don't count in a later one (original bug 17)", () => {
    const { node, requests } = candidate(3);
    node.campaign();
    node.settle();
    expect([node.core.role, node.core.term]).toEqual(["candidate", 2]);
    const { to, request } = requests[0]!;
    node.core.requestVoteReplied(to, request, granted(request));
    expect(node.core.role).toBe("candidate");
  });

  test("a candidate that hears a leader of its term follows it", () => {
    const { node } = candidate(3);
    node.append(appendEntries({ term: 1, from: 2 }));
    expect([node.core.role, node.core.currentLeader]).toEqual(["follower", 2]);
  });

  test("a split vote is tried again, in a new term", () => {
    const { node } = candidate(3);
    node.campaign();
    expect([node.core.role, node.core.term]).toEqual(["candidate", 2]);
  });

  test("a single node elects itself at once (original bug 10)", () => {
    const node = new TestNode({ clusterSize: 1 });
    node.elapse(0);
    node.settle();
    expect([node.core.role, node.core.term]).toEqual(["leader", 1]);
    const index = node.propose("a");
    expect(node.settle().commitIndex).toBe(index);
  });
});

describe("votes (Raft §5.2, §5.4.1)", () => {
  test("one for each term, first come, first served; asked again, the same answer", () => {
    const node = new TestNode();
    expect(node.vote(requestVote(1, 2))).toEqual(granted(requestVote(1, 2)));
    expect(node.vote(requestVote(1, 1))).toEqual(refused(1));
    expect(node.vote(requestVote(1, 2)).voteGranted).toBe(true);
    expect(node.vote(requestVote(2, 1)).voteGranted).toBe(true);
  });

  test("the vote that the disk held is remembered (original bug 1)", () => {
    const node = new TestNode({ hardState: { term: 3, votedFor: 1 } });
    expect(node.vote(requestVote(3, 2)).voteGranted).toBe(false);
    expect(node.vote(requestVote(3, 1)).voteGranted).toBe(true);
  });

  test("a granted vote resets the election timer, a refused one does not", () => {
    const node = new TestNode();
    const first = node.core.nextDeadline;
    node.elapse(100);
    node.vote(requestVote(1, 1));
    expect(node.core.nextDeadline).toBe(first + 100);
    node.elapse(100);
    node.vote(requestVote(1, 2));
    expect(node.core.nextDeadline).toBe(first + 100);
  });

  test("no vote for another in a term whose leader is known", () => {
    const node = new TestNode();
    node.append(appendEntries({ term: 1, from: 1 }));
    node.elapse(electionTimeoutMsMin - 1);
    expect(node.vote(requestVote(1, 2)).voteGranted).toBe(false);
  });

  test.each([
    { own: [1], last: [1, 1], vote: true },
    { own: [1], last: [2, 1], vote: true },
    { own: [1, 1], last: [1, 1], vote: false },
    { own: [1, 1], last: [1, 2], vote: true },
    { own: [2], last: [3, 1], vote: false },
    { own: [], last: [0, 0], vote: true },
  ] as const)("a log of terms $own grants one that ends at $last: $vote", ({ own, last, vote }) => {
    const node = new TestNode({ entries: logOf(own) });
    expect(node.vote(requestVote(3, 1, last)).voteGranted).toBe(vote);
  });

  test("the original's VoteState tells why: 1 refused, 2 of an older term, 3 granted", () => {
    const node = new TestNode({ hardState: { term: 3, votedFor: -1 } });
    expect(node.vote(requestVote(2, 1)).voteState).toBe(2);
    expect(node.vote(requestVote(3, 1)).voteState).toBe(3);
    expect(node.vote(requestVote(3, 2)).voteState).toBe(1);
  });
});

describe("a new leader (Raft §5.3, §8)", () => {
  test("opens its term with a no-op, after all that its log holds (original bug 10)", () => {
    const noop = new Uint8Array([9]);
    const node = new TestNode({ entries: logOf([1, 1]), noop }).elect();
    expect(node.core.log.entry(3)).toEqual({ index: 3, term: 2, command: noop });
    const sent = node.appends();
    expect(sent.map(({ request }) => [request.prevLogIndex, request.prevLogTerm])).toEqual([
      [2, 1],
      [2, 1],
    ]);
  });

  test("its no-op, once committed, commits what is before it", () => {
    const node = new TestNode({ entries: logOf([1, 1]) }).elect();
    for (const append of node.appends().slice(0, 1))
      node.core.appendEntriesReplied(append.to, append.context, success(2));
    expect(node.core.log.commitIndex).toBe(3);
  });
});
