import { describe, expect, test } from "vitest";
import {
  TestNode,
  appendEntries,
  appendsOf,
  electionTimeoutMsMax,
  heartbeatMs,
  logOf,
  mismatch,
  requestVote,
} from "./harness.js";

describe("linearizable reads by ReadIndex (thesis §6.4)", () => {
  test("one round of heartbeats, at once, confirms it", () => {
    const node = new TestNode().electAndSync();
    const round = node.core.requestRead();
    const ready = node.ready();
    expect(ready.reads).toEqual([]);
    const beats = appendsOf(ready);
    expect(beats.map(({ to, request }) => [to, request.entries.length])).toEqual([
      [1, 0],
      [2, 0],
    ]);
    node.acknowledge(beats[0]!);
    expect(node.ready().reads).toEqual([{ round, index: 1 }]);
  });

  test("a majority must answer", () => {
    const node = new TestNode({ clusterSize: 5 }).electAndSync();
    node.core.requestRead();
    const beats = node.appends();
    node.acknowledge(beats[0]!);
    node.acknowledge(beats[0]!);
    expect(node.settle().reads).toEqual([]);
    node.acknowledge(beats[1]!);
    expect(node.settle().reads).toHaveLength(1);
  });

  test("answers to requests that left before it was asked for confirm nothing", () => {
    const node = new TestNode().electAndSync();
    node.elapse(heartbeatMs);
    const before = node.appends();
    node.core.requestRead();
    const after = node.appends();
    for (const beat of before) node.acknowledge(beat);
    expect(node.settle().reads).toEqual([]);
    node.acknowledge(after[1]!);
    expect(node.settle().reads).toHaveLength(1);
  });

  test("it is read at what was committed when its round began", () => {
    const node = new TestNode().electAndSync();
    node.propose("a");
    node.sync();
    const round = node.core.requestRead();
    node.settle();
    node.propose("b");
    node.acknowledge(node.appends()[0]!);
    const ready = node.settle();
    expect([ready.commitIndex, ready.reads]).toEqual([3, [{ round, index: 2 }]]);
  });

  test("entries confirm it as well as heartbeats", () => {
    const node = new TestNode().electAndSync();
    const round = node.core.requestRead();
    node.propose("a");
    const sent = node.appends();
    expect(sent).toHaveLength(2);
    expect(sent[0]!.request.entries).toHaveLength(1);
    node.acknowledge(sent[0]!);
    expect(node.settle().reads).toEqual([{ round, index: 1 }]);
  });

  test("a refusal confirms it too: the follower is in this term", () => {
    const node = new TestNode({ entries: logOf([1, 1]) }).elect();
    node.settle();
    node.core.requestRead();
    const [beat] = node.appends();
    node.core.appendEntriesReplied(1, beat!.context, mismatch(2, 1));
    expect(node.settle().reads).toHaveLength(1);
  });

  test("before an entry of the term is committed, it waits for the one that opened the term", () => {
    const node = new TestNode({ entries: logOf([1, 1, 1]) }).elect();
    node.settle();
    const round = node.core.requestRead();
    const beats = node.appends();
    for (const beat of beats) node.acknowledge(beat);
    expect(node.core.log.commitIndex).toBe(0);
    expect(node.settle().reads).toEqual([{ round, index: 4 }]);
  });

  test("reads that come while a round is out share the next one", () => {
    const node = new TestNode().electAndSync();
    const first = node.core.requestRead();
    const beats = node.appends();
    const rounds = [1, 2, 3].map(() => node.core.requestRead());
    expect(rounds).toEqual([first + 1, first + 1, first + 1]);
    expect(node.appends()).toEqual([]);
    node.acknowledge(beats[0]!);
    const ready = node.settle();
    expect(ready.reads).toEqual([{ round: first, index: 1 }]);
    const next = appendsOf(ready);
    expect(next).toHaveLength(2);
    node.acknowledge(next[1]!);
    expect(node.settle().reads).toEqual([{ round: first + 1, index: 1 }]);
  });

  test("a round whose requests were lost goes out again with the heartbeats", () => {
    const node = new TestNode().electAndSync();
    node.core.requestRead();
    for (const { to, context } of node.appends()) node.core.appendEntriesFailed(to, context);
    node.elapse(heartbeatMs);
    const [beat] = node.appends();
    node.acknowledge(beat!);
    expect(node.settle().reads).toHaveLength(1);
  });

  test("a single node confirms it by itself", () => {
    const node = new TestNode({ clusterSize: 1 });
    node.elapse(0);
    node.settle();
    const round = node.core.requestRead();
    expect(node.settle().reads).toEqual([{ round, index: 1 }]);
  });

  test("a node that does not lead takes none", () => {
    const node = new TestNode();
    expect(node.core.requestRead()).toBe(0);
    node.campaign();
    expect(node.core.requestRead()).toBe(0);
  });
});

describe("reads that can't be confirmed any more", () => {
  test("are told lost when a newer leader comes, and late answers don't revive them", () => {
    const node = new TestNode().electAndSync();
    node.core.requestRead();
    const beats = node.appends();
    node.core.appendEntries(appendEntries({ term: 2, from: 2 }), 1);
    expect(node.ready()).toMatchObject({ readsLost: true, reads: [] });
    for (const beat of beats) node.acknowledge(beat);
    expect(node.settle().reads).toEqual([]);
  });

  test("are told lost when the leader finds no majority", () => {
    const node = new TestNode().electAndSync();
    node.core.requestRead();
    node.settle();
    node.elapse(electionTimeoutMsMax);
    expect(node.ready().readsLost).toBe(true);
  });

  test("are told lost when it votes for its successor", () => {
    const node = new TestNode().electAndSync();
    node.core.requestRead();
    node.core.requestVote(requestVote(2, 2, [1, 1], { leadershipTransfer: true }), 1);
    expect(node.ready().readsLost).toBe(true);
  });

  test("an answer in a newer term loses them rather than confirming them", () => {
    const node = new TestNode().electAndSync();
    node.core.requestRead();
    const [beat] = node.appends();
    node.core.appendEntriesReplied(1, beat!.context, mismatch(2, -100));
    expect(node.ready()).toMatchObject({ readsLost: true, reads: [] });
  });
});
