import { describe, expect, test } from "vitest";
import {
  TestNode,
  appendEntries,
  heartbeatMs,
  logOf,
  mismatch,
  requestVote,
  success,
  type AppendFields,
} from "./harness.js";

describe("AppendEntries, receiver (Raft Figure 2, §5.3)", () => {
  const own = [1, 1, 4, 4, 5, 5, 6, 6];

  test.each<{ fields: AppendFields; why: string; hint: number }>([
    { fields: { term: 8, after: [12, 7] }, why: "past the end of its log", hint: 9 },
    { fields: { term: 8, after: [8, 7] }, why: "another term there", hint: 7 },
    { fields: { term: 8, after: [6, 4] }, why: "another term there", hint: 5 },
    { fields: { term: 8, after: [2, 2] }, why: "another term there", hint: 1 },
  ])("refuses after $fields.after: $why; the leader should go on at $hint", ({ fields, hint }) => {
    const node = new TestNode({ entries: logOf(own) });
    expect(node.append(appendEntries({ ...fields, terms: [8] }))).toEqual(mismatch(8, hint));
    expect(node.terms).toEqual(own);
  });

  test.each<{ fields: AppendFields; log: number[] }>([
    { fields: { term: 8, after: [8, 6], terms: [8, 8] }, log: [...own, 8, 8] },
    { fields: { term: 8, after: [0, 0], terms: [1, 1] }, log: own },
    { fields: { term: 8, after: [2, 1], terms: [4, 4] }, log: own },
    { fields: { term: 8, after: [2, 1], terms: [4, 7] }, log: [1, 1, 4, 7] },
    { fields: { term: 8, after: [0, 0], terms: [2] }, log: [2] },
    { fields: { term: 8, after: [6, 5], terms: [6, 6, 8] }, log: [1, 1, 4, 4, 5, 5, 6, 6, 8] },
  ])("takes $fields.terms after $fields.after: the log is $log then", ({ fields, log }) => {
    const node = new TestNode({ entries: logOf(own) });
    expect(node.append(appendEntries(fields))).toEqual(success(8));
    expect(node.terms).toEqual(log);
  });

  test("at a conflict the rest goes, and terms never go backwards (original bug 6)", () => {
    const node = new TestNode({ entries: logOf([1, 2, 2, 2, 2]) });
    node.append(appendEntries({ term: 3, after: [1, 1], terms: [3] }));
    expect(node.terms).toEqual([1, 3]);
    node.append(appendEntries({ term: 3, after: [2, 3], terms: [3] }));
    expect(node.terms).toEqual([1, 3, 3]);
  });

  test("a late AppendEntries never removes what was acknowledged after it", () => {
    const node = new TestNode();
    node.append(appendEntries({ term: 1, terms: [1, 1, 1, 1] }));
    node.append(appendEntries({ term: 1, after: [4, 1], terms: [1, 1] }));
    for (const late of [
      appendEntries({ term: 1, terms: [1] }),
      appendEntries({ term: 1, terms: [1, 1, 1, 1] }),
      appendEntries({ term: 1, after: [2, 1], terms: [1] }),
      appendEntries({ term: 1 }),
    ]) {
      expect(node.append(late)).toEqual(success(1));
      expect(node.terms).toEqual([1, 1, 1, 1, 1, 1]);
    }
  });

  test("a heartbeat acknowledges only what it names", () => {
    const node = new TestNode({ entries: logOf([1, 1, 1]) });
    node.append(appendEntries({ term: 2, after: [1, 1], commit: 3 }));
    expect(node.core.log.commitIndex).toBe(1);
  });

  test.each([
    { commit: 1, to: 1 },
    { commit: 2, to: 2 },
    { commit: 3, to: 3 },
    { commit: 9, to: 3 },
  ])("commit is min(leaderCommit $commit, last index of this request): $to (bug 8)", (row) => {
    const node = new TestNode({ entries: logOf([1, 1, 1, 1, 1]) });
    node.append(appendEntries({ term: 2, after: [2, 1], terms: [1], commit: row.commit }));
    expect(node.core.log.commitIndex).toBe(row.to);
  });

  test("commit never moves back", () => {
    const node = new TestNode({ entries: logOf([1, 1, 1]) });
    node.append(appendEntries({ term: 1, after: [3, 1], commit: 3 }));
    node.append(appendEntries({ term: 1, after: [3, 1], commit: 1 }));
    expect(node.core.log.commitIndex).toBe(3);
    expect(node.ready().commitIndex).toBe(0);
  });

  test("entries that contradict what is committed are refused, and stop nothing", () => {
    const node = new TestNode({ entries: logOf([2, 2]) });
    node.append(appendEntries({ term: 2, after: [2, 2], commit: 2 }));
    const reply = node.append(appendEntries({ term: 3, after: [1, 1], terms: [1, 1] }));
    expect(reply.success).toBe(false);
    expect(node.terms).toEqual([2, 2]);
  });

  test("what lies before the snapshot is skipped, not fatal (original bug 7)", () => {
    const node = new TestNode({ snapshot: { index: 5, term: 2 }, entries: logOf([2, 2], 6) });
    const request = appendEntries({ term: 3, after: [3, 1], terms: [1, 2, 2, 2, 3], commit: 8 });
    expect(node.append(request)).toEqual(success(3));
    expect(node.terms).toEqual([2, 2, 3]);
    expect(node.core.log.commitIndex).toBe(8);
    expect(node.append(appendEntries({ term: 3, after: [1, 1], terms: [1] }))).toEqual(success(3));
    expect(node.terms).toEqual([2, 2, 3]);
  });
});

