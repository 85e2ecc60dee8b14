/** A node that has forgotten what it voted and acknowledged: see `Joining`. */
import { describe, expect, test } from "vitest";
import { lostEntries } from "../../../raft/core/joining.js";
import type { AppendEntries, RequestVote } from "../../../raft/core/index.js";
import { heartbeatMs, TestNode, voteRequestsOf, type OutgoingAppend } from "./harness.js";
import { ForgetfulCluster } from "./forgetfulCluster.js";

const blank = { term: 0, votedFor: -1, joining: true };
const entry = (index: number, term: number) => ({ index, term, command: new Uint8Array(1) });

function append(term: number, admits?: number, count = 0, prevLogIndex = 0): AppendEntries {
  const entries = Array.from({ length: count }, (_, i) => entry(prevLogIndex + 1 + i, term));
  const prevLogTerm = prevLogIndex === 0 ? 0 : term;
  const leaderCommit = 0;
  return {
    type: "AppendEntries",
    term,
    from: 1,
    prevLogIndex,
    prevLogTerm,
    entries,
    leaderCommit,
    admits,
  };
}

function candidate(term: number, from = 2): RequestVote {
  const last = { lastLogIndex: 100, lastLogTerm: term };
  return {
    type: "RequestVote",
    term,
    from,
    ...last,
    preVote: false,
    leadershipTransfer: true,
  };
}

/** Answers the node's questions with these terms, by node. */
function tell(node: TestNode, terms: Readonly<Record<number, number>>): void {
  for (const { to, request } of voteRequestsOf(node.settle())) {
    const term = terms[to];
    if (term === undefined) continue;
    node.core.requestVoteReplied(to, request, {
      type: "RequestVoteReply",
      term,
      voteGranted: false,
      voteState: 2,
    });
  }
}

describe("a node with a new directory", () => {
  test("asks all others for their terms, and votes for no one and campaigns for nothing", () => {
    const node = new TestNode({ hardState: blank });
    node.elapse(0);
    const asked = voteRequestsOf(node.settle());
    expect(asked.map(({ to, request }) => [to, request.term, request.preVote])).toEqual([
      [1, 0, true],
      [2, 0, true],
    ]);
    expect(node.vote(candidate(4)).voteGranted).toBe(false);
    expect(node.vote({ ...candidate(4), preVote: true }).voteGranted).toBe(false);
    for (let i = 0; i < 20; i++) node.elapse(500);
    expect(node.core.role).toBe("follower");
    expect(node.core.term).toBe(0);
  });

  test("votes once every other node has said that it is at term 0", () => {
    const node = new TestNode({ hardState: blank });
    node.elapse(0);
    tell(node, { 1: 0 });
    expect(node.core.isJoining).toBe(true);
    node.elapse(1000);
    tell(node, { 2: 0 });
    expect(node.core.isJoining).toBe(false);
    expect(node.settle().hardState).toEqual({ term: 0, votedFor: -1 });
    expect(node.vote(candidate(1)).voteGranted).toBe(true);
  });

  test("is admitted by a leader of the highest term, and votes for no other in it", () => {
    const node = new TestNode({ hardState: blank });
    node.elapse(0);
    tell(node, { 1: 3, 2: 5 });
    expect(node.append(append(4)).success).toBe(false);
    const { joining: nonce } = node.append(append(5, undefined, 3));
    expect(nonce).toBeGreaterThan(0);
    expect(node.append(append(5, nonce! + 1, 0, 3)).joining).toBe(nonce);
    expect(node.append(append(5, nonce, 0, 9)), "a log that does not match").toMatchObject({
      success: false,
      joining: nonce,
    });
    expect(node.append(append(5, nonce, 0, 3)).joining).toBeUndefined();
    expect(node.vote(candidate(5)).voteGranted).toBe(false);
    expect(node.vote(candidate(6)).voteGranted).toBe(true);
  });

  test("is not admitted before all others have told their terms", () => {
    const node = new TestNode({ hardState: blank });
    node.elapse(0);
    tell(node, { 1: 3 });
    const { joining: nonce } = node.append(append(3, undefined, 2));
    expect(node.append(append(3, nonce, 0, 2)).joining).toBe(nonce);
    node.elapse(1000);
    tell(node, { 2: 3 });
    expect(node.append(append(3, nonce, 0, 2)).joining).toBeUndefined();
  });

  test("joins anew when the leader says that it lost entries", () => {
    const node = new TestNode({ entries: [entry(1, 2)] });
    const { joining } = node.append({ ...append(2, lostEntries, 0, 0) });
    expect(joining).toBeGreaterThan(0);
    expect(node.core.isJoining).toBe(true);
    expect(node.vote(candidate(9)).voteGranted).toBe(false);
  });

  test("keeps its vote of this term, where it knows it", () => {
    const node = new TestNode({ entries: [entry(1, 2)], hardState: { term: 2, votedFor: 2 } });
    const { joining: nonce } = node.append({ ...append(2, lostEntries, 0, 0) });
    node.elapse(0);
    tell(node, { 1: 2, 2: 2 });
    node.core.appendEntries(append(2, nonce, 0, 0), 99);
    expect(node.settle().hardState).toEqual({ term: 2, votedFor: 2 });
    expect(node.core.isJoining).toBe(false);
  });

  test("alone in its cluster it votes", () => {
    const node = new TestNode({ clusterSize: 1, hardState: blank });
    node.elapse(0);
    node.settle();
    node.elapse(0);
    node.settle();
    expect(node.core.role).toBe("leader");
  });
});

