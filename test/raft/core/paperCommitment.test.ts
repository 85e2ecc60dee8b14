import { describe, expect, test } from "vitest";
import { TestNode, appendEntries, heartbeatMs, logOf, mismatch } from "./harness.js";

describe("commitment (Raft §5.3, §5.4)", () => {
  test.each([
    { size: 1, matches: [], commit: 4 },
    { size: 2, matches: [0], commit: 1 },
    { size: 2, matches: [3], commit: 3 },
    { size: 3, matches: [0, 3], commit: 3 },
    { size: 4, matches: [0, 2, 3], commit: 2 },
    { size: 5, matches: [0, 0, 2, 4], commit: 2 },
    { size: 5, matches: [2, 2, 2, 2], commit: 2 },
  ])("of $size nodes, with followers at $matches, $commit is committed", (row) => {
    // One entry a request, so that a follower can stop anywhere.
    const node = new TestNode({ clusterSize: row.size, appendEntriesMax: 1 });
    node.elect();
    if (row.size > 1) node.sync();
    node.propose("a", "b", "c");
    for (const append of node.appends())
      if (append.context.lastIndex <= row.matches[append.to - 1]!) node.acknowledge(append);
    node.settle();
    expect(node.core.log.commitIndex).toBe(row.commit);
  });

  test("one follower's acknowledgement counts once, however often it comes (bug 9)", () => {
    const node = new TestNode({ clusterSize: 5 }).electAndSync();
    node.propose("a");
    const sent = node.appends();
    for (let times = 0; times < 5; times++) node.acknowledge(sent[0]!);
    expect(node.core.log.commitIndex).toBe(1);
    node.acknowledge(sent[1]!);
    expect(node.core.log.commitIndex).toBe(2);
  });

  test("heartbeats that are answered commit nothing", () => {
    const node = new TestNode().electAndSync();
    node.propose("a");
    node.appends();
    node.elapse(heartbeatMs);
    for (const beat of node.appends()) node.acknowledge(beat);
    expect(node.core.log.commitIndex).toBe(1);
  });

  test("Figure 8: an entry of an older term is not committed by counting", () => {
    // S1 of the figure, leader of term 4 after it led term 2; entry 2 is of term 2.
    const node = new TestNode({
      clusterSize: 5,
      entries: logOf([1, 2]),
      hardState: { term: 3, votedFor: -1 },
      appendEntriesMax: 1,
    }).elect();
    expect(node.terms).toEqual([1, 2, 4]);
    // Followers 1 and 2 get entry 2 and stop there: a majority of five has it.
    for (const probe of node.appends().filter(({ to }) => to <= 2))
      node.core.appendEntriesReplied(probe.to, probe.context, mismatch(4, 2));
    for (const append of node.appends()) {
      expect(append.context.lastIndex).toBe(2);
      node.acknowledge(append);
    }
    expect(node.core.followers().filter(({ matchIndex }) => matchIndex === 2)).toHaveLength(2);
    expect(node.core.log.commitIndex).toBe(0);
    // With entry 3, of its own term, on a majority, all are committed (§5.4.2).
    for (const append of node.appends().filter(({ to }) => to <= 2)) node.acknowledge(append);
    expect(node.core.log.commitIndex).toBe(3);
  });

  test("followers learn of it with the next request, and not beyond what they have", () => {
    const node = new TestNode().electAndSync();
    node.propose("a");
    node.sync([1]);
    expect(node.core.log.commitIndex).toBe(2);
    node.elapse(heartbeatMs);
    const sent = node
      .appends()
      .map(({ to, request }) => [to, request.prevLogIndex, request.leaderCommit]);
    expect(sent).toEqual([
      [1, 2, 2],
      [2, 1, 2],
    ]);
  });

  test("a leader's own entries may be committed by others before its disk has them", () => {
    const node = new TestNode().electAndSync();
    node.propose("a");
    for (const out of node.ready().requests) if ("context" in out) node.acknowledge(out);
    expect(node.core.log.durableIndex).toBe(1);
    expect(node.core.log.commitIndex).toBe(2);
  });

  test("the leader's own disk is one vote, when it is done and not before", () => {
    const node = new TestNode().electAndSync();
    node.propose("a");
    for (const out of node.ready().requests)
      if ("context" in out && out.to === 1) node.acknowledge(out);
    expect(node.core.log.commitIndex).toBe(1);
    node.persist();
    expect(node.core.log.commitIndex).toBe(2);
  });

  test("a single node commits when its disk is done", () => {
    const node = new TestNode({ clusterSize: 1 });
    node.elapse(0);
    node.settle();
    node.propose("a");
    node.ready();
    expect(node.core.log.commitIndex).toBe(1);
    node.persist();
    expect(node.core.log.commitIndex).toBe(2);
  });

  test("a lost leader's uncommitted entries give way to its successor's", () => {
    const node = new TestNode().electAndSync();
    node.propose("a", "b");
    node.settle();
    const reply = node.append(appendEntries({ term: 2, after: [1, 1], terms: [2], commit: 2 }));
    expect(reply.success).toBe(true);
    expect([node.terms, node.core.log.commitIndex]).toEqual([[1, 2], 2]);
  });
});
