import { describe, expect, test } from "vitest";
import {
  TestNode,
  appendEntries,
  heartbeatMs,
  logOf,
  mismatch,
  requestVote,
  success,
} from "./harness.js";

/** Leads with everything up to 6 compacted into a snapshot; follower 1 turns out to be empty. */
function leaderBeyondFollower(): TestNode {
  const node = new TestNode({ entries: logOf([1, 1, 1, 1, 1]), clusterSize: 3 }).elect();
  const sent = node.appends();
  node.acknowledge(sent.find(({ to }) => to === 2)!);
  node.settle();
  node.core.compact(6);
  node.core.appendEntriesReplied(1, sent.find(({ to }) => to === 1)!.context, mismatch(2, 1));
  return node;
}

describe("snapshots, receiver (Raft §7, Figure 13)", () => {
  test("one that goes beyond the log replaces it, and is to be saved", () => {
    const node = new TestNode({ entries: logOf([1, 1]) });
    expect(node.core.snapshotReceived(3, 1, { index: 9, term: 2 })).toBe(true);
    const ready = node.ready();
    expect(ready.saveId).not.toBe(0);
    expect(ready.snapshot).toEqual({ index: 9, term: 2 });
    expect(ready.hardState).toEqual({ term: 3, votedFor: -1 });
    expect([ready.commitIndex, node.core.log.firstIndex, node.core.log.lastIndex]).toEqual([
      9, 10, 9,
    ]);
    expect(node.append(appendEntries({ term: 3, after: [9, 2], terms: [3] }))).toEqual(success(3));
    expect(node.vote(requestVote(4, 2, [9, 2], { leadershipTransfer: true })).voteGranted).toBe(
      false,
    );
  });

  test("entries after it are kept when the log matches it (original bug 12)", () => {
    const node = new TestNode({ entries: logOf([1, 1, 2, 2]) });
    expect(node.core.snapshotReceived(3, 1, { index: 2, term: 1 })).toBe(false);
    expect(node.ready().snapshot).toBeNull();
    expect([node.terms, node.core.log.commitIndex]).toEqual([[1, 1, 2, 2], 2]);
  });

  test("entries after it go when the log does not match it (original bug 12)", () => {
    const node = new TestNode({ entries: logOf([1, 1, 1, 1]) });
    expect(node.core.snapshotReceived(3, 1, { index: 2, term: 2 })).toBe(true);
    expect([node.terms, node.core.log.lastIndex]).toEqual([[], 2]);
  });

  test("it never moves a node backwards", () => {
    const node = new TestNode({ entries: logOf([1, 1, 1, 1]) });
    node.append(appendEntries({ term: 1, after: [4, 1], commit: 4 }));
    for (const meta of [
      { index: 3, term: 1 },
      { index: 4, term: 1 },
      { index: 2, term: 2 },
    ]) {
      expect(node.core.snapshotReceived(1, 1, meta)).toBe(false);
      expect(node.settle().snapshot).toBeNull();
    }
    expect([node.terms, node.core.log.commitIndex]).toEqual([[1, 1, 1, 1], 4]);
  });

  test("one from a leader of an older term is not taken", () => {
    const node = new TestNode({ hardState: { term: 5, votedFor: -1 } });
    expect(node.core.snapshotChunk(4, 1)).toBe(false);
    expect(node.core.snapshotReceived(4, 1, { index: 9, term: 2 })).toBe(false);
    expect(node.core.log.lastIndex).toBe(0);
  });

  test("its chunks are a sign of the leader's life", () => {
    const node = new TestNode();
    for (let chunks = 0; chunks < 50; chunks++) {
      node.elapse(200);
      expect(node.core.snapshotChunk(1, 1)).toBe(true);
      node.settle();
    }
    expect([node.core.role, node.core.currentLeader]).toEqual(["follower", 1]);
  });

  test("saves of the log before it, still under way, prove nothing after it", () => {
    const node = new TestNode({ hardState: { term: 1, votedFor: -1 } });
    node.core.appendEntries(appendEntries({ term: 1, terms: [1, 1, 1, 1, 1, 1] }), 1);
    const { saveId } = node.ready();
    node.core.snapshotReceived(2, 2, { index: 3, term: 2 });
    node.core.appendEntries(appendEntries({ term: 2, from: 2, after: [3, 2], terms: [2, 2] }), 2);
    const after = node.ready();
    expect(after.snapshot).toEqual({ index: 3, term: 2 });
    expect(after.entries.map(({ index }) => index)).toEqual([4, 5]);
    node.core.persisted(saveId);
    expect(node.core.log.durableIndex).toBe(3);
    node.core.persisted(after.saveId);
    expect(node.core.log.durableIndex).toBe(5);
  });
});