function leading(): TestNode {
  const node = new TestNode({ clusterSize: 3 }).elect();
  for (const sent of node.appends()) node.acknowledge(sent);
  return node;
}

describe("a leader", () => {
  test("commits nothing by a joining follower, and admits it when it has caught up", () => {
    const node = leading();
    node.core.propose([new Uint8Array(1)]);
    const before = node.core.log.commitIndex;
    const joining = 77;
    let isAdmitted = false;
    const answer = (): void => {
      for (const { to, request, context } of node.appends()) {
        if (to !== 1) continue;
        isAdmitted ||= request.admits === joining;
        const voice = isAdmitted ? undefined : joining;
        const reply = { type: "AppendEntriesReply" as const, term: node.core.term, success: true };
        node.core.appendEntriesReplied(to, context, {
          ...reply,
          updateNextIndex: 0,
          joining: voice,
        });
      }
    };
    answer();
    expect(node.core.log.commitIndex).toBe(before);
    expect(node.core.followers()[0]).toMatchObject({ joining: true });
    for (let i = 0; i < 8; i++) {
      node.elapse(25);
      answer();
    }
    expect(node.core.followers()[0]).toMatchObject({ joining: false, matchIndex: before + 1 });
    expect(node.core.log.commitIndex).toBe(before + 1);
  });

  test("notices a follower that lost what it had acknowledged", () => {
    const node = leading();
    node.elapse(25);
    for (const { to, context } of node.appends()) {
      const reply = {
        type: "AppendEntriesReply" as const,
        term: node.core.term,
        success: to !== 1,
      };
      node.core.appendEntriesReplied(to, context, { ...reply, updateNextIndex: 1 });
    }
    expect(node.core.followers()[0]).toMatchObject({ joining: true, matchIndex: 0 });
    node.elapse(25);
    const toLost = node.appends().filter(({ to }) => to === 1);
    expect(toLost.map(({ request }) => request.admits)).toContain(lostEntries);
  });

  test("goes on with a follower that joins though an answer of its old process came last", () => {
    const node = new TestNode({ clusterSize: 3 }).elect();
    const toFirst = (): OutgoingAppend => node.appends().find(({ to }) => to === 1)!;
    const { term } = node.core;
    const refused = { type: "AppendEntriesReply" as const, term, success: false };
    const success = { ...refused, success: true, updateNextIndex: 0 };
    const probe = toFirst();
    node.elapse(heartbeatMs);
    const beat = toFirst();
    expect(beat.request.entries).toEqual([]);
    // Sent first, the probe was refused by a process that died; the next one forgot all it knew.
    node.core.appendEntriesReplied(1, beat.context, { ...success, joining: 77 });
    node.core.appendEntriesReplied(1, probe.context, { ...refused, updateNextIndex: 1 });
    for (let i = 0; i < 4; i++) {
      node.elapse(heartbeatMs);
      for (const { to, context } of node.appends())
        if (to === 1) node.core.appendEntriesReplied(1, context, { ...success, joining: 77 });
    }
    expect(node.core.followers()[0]).toMatchObject({ joining: true, matchIndex: 1 });
  });

  test("does not take a follower for one that lost entries when a refusal is older than they are", () => {
    const node = new TestNode({
      clusterSize: 3,
      mixed: true,
      snapshot: { index: 6, term: 2 },
      hardState: { term: 2, votedFor: -1 },
    }).elect();
    const refused = { type: "AppendEntriesReply" as const, term: node.core.term, success: false };
    const toFirst = (): OutgoingAppend => node.appends().find(({ to }) => to === 1)!;
    // From the end of the log back to where a snapshot is needed.
    node.core.appendEntriesReplied(1, toFirst().context, { ...refused, updateNextIndex: 1 });
    node.elapse(heartbeatMs);
    const late = toFirst();
    expect([late.request.prevLogIndex, late.request.entries]).toEqual([7, []]);
    expect(node.core.followers()[0]!.state).toBe("snapshot");
    node.core.snapshotSent(1, node.core.term, { index: 7, term: node.core.term }, true);
    expect(node.core.followers()[0]!.matchIndex).toBe(7);
    // It was refused before the snapshot was installed, and its answer took longer.
    node.core.appendEntriesReplied(1, late.context, { ...refused, updateNextIndex: 1 });
    expect(node.core.followers()[0]).toMatchObject({ joining: false, matchIndex: 7 });
  });
});

describe("clusters whose nodes forget everything, one after the other", () => {
  test("elect one leader a term and keep what they committed", () => {
    let forgotten = 0;
    let admitted = 0;
    for (let seed = 1; seed <= 60; seed++) {
      const cluster = new ForgetfulCluster(seed, true);
      expect(cluster.run(), `seed ${seed}`).toBeNull();
      forgotten += cluster.forgotten;
      admitted += cluster.admitted;
    }
    expect(forgotten).toBeGreaterThan(50);
    expect(admitted).toBeGreaterThan(25);
  });

  test("would not, if they voted at once", () => {
    const broken = Array.from({ length: 60 }, (_, i) => new ForgetfulCluster(i + 1, false).run());
    expect(broken.filter((what) => what !== null).length).toBeGreaterThan(0);
  });
});
