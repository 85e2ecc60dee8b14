import { describe, expect, test } from "vitest";
import { entryOverheadBytes } from "../../../raft/core/index.js";
import { TestNode, appendsOf, heartbeatMs, logOf, mismatch, type Setup } from "./harness.js";

/** Leads two nodes; the follower replicates, with nothing on its way. */
function leader(setup: Setup = {}): TestNode {
  return new TestNode({ clusterSize: 2, ...setup }).electAndSync();
}

function indexesOf(node: TestNode): number[][] {
  return node.appends().map(({ request }) => request.entries.map(({ index }) => index));
}

describe("a follower of unknown state is probed", () => {
  test("one request at a time, until one matches", () => {
    const node = new TestNode({ clusterSize: 2, entries: logOf([1, 1, 1]) }).elect();
    const [probe] = node.appends();
    node.core.appendEntriesReplied(1, probe!.context, mismatch(2, 2));
    const [second] = node.appends();
    expect(second!.request.entries.map(({ index }) => index)).toEqual([2, 3, 4]);
    expect(node.core.followers()[0]!.state).toBe("probe");
    expect(node.appends()).toEqual([]);
    node.acknowledge(second!);
    expect(node.core.followers()[0]!.state).toBe("replicate");
  });

  test("heartbeats go on meanwhile, and their answers prove nothing", () => {
    const node = new TestNode({ clusterSize: 2, entries: logOf([1, 1, 1]) }).elect();
    node.appends();
    node.elapse(heartbeatMs);
    const [beat] = node.appends();
    expect([beat!.request.prevLogIndex, beat!.request.entries]).toEqual([0, []]);
    node.acknowledge(beat!);
    expect(node.core.followers()[0]).toMatchObject({ state: "probe", matchIndex: 0 });
    expect(node.appends()).toEqual([]);
  });
});

describe("a follower that matches gets a pipeline", () => {
  test("requests follow each other without waiting for answers", () => {
    const node = leader();
    for (const [at, command] of ["a", "b", "c"].entries()) {
      node.propose(command);
      expect(indexesOf(node)).toEqual([[2 + at]]);
    }
  });

  test("up to inflightMax; each answer makes room for one", () => {
    const node = leader({ inflightMax: 2, appendEntriesMax: 1 });
    node.propose("a", "b", "c", "d", "e");
    const sent = node.appends();
    expect(sent.map(({ context }) => context.lastIndex)).toEqual([2, 3]);
    node.acknowledge(sent[0]!);
    expect(indexesOf(node)).toEqual([[4]]);
    expect(indexesOf(node)).toEqual([]);
  });

  test("up to inflightBytesMax", () => {
    const bytes = 1 + entryOverheadBytes;
    const node = leader({ inflightBytesMax: 2 * bytes, appendEntriesMax: 1 });
    node.propose("a", "b", "c", "d");
    const sent = node.appends();
    expect(sent.map(({ context }) => context.bytes)).toEqual([bytes, bytes]);
    node.acknowledge(sent[1]!);
    expect(indexesOf(node)).toEqual([[4]]);
  });

  test("and no further than the leader's own disk follows", () => {
    const bytes = 1 + entryOverheadBytes;
    const node = leader({ clusterSize: 3, inflightBytesMax: 2 * bytes });
    const sent: (number | undefined)[][] = [];
    const step = (command: string): void => {
      node.propose(command);
      const appends = appendsOf(node.ready());
      sent.push(appends.map(({ request }) => request.entries.at(-1)?.index));
      for (const append of appends) node.acknowledge(append);
    };
    // Two saves under way are not over the limit; the third is.
    for (const command of ["a", "b", "c", "d", "e"]) step(command);
    expect(sent).toEqual([[2, 2], [3, 3], [4, 4], [], []]);
    expect(node.core.log.durableIndex).toBe(1);
    expect(node.core.log.commitIndex).toBe(4);
    node.persist();
    expect(appendsOf(node.ready()).map(({ context }) => context.lastIndex)).toEqual([6, 6]);
  });

  test("requests hold at most appendEntriesMax entries", () => {
    const node = leader({ appendEntriesMax: 2 });
    node.propose("a", "b", "c", "d", "e");
    expect(indexesOf(node)).toEqual([[2, 3], [4, 5], [6]]);
  });

  test("and appendBytesMax bytes, but a larger entry goes alone", () => {
    const node = leader({ appendBytesMax: 2 * (1 + entryOverheadBytes) });
    node.propose("a", "b", "c", "x".repeat(1000), "d");
    expect(indexesOf(node)).toEqual([[2, 3], [4], [5], [6]]);
  });

  test("a refusal, of a follower that lost it or a request that came out of order, probes", () => {
    const node = leader();
    node.propose("a");
    const [first] = node.appends();
    node.propose("b");
    const [second] = node.appends();
    node.core.appendEntriesReplied(1, second!.context, mismatch(1, 2));
    expect(indexesOf(node)).toEqual([[2, 3]]);
    expect(node.core.followers()[0]!.state).toBe("probe");
    node.acknowledge(first!);
    expect(node.core.followers()[0]!.matchIndex).toBe(2);
  });

  test("what came before the request in front of it is sent again, in whatever order the answers come", () => {
    const node = leader();
    node.propose("a");
    const [first] = node.appends();
    node.propose("b");
    const [second] = node.appends();
    // The second arrived first and was refused; its answer comes last, when it would match.
    node.acknowledge(first!);
    node.core.appendEntriesReplied(1, second!.context, mismatch(1, 2));
    node.elapse(heartbeatMs);
    expect(indexesOf(node)).toEqual([[3]]);
  });

  test("a follower that refuses what it had acknowledged is asked once each heartbeat", () => {
    const node = leader();
    node.propose("a");
    let [sent] = node.appends();
    for (let beats = 0; beats < 5; beats++) {
      expect(sent!.context.lastIndex).toBe(2);
      node.core.appendEntriesReplied(1, sent!.context, mismatch(1, 1));
      expect(node.appends()).toEqual([]);
      node.elapse(heartbeatMs);
      [sent] = node.appends();
    }
  });

  test("answers to requests that were given up free no room in the window", () => {
    const node = leader({ inflightMax: 2, appendEntriesMax: 1 });
    node.propose("a", "b", "c", "d", "e", "f");
    const given = node.appends();
    node.core.appendEntriesFailed(1, given[0]!.context);
    node.elapse(heartbeatMs);
    const [probe] = node.appends();
    node.acknowledge(probe!);
    const window = node.appends();
    expect(window.length).toBe(2);
    node.acknowledge(given[1]!);
    expect(indexesOf(node)).toEqual([]);
  });
});