describe("snapshots, leader", () => {
  test("a follower that needs compacted entries gets the snapshot, and no entries meanwhile", () => {
    const node = leaderBeyondFollower();
    const ready = node.settle();
    expect(ready.snapshots).toEqual([{ to: 1, term: 2 }]);
    expect(ready.requests.filter(({ to }) => to === 1)).toEqual([]);
    node.propose("a");
    expect(node.appends().map(({ to }) => to)).toEqual([2]);
    expect(node.core.followers()[0]!.state).toBe("snapshot");
  });

  test("heartbeats go on during the transfer", () => {
    const node = leaderBeyondFollower();
    node.settle();
    node.elapse(heartbeatMs);
    const beat = node.appends().find(({ to }) => to === 1)!;
    expect([beat.request.prevLogIndex, beat.request.entries]).toEqual([0, []]);
  });

  test("after it, replication goes on behind it", () => {
    const node = leaderBeyondFollower();
    node.propose("a");
    node.settle();
    node.core.snapshotSent(1, 2, { index: 6, term: 2 }, true);
    const next = node.appends().find(({ to }) => to === 1)!;
    expect([next.request.prevLogIndex, next.request.prevLogTerm]).toEqual([6, 2]);
    expect(next.request.entries.map(({ index }) => index)).toEqual([7]);
    node.acknowledge(next);
    expect(node.core.log.commitIndex).toBe(7);
  });

  test("an installed snapshot counts as acknowledged", () => {
    const node = leaderBeyondFollower();
    node.settle();
    node.core.snapshotSent(1, 2, { index: 6, term: 2 }, true);
    expect(node.core.followers()[0]).toMatchObject({ matchIndex: 6, nextIndex: 7 });
  });

  test("a transfer that failed is tried again at the next heartbeat, and not before", () => {
    const node = leaderBeyondFollower();
    node.settle();
    node.core.snapshotSent(1, 2, { index: 6, term: 2 }, false);
    expect(node.settle().snapshots).toEqual([]);
    node.elapse(heartbeatMs);
    expect(node.settle().snapshots).toEqual([{ to: 1, term: 2 }]);
  });

  test("a follower gets one at a time, though it left the need for one and fell into it again", () => {
    const node = new TestNode().electAndSync();
    const compactAt = (index: number): void => {
      node.sync([2]);
      expect(node.core.log.commitIndex).toBe(index);
      node.core.compact(index);
    };
    const appendTo1 = (): ReturnType<TestNode["appends"]>[number] => {
      const sent = node.appends();
      for (const append of sent.filter(({ to }) => to === 2)) node.acknowledge(append);
      return sent.find(({ to }) => to === 1)!;
    };
    node.propose("a");
    const late = appendTo1();
    node.elapse(heartbeatMs);
    node.core.appendEntriesFailed(1, appendTo1().context);
    compactAt(2);
    node.elapse(heartbeatMs);
    expect(node.settle().snapshots).toEqual([{ to: 1, term: 1 }]);
    // It has the entry after all; the transfer goes on meanwhile.
    node.acknowledge(late);
    expect(node.core.followers()[0]).toMatchObject({ state: "probe", matchIndex: 2 });
    node.propose("b");
    node.core.appendEntriesFailed(1, appendTo1().context);
    compactAt(3);
    node.elapse(heartbeatMs);
    expect(node.settle().snapshots).toEqual([]);
    expect(node.core.followers()[0]!.state).toBe("snapshot");
    node.core.snapshotSent(1, 1, { index: 2, term: 1 }, true);
    expect(node.settle().snapshots).toEqual([{ to: 1, term: 1 }]);
  });

  test("the end of a transfer of an earlier term changes nothing", () => {
    const node = leaderBeyondFollower();
    node.settle();
    const before = node.core.followers();
    node.core.snapshotSent(1, 1, { index: 6, term: 2 }, true);
    expect(node.core.followers()).toEqual(before);
  });

  test("a follower that takes chunks counts for CheckQuorum", () => {
    const node = leaderBeyondFollower();
    node.settle();
    for (let chunks = 0; chunks < 50; chunks++) {
      node.elapse(heartbeatMs);
      node.settle();
      node.core.snapshotProgressed(1, 2, 2);
    }
    expect(node.core.role).toBe("leader");
  });

  test("a follower that takes them in a newer term deposes the leader", () => {
    const node = leaderBeyondFollower();
    node.settle();
    node.core.snapshotProgressed(1, 2, 5);
    expect([node.core.role, node.core.term]).toEqual(["follower", 5]);
  });
});

describe("restart from a snapshot", () => {
  test("what it holds is committed; what follows is not yet", () => {
    const { core } = new TestNode({ snapshot: { index: 4, term: 2 }, entries: logOf([2, 3], 5) });
    expect([core.log.commitIndex, core.log.lastIndex, core.log.lastTerm]).toEqual([4, 6, 3]);
    expect(core.log.term(4)).toBe(2);
  });

  test("entries that were kept before it serve followers that are a little behind", () => {
    const node = new TestNode({
      snapshot: { index: 4, term: 1 },
      entries: logOf([1, 1, 1, 1], 2),
    }).elect();
    const [probe] = node.appends();
    node.core.appendEntriesReplied(1, probe!.context, mismatch(2, 3));
    const [append] = node.appends();
    expect(append!.request.entries.map(({ index }) => index)).toEqual([3, 4, 5, 6]);
  });

  test("a log that does not reach its snapshot is our own bug", () => {
    const broken = { snapshot: { index: 9, term: 1 }, entries: logOf([1, 1]) };
    expect(() => new TestNode(broken)).toThrow("gap");
  });
});