describe("AppendEntries, leader (Raft §5.3)", () => {
  test("proposals go to all followers at once, after what they have (original bug 13)", () => {
    const node = new TestNode().electAndSync();
    expect(node.propose("a", "b")).toBe(3);
    const sent = node.appends();
    expect(sent.map(({ to }) => to)).toEqual([1, 2]);
    for (const { request } of sent) {
      expect([request.prevLogIndex, request.prevLogTerm]).toEqual([1, 1]);
      expect(request.entries.map(({ index, term }) => [index, term])).toEqual([
        [2, 1],
        [3, 1],
      ]);
    }
    expect(sent[0]!.request.entries).toBe(sent[1]!.request.entries);
  });

  test("what was sent is not sent again at the next heartbeat (original bug 13)", () => {
    const node = new TestNode().electAndSync();
    node.propose("a");
    node.appends();
    node.elapse(heartbeatMs);
    expect(node.appends().map(({ request }) => request.entries)).toEqual([[], []]);
  });

  test("an entry is sent while the leader's own disk still writes it", () => {
    const node = new TestNode().electAndSync();
    node.propose("a");
    const ready = node.ready();
    expect(ready.requests).toHaveLength(2);
    expect(ready.requestsAfterPersist).toEqual([]);
    expect(ready.entries.map(({ index }) => index)).toEqual([2]);
  });

  test("only a leader takes proposals", () => {
    const node = new TestNode();
    expect(node.core.propose([new Uint8Array(1)])).toEqual({ outcome: "notLeader" });
    node.campaign();
    expect(node.core.propose([new Uint8Array(1)])).toEqual({ outcome: "notLeader" });
  });

  test("another leader in its own term is refused: there can't be one", () => {
    const node = new TestNode().electAndSync();
    expect(node.append(appendEntries({ term: 1, from: 2 })).success).toBe(false);
    expect(node.core.role).toBe("leader");
  });

  test("a follower behind is found by UpdateNextIndex, and gets all it lacks", () => {
    const node = new TestNode({ entries: logOf([1, 1, 1, 2, 2]) }).elect();
    const [probe] = node.appends();
    expect(probe!.request.prevLogIndex).toBe(5);
    node.core.appendEntriesReplied(1, probe!.context, mismatch(3, 3));
    const [next] = node.appends();
    expect([next!.request.prevLogIndex, next!.request.prevLogTerm]).toEqual([2, 1]);
    expect(next!.request.entries.map(({ index }) => index)).toEqual([3, 4, 5, 6]);
    node.acknowledge(next!);
    expect(node.core.followers()[0]).toMatchObject({ matchIndex: 6, state: "replicate" });
  });

  test.each([0, -100, 7, 1_000_000])("a hint of %s still leads back step by step", (hint) => {
    const node = new TestNode({ entries: logOf([1, 1, 1]) }).elect();
    const probed: number[] = [];
    for (let steps = 0; steps < 4; steps++) {
      const probe = node.appends().find(({ to }) => to === 1)!;
      probed.push(probe.request.prevLogIndex);
      node.core.appendEntriesReplied(1, probe.context, mismatch(2, hint));
    }
    expect(probed).toEqual([3, 2, 1, 0]);
  });
});