describe("a follower that fails is not hammered", () => {
  test("one attempt each heartbeat, however much is proposed", () => {
    const node = leader();
    node.propose("a");
    for (let beats = 0; beats < 5; beats++) {
      const sent = node.appends();
      expect(sent).toHaveLength(1);
      node.core.appendEntriesFailed(1, sent[0]!.context);
      node.propose("b", "c");
      expect(node.appends()).toEqual([]);
      node.elapse(heartbeatMs);
    }
  });

  test("what failed is sent again, all of it", () => {
    const node = leader();
    node.propose("a");
    const [first] = node.appends();
    node.propose("b");
    node.appends();
    node.core.appendEntriesFailed(1, first!.context);
    node.elapse(heartbeatMs);
    expect(indexesOf(node)).toEqual([[2, 3]]);
  });

  test("a heartbeat that fails does not lose the place of the probe that is out", () => {
    const node = new TestNode({ clusterSize: 2, entries: logOf([1, 1]) }).elect();
    const [probe] = node.appends();
    node.elapse(heartbeatMs);
    const [beat] = node.appends();
    node.core.appendEntriesFailed(1, beat!.context);
    node.elapse(heartbeatMs);
    expect(indexesOf(node)).toEqual([[]]);
    node.acknowledge(probe!);
    expect(node.core.followers()[0]).toMatchObject({ state: "replicate", matchIndex: 3 });
  });

  test("it comes back to the pipeline with its first answer", () => {
    const node = leader();
    node.propose("a");
    node.core.appendEntriesFailed(1, node.appends()[0]!.context);
    node.elapse(heartbeatMs);
    node.sync();
    node.propose("b");
    node.appends();
    node.propose("c");
    expect(indexesOf(node)).toEqual([[4]]);
  });
});

describe("bytes that wait for commitment are bounded", () => {
  const bytes = 10 + entryOverheadBytes;
  const command = "0123456789";

  test("beyond uncommittedBytesMax proposals are refused whole, until some commit", () => {
    const node = leader({ uncommittedBytesMax: 3 * bytes });
    node.propose(command, command);
    expect(node.core.propose([new Uint8Array(10), new Uint8Array(10)])).toEqual({
      outcome: "overloaded",
    });
    expect(node.core.log.lastIndex).toBe(3);
    node.propose(command);
    expect(node.core.propose([new Uint8Array(0)])).toEqual({ outcome: "overloaded" });
    node.sync();
    expect(node.propose(command, command, command)).toBe(7);
  });

  test("one larger than the bound passes when nothing waits", () => {
    const node = leader({ uncommittedBytesMax: bytes });
    node.propose(command.repeat(100));
    expect(node.core.propose([new Uint8Array(1)])).toEqual({ outcome: "overloaded" });
    node.sync();
    node.propose(command.repeat(100));
  });

  test("what a former leader left uncommitted is not counted", () => {
    const node = new TestNode({
      clusterSize: 2,
      entries: logOf([1, 1, 1]),
      uncommittedBytesMax: bytes,
    }).elect();
    node.propose(command);
    expect(node.core.propose([new Uint8Array(1)])).toEqual({ outcome: "overloaded" });
    node.sync();
    node.propose(command);
    expect(appendsOf(node.settle())).toHaveLength(1);
  });
});
