import { describe, expect, test } from "vitest";
import {
  TestNode,
  appendEntries,
  granted,
  logOf,
  mismatch,
  requestVote,
  success,
  voteRequestsOf,
} from "./harness.js";

/** What leaves with a `Ready`: at once, and once its save is durable. */
function replies(node: TestNode): { now: unknown[]; later: unknown[] } {
  const ready = node.ready();
  return {
    now: ready.replies.map(({ reply }) => reply),
    later: ready.repliesAfterPersist.map(({ reply }) => reply),
  };
}

describe("on disk before the reply that reveals it (Raft Figure 2)", () => {
  test("a vote waits", () => {
    const node = new TestNode();
    node.core.requestVote(requestVote(1, 1), 1);
    const ready = node.ready();
    expect(ready.hardState).toEqual({ term: 1, votedFor: 1 });
    expect(ready.replies).toEqual([]);
    expect(ready.repliesAfterPersist).toEqual([{ replyTo: 1, reply: granted(requestVote(1, 1)) }]);
  });

  test("a refused vote waits too, when it reveals a term that is new", () => {
    const node = new TestNode({ entries: logOf([1]) });
    node.core.requestVote(requestVote(5, 1), 1);
    expect(replies(node).later).toHaveLength(1);
    node.core.requestVote(requestVote(5, 2), 2);
    expect(replies(node)).toMatchObject({ now: [], later: [{ term: 5 }] });
    node.persist();
    node.core.requestVote(requestVote(5, 2), 3);
    expect(replies(node)).toMatchObject({ now: [{ term: 5 }], later: [] });
  });

  test("acknowledged entries wait", () => {
    const node = new TestNode({ hardState: { term: 1, votedFor: -1 } });
    node.core.appendEntries(appendEntries({ term: 1, terms: [1, 1] }), 1);
    expect(replies(node)).toEqual({ now: [], later: [success(1)] });
  });

  test("an acknowledgement waits while the save is under way, though it has none of its own", () => {
    const node = new TestNode({ hardState: { term: 1, votedFor: -1 } });
    node.core.appendEntries(appendEntries({ term: 1, terms: [1, 1] }), 1);
    node.ready();
    node.core.appendEntries(appendEntries({ term: 1, terms: [1, 1] }), 2);
    const ready = node.ready();
    expect([ready.saveId, ready.replies, ready.repliesAfterPersist.length]).toEqual([0, [], 1]);
    node.core.appendEntries(appendEntries({ term: 1, after: [2, 1] }), 3);
    expect(replies(node).later).toHaveLength(1);
    node.persist();
    node.core.appendEntries(appendEntries({ term: 1, after: [2, 1] }), 4);
    expect(replies(node).now).toEqual([success(1)]);
  });

  test("what reveals nothing unsaved leaves at once: it may confirm a read", () => {
    const node = new TestNode({ entries: logOf([1, 1]), hardState: { term: 1, votedFor: -1 } });
    node.core.appendEntries(appendEntries({ term: 1, after: [2, 1], terms: [1] }), 1);
    node.ready();
    node.core.appendEntries(appendEntries({ term: 1, after: [1, 1] }), 2);
    node.core.appendEntries(appendEntries({ term: 1, after: [9, 1] }), 3);
    expect(replies(node)).toEqual({ now: [success(1), mismatch(1, 4)], later: [] });
  });

  test("a candidate's requests wait for its own vote", () => {
    const node = new TestNode();
    node.campaign();
    const ready = node.ready();
    expect(ready.requests).toEqual([]);
    expect(voteRequestsOf({ requests: ready.requestsAfterPersist })).toHaveLength(2);
  });

  test("a candidate's own vote counts when it is on disk, and not before", () => {
    const node = new TestNode();
    node.campaign();
    const requests = voteRequestsOf({ requests: node.ready().requestsAfterPersist });
    const { to, request } = requests[0]!;
    node.core.requestVoteReplied(to, request, granted(request));
    expect(node.core.role).toBe("candidate");
    node.persist();
    expect(node.core.role).toBe("leader");
  });

  test("a newer term that arrives with a reply is saved", () => {
    const node = new TestNode().electAndSync();
    node.propose("a");
    const [append] = node.appends();
    node.core.appendEntriesReplied(1, append!.context, mismatch(6, -100));
    expect(node.ready().hardState).toEqual({ term: 6, votedFor: -1 });
  });
});

describe("saves under way", () => {
  test("entries that were truncated and rewritten meanwhile wait for the new save (ABA)", () => {
    const node = new TestNode({ hardState: { term: 1, votedFor: -1 } });
    node.core.appendEntries(appendEntries({ term: 1, terms: [1, 1, 1] }), 1);
    const first = node.ready();
    node.core.appendEntries(appendEntries({ term: 2, from: 2, terms: [1, 2] }), 2);
    const second = node.ready();
    node.core.appendEntries(appendEntries({ term: 3, terms: [1, 1, 1] }), 3);
    const third = node.ready();
    expect(third.entries.map(({ index, term }) => [index, term])).toEqual([
      [2, 1],
      [3, 1],
    ]);
    node.core.persisted(first.saveId);
    // The disk has 2 and 3 of term 1, and will overwrite them with those of term 2.
    expect(node.core.log.durableIndex).toBe(1);
    node.core.persisted(second.saveId);
    expect(node.core.log.durableIndex).toBe(1);
    node.core.persisted(third.saveId);
    expect(node.core.log.durableIndex).toBe(3);
  });

  test("a save that is done covers those before it", () => {
    const node = new TestNode({ clusterSize: 1 });
    node.elapse(0);
    node.settle();
    node.propose("a");
    node.ready();
    node.propose("b");
    const { saveId } = node.ready();
    node.core.persisted(saveId);
    expect(node.core.log.commitIndex).toBe(3);
  });

  test("each entry is handed out once", () => {
    const node = new TestNode({ clusterSize: 1 });
    node.elapse(0);
    node.settle();
    const handedOut = ["a", "b", "c"].flatMap((command) => {
      node.propose(command);
      return node.ready().entries.map(({ index }) => index);
    });
    expect(handedOut).toEqual([2, 3, 4]);
  });

  test("a report of a save that was never handed out, or of one a second time, is our own bug", () => {
    const node = new TestNode();
    expect(() => node.core.persisted(1)).toThrow("save 1");
    node.vote(requestVote(1, 1));
    expect(() => node.core.persisted(1)).toThrow("save 1");
  });
});

test("without input there is no output", () => {
  const node = new TestNode().electAndSync();
  expect(node.core.hasReady()).toBe(false);
  expect(node.core.ready()).toBeNull();
});