function leaderWithTwoSent(): { node: TestNode; sent: ReturnType<TestNode["appends"]> } {
  const node = new TestNode({ entries: logOf([1, 1, 1]) }).electAndSync();
  const sent: ReturnType<TestNode["appends"]> = [];
  for (const command of ["a", "b"]) {
    node.propose(command);
    sent.push(...node.appends().filter(({ to }) => to === 1));
  }
  return { node, sent };
}

describe("stale replies change nothing (original bug 17)", () => {
  test("a reply to a request of an earlier term", () => {
    const node = new TestNode().elect();
    const [old] = node.appends();
    node.append(appendEntries({ term: 2, from: 2, terms: [2, 2, 2] }));
    node.elect();
    expect(node.core.term).toBe(3);
    const before = node.core.followers();
    node.core.appendEntriesReplied(1, old!.context, success(3));
    node.core.appendEntriesReplied(1, old!.context, success(1));
    node.core.appendEntriesReplied(1, old!.context, mismatch(3, 1));
    expect(node.core.followers()).toEqual(before);
  });

  test("a success that a later one overtook", () => {
    const { node, sent } = leaderWithTwoSent();
    node.acknowledge(sent[1]!);
    const [before] = node.core.followers();
    node.acknowledge(sent[0]!);
    expect(node.core.followers()[0]).toEqual(before);
    expect(before).toMatchObject({ matchIndex: 6, nextIndex: 7 });
  });

  test("a refusal of what was acknowledged meanwhile", () => {
    const { node, sent } = leaderWithTwoSent();
    node.acknowledge(sent[1]!);
    const [before] = node.core.followers();
    node.core.appendEntriesReplied(1, sent[0]!.context, mismatch(2, 1));
    expect(node.core.followers()[0]).toEqual(before);
  });

  test("a refusal of an earlier probe", () => {
    const node = new TestNode({ entries: logOf([1, 1, 1, 1, 1]) }).elect();
    const first = node.appends()[0]!;
    node.core.appendEntriesReplied(1, first.context, mismatch(2, 3));
    const second = node.appends()[0]!;
    expect(second.request.prevLogIndex).toBe(2);
    node.core.appendEntriesReplied(1, first.context, mismatch(2, 1));
    expect(node.appends()).toEqual([]);
    node.acknowledge(second);
    expect(node.core.followers()[0]).toMatchObject({ matchIndex: 6, nextIndex: 7 });
  });

  test("anything, after leadership is lost", () => {
    const { node, sent } = leaderWithTwoSent();
    node.vote(requestVote(9, 2, [9, 9], { leadershipTransfer: true }));
    node.acknowledge(sent[1]!);
    node.core.appendEntriesFailed(1, sent[0]!.context);
    expect([node.core.role, node.core.followers()]).toEqual(["follower", []]);
    expect(node.core.log.commitIndex).toBe(4);
  });
});
