import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { entryOverheadBytes } from "../../../raft/core/index.js";
import {
  appendEntries,
  heartbeatMs,
  logOf,
  mismatch,
  refused,
  requestVote,
  success,
  TestNode,
  voteRequestsOf,
  type OutgoingAppend,
} from "./harness.js";
import { Prng } from "../../sim/prng.js";
import { ElectionCluster } from "./originalElections.js";
import { OriginalFollower } from "./originalFollower.js";

/** A leader whose followers may be nodes of the original. */

function leader(terms: readonly number[] = [], setup = {}): TestNode {
  return new TestNode({ mixed: true, inflightMax: 1, entries: logOf(terms), ...setup }).elect();
}

const to = (sent: readonly OutgoingAppend[], id: number): OutgoingAppend[] =>
  sent.filter((append) => append.to === id);

/** What goes to node 1 now: where it begins, how many entries, and the commit index. */
function sentTo1(node: TestNode): string[] {
  return to(node.appends(), 1).map(
    ({ request: { prevLogIndex, entries, leaderCommit } }) =>
      `${prevLogIndex}+${entries.length} c${leaderCommit}`,
  );
}

describe("one request is out to a follower at a time", () => {
  test("proposals wait for the answer, and heartbeats, too", () => {
    const node = leader();
    const [first] = to(node.appends(), 1);
    node.propose("a");
    node.propose("b");
    node.elapse(heartbeatMs);
    expect(sentTo1(node)).toEqual([]);
    node.core.appendEntriesReplied(1, first!.context, success(1));
    expect(sentTo1(node)).toEqual(["1+2 c1"]);
  });

  test("a read asks once the answer is there", () => {
    const node = leader();
    node.sync();
    node.propose("a");
    const [append] = to(node.appends(), 1);
    const round = node.core.requestRead();
    expect(sentTo1(node)).toEqual([]);
    node.core.appendEntriesReplied(1, append!.context, success(1));
    const [beat] = to(node.appends(), 1);
    expect(beat!.request).toMatchObject({ prevLogIndex: 2, entries: [] });
    node.core.appendEntriesReplied(1, beat!.context, success(1));
    expect(node.settle().reads).toEqual([{ round, index: 1 }]);
  });

  test("a batch has as many bytes as are allowed", () => {
    const node = leader([], { appendBytesMax: 3 * (1 + entryOverheadBytes) });
    node.sync();
    node.propose("a", "b", "c", "d", "e", "f", "g");
    const sizes: number[] = [];
    for (let [sent] = to(node.appends(), 1); sent !== undefined; [sent] = to(node.appends(), 1)) {
      sizes.push(sent.request.entries.length);
      node.acknowledge(sent);
    }
    expect(sizes).toEqual([3, 3, 1]);
  });
});

/** Of one entry with a command of one byte. */
const one = 1 + entryOverheadBytes;
const sizes = { appendBytesSafe: one, appendBytesMax: 40 * one };

/** Sizes of the batches to node 1, of which those with more than `most` entries are lost. */
function batches(node: TestNode, most: number): number[] {
  const seen: number[] = [];
  for (let i = 0; i < 60; i++) {
    const [sent] = to(node.appends(), 1);
    if (sent === undefined) {
      if (node.core.followers()[0]!.matchIndex === node.core.log.lastIndex) break;
      node.elapse(heartbeatMs);
      continue;
    }
    seen.push(sent.request.entries.length);
    if (sent.request.entries.length > most) node.core.appendEntriesFailed(sent.to, sent.context);
    // What is sent at the end of the log after a loss is refused down to where it goes on.
    else if (sent.request.prevLogIndex > node.core.followers()[0]!.matchIndex)
      node.core.appendEntriesReplied(
        1,
        sent.context,
        mismatch(1, node.core.followers()[0]!.matchIndex + 1),
      );
    else node.acknowledge(sent);
  }
  return seen.filter((size) => size > 0);
}

describe("a batch that may not come in one piece", () => {
  test("grows from what surely does", () => {
    const node = leader([], sizes);
    node.sync();
    node.propose(...Array.from({ length: 100 }, () => "x"));
    expect(batches(node, 100)).toEqual([2, 4, 8, 16, 32, 38]);
  });

  test("is smaller after one was lost, and the follower is brought up to date", () => {
    const node = leader([], sizes);
    node.sync();
    node.propose(...Array.from({ length: 100 }, () => "x"));
    const seen = batches(node, 10);
    expect(seen.slice(0, 8)).toEqual([2, 4, 8, 16, 1, 2, 4, 8]);
    expect(seen.filter((size) => size > 10).length).toBeLessThan(4);
    expect(node.core.followers()[0]!.matchIndex).toBe(node.core.log.lastIndex);
  });
});

test("a request names no commit index beyond its last entry: the original would commit what stands there", () => {
  const node = leader([1, 1, 1], { appendBytesMax: 1 });
  const [first, second] = node.appends();
  node.acknowledge(second!);
  expect(node.core.log.commitIndex).toBe(4);
  node.core.appendEntriesReplied(1, first!.context, mismatch(2, 2));
  expect(sentTo1(node)).toEqual(["1+1 c2"]);
});

describe("after a lost answer", () => {
  test("the probe begins at the leader's own end, and follows UpdateNextIndex down", () => {
    const node = leader([1, 1, 1]);
    const [sent] = to(node.appends(), 1);
    node.core.appendEntriesFailed(1, sent!.context);
    node.elapse(heartbeatMs);
    const [probe] = to(node.appends(), 1);
    expect(probe!.request).toMatchObject({ prevLogIndex: 4, entries: [] });
    node.core.appendEntriesReplied(1, probe!.context, mismatch(2, 2));
    expect(sentTo1(node)).toEqual(["1+3 c0"]);
  });

  test("so it is where all was well before", () => {
    const node = leader([1, 1, 1]);
    node.sync();
    node.propose("a");
    const [sent] = to(node.appends(), 1);
    node.core.appendEntriesFailed(1, sent!.context);
    node.elapse(heartbeatMs);
    expect(sentTo1(node)).toEqual(["5+0 c4"]);
  });

  test("nothing but probes goes out until one is answered", () => {
    const node = leader([1, 1, 1]);
    const [sent] = to(node.appends(), 1);
    node.core.appendEntriesFailed(1, sent!.context);
    node.propose("a");
    node.elapse(heartbeatMs);
    expect(sentTo1(node)).toHaveLength(1);
    node.elapse(heartbeatMs);
    expect(sentTo1(node)).toEqual([]);
  });
});

test("a follower that began anew is brought back from the start, while proposals go on", () => {
  const node = leader();
  node.sync();
  node.propose("a", "b");
  node.sync();
  const restarted = new OriginalFollower();
  for (let i = 0; i < 20; i++) {
    node.propose(`${i}`);
    for (const sent of node.appends()) {
      if (sent.to !== 1) node.acknowledge(sent);
      else node.core.appendEntriesReplied(1, sent.context, restarted.append(sent.request));
    }
    node.elapse(heartbeatMs);
  }
  expect(restarted.ended).toBe("");
  expect(restarted.lastIndex).toBeGreaterThan(20);
  expect(node.core.followers()[0]!.matchIndex).toBe(restarted.lastIndex);
});

test("while a follower waits for a snapshot, its heartbeats are at the end of the log", () => {
  const node = leader([1, 1, 1, 1]);
  const [first, second] = node.appends();
  node.acknowledge(second!);
  node.core.compact(4);
  node.core.appendEntriesReplied(1, first!.context, mismatch(2, 2));
  expect(node.settle().snapshots).toEqual([{ to: 1, term: 2 }]);
  node.elapse(heartbeatMs);
  expect(sentTo1(node)).toEqual(["5+0 c5"]);
});

function joining(): TestNode {
  const node = new TestNode({ hardState: { term: 0, votedFor: -1, joining: true } });
  node.elapse(0);
  return node;
}

function hear(node: TestNode, terms: readonly number[]): void {
  const asked = voteRequestsOf(node.settle());
  for (const { to: peer, request } of asked)
    node.core.requestVoteReplied(peer, request, refused(terms[peer - 1]!));
}

const request = (after: readonly [number, number], terms: readonly number[]) => ({
  ...appendEntries({ term: 3, after, terms }),
  byOriginal: true,
});

describe("a node that has forgotten what it had joins under a leader of the original", () => {
  test("not before all others have told their terms", () => {
    const node = joining();
    expect(node.append(request([0, 0], [3]))).toMatchObject({ success: true });
    expect(node.core.isJoining).toBe(true);
    expect(node.append(request([1, 3], [])).joining).toBeDefined();
  });

  test("by going back for what it lacks, and votes when it has all of it", () => {
    const node = joining();
    hear(node, [3, 2]);
    const refusal = node.append(request([2, 3], [3]));
    expect(refusal).toEqual(mismatch(3, 1));
    expect(node.core.isJoining).toBe(true);
    expect(node.append(request([0, 0], [3, 3, 3]))).toEqual(success(3));
    expect(node.core.isJoining).toBe(false);
    expect(node.vote(requestVote(3, 2, [9, 3])).voteGranted).toBe(false);
  });

  test("not under one that a later leader has replaced", () => {
    const node = joining();
    hear(node, [3, 4]);
    expect(node.append(request([0, 0], [3]))).toMatchObject({ success: false, term: 4 });
    expect(node.core.isJoining).toBe(true);
  });
});

/** What a node of the original tells when it is asked for its term. */
const inTerm = (term: number) => ({ ...refused(term), byOriginal: true });

/** A follower of node 1, a node of the original that leads term 4. */
function followerInTerm4(): TestNode {
  const node = new TestNode({ mixed: true, entries: logOf([4]) });
  node.append({ ...appendEntries({ term: 4, from: 1, after: [1, 4] }), byOriginal: true });
  return node;
}

/** Its pre-vote is answered by the nodes that have a term here; the role that comes of it. */
function preVote(node: TestNode, terms: Readonly<Record<number, number>>): string {
  node.elapse(node.core.nextDeadline - node.now);
  for (const { to: peer, request: asked } of voteRequestsOf(node.settle())) {
    const term = terms[peer];
    if (asked.preVote && term !== undefined)
      node.core.requestVoteReplied(peer, asked, inTerm(term));
  }
  return node.core.role;
}

describe("in a pre-vote, a node of the original", () => {
  test("that stays in the term of a leader that was heard counts against it: it hears that leader, or leads", () => {
    const node = followerInTerm4();
    expect(preVote(node, { 1: 4, 2: 4 })).toBe("follower");
    expect(preVote(node, { 2: 4 })).toBe("pre-candidate");
    expect(node.core.term).toBe(4);
  });

  test("that does not answer counts for nothing", () => {
    const node = followerInTerm4();
    node.core.peerDown(1);
    expect(preVote(node, {})).toBe("pre-candidate");
  });

  test("counts as willing once the leader's process is gone, also when that is learned late", () => {
    const node = followerInTerm4();
    node.core.peerDown(1);
    expect(preVote(node, { 2: 4 })).toBe("candidate");
    const late = followerInTerm4();
    expect(preVote(late, { 2: 4 })).toBe("pre-candidate");
    late.core.peerDown(1);
    expect(preVote(late, { 2: 4 })).toBe("candidate");
  });

  test("counts as willing when it has asked for votes itself", () => {
    const node = followerInTerm4();
    node.elapse(350);
    expect(node.vote(requestVote(5, 2)).voteGranted).toBe(false);
    expect(preVote(node, { 2: 5 })).toBe("candidate");
    expect(node.core.term).toBe(6);
  });

  test("that tells a newer term has it taken over, and is asked again", () => {
    const node = followerInTerm4();
    expect(preVote(node, { 2: 5 })).toBe("follower");
    expect(preVote(node, { 2: 5 })).toBe("candidate");
    expect(node.core.term).toBe(6);
  });

  test("in an older term follows no leader of this one, and counts as willing", () => {
    expect(preVote(followerInTerm4(), { 2: 3 })).toBe("candidate");
  });

  test("counts as willing in a term in which this node campaigned without success", () => {
    const node = followerInTerm4();
    node.core.peerDown(1);
    expect(preVote(node, { 2: 4 })).toBe("candidate");
    expect(preVote(node, { 2: 5 })).toBe("candidate");
    expect(node.core.term).toBe(6);
  });
});

const seeds = Array.from({ length: 50 }, (_, seed) => seed);

function electionCluster(seed: number, ...terms: readonly (readonly number[])[]): ElectionCluster {
  const prng = new Prng(seed);
  return new ElectionCluster(terms, () => prng.float());
}

/** A new cluster of one node of ours and two of the original, led by one of theirs. */
function ledByOriginal(seed: number): { cluster: ElectionCluster; chief: number } {
  const cluster = electionCluster(seed, [1], [1], [1]);
  cluster.still.add(0);
  expect(cluster.run(3_000, () => cluster.leaders.length === 1)).toBe(true);
  const [chief] = cluster.leaders as [number];
  cluster.still.delete(0);
  expect(cluster.run(100, () => cluster.node.core.currentLeader === chief)).toBe(true);
  return { cluster, chief };
}

const electMsMax = 6_000;
const minuteMs = 60_000;

describe("two nodes of the original and one of ours", () => {
  test.each([
    ["new", [[], [], []]],
    [
      "all with one log",
      [
        [1, 1],
        [1, 1],
        [1, 1],
      ],
    ],
    ["theirs restarted, and empty", [[1, 1, 9], [], []]],
    ["one of theirs ahead of ours", [[1], [1, 2], [1]]],
  ] as const)("elect a leader: %s", (_name, terms) => {
    for (const seed of seeds) {
      const cluster = electionCluster(seed, ...terms);
      expect(cluster.run(electMsMax, () => cluster.leaders.length > 0)).toBe(true);
      cluster.run(electMsMax);
      expect(cluster.leaders).toHaveLength(1);
    }
  });

  test.each([true, false])("elect a leader when theirs is gone; ours learns so: %s", (known) => {
    for (const seed of seeds) {
      const { cluster, chief } = ledByOriginal(seed);
      cluster.still.add(chief);
      if (known) cluster.node.core.peerDown(chief);
      expect(cluster.run(electMsMax, () => cluster.leaders.length > 0)).toBe(true);
    }
  });

  test.each([
    ["is not reached by it", (chief: number) => [`${chief}>0`]],
    ["does not reach it, either", (chief: number) => [`${chief}>0`, `0>${chief}`]],
    ["is reached by nobody", () => ["1>0", "2>0"]],
    ["is alone", () => ["1>0", "2>0", "0>1", "0>2"]],
  ])("keep their leader while ours %s, and ours comes back to it", (_name, cuts) => {
    for (const seed of seeds.slice(0, 10)) {
      const { cluster, chief } = ledByOriginal(seed);
      const { term } = cluster.node.core;
      for (const cut of cuts(chief)) cluster.cut.add(cut);
      cluster.run(minuteMs);
      cluster.cut.clear();
      expect(cluster.run(1_000, () => cluster.node.core.currentLeader === chief)).toBe(true);
      expect([cluster.leaders, cluster.node.core.term]).toEqual([[chief], term]);
    }
  });

  test("keep their leader when ours restarts and hears nobody", () => {
    const node = new TestNode({ mixed: true, entries: logOf([4]) });
    for (let i = 0; i < 100; i++) preVote(node, { 1: 4, 2: 4 });
    expect(node.core.term).toBe(4);
  });
});

const event = fc.oneof(
  { weight: 4, arbitrary: fc.constant("propose" as const) },
  { weight: 8, arbitrary: fc.constant("deliver" as const) },
  { weight: 2, arbitrary: fc.constant("lose request" as const) },
  { weight: 2, arbitrary: fc.constant("lose answer" as const) },
  { weight: 3, arbitrary: fc.constant("wait" as const) },
  { weight: 1, arbitrary: fc.constant("read" as const) },
  { weight: 1, arbitrary: fc.constant("restart" as const) },
);

/** A leader and two followers of the original, with a network that loses. */
class MixedCluster {
  readonly node: TestNode;
  readonly followers: readonly OriginalFollower[];
  private readonly out: (OutgoingAppend | null)[] = [null, null];

  constructor(node: TestNode, followers: readonly OriginalFollower[]) {
    this.node = node;
    this.followers = followers;
    this.send();
  }

  step(what: string, at: number): void {
    const sent = this.out[at]!;
    if (what === "propose") this.node.propose(`x${this.node.core.log.lastIndex}`);
    else if (what === "wait") this.node.elapse(heartbeatMs);
    else if (what === "read") this.node.core.requestRead();
    else if (what === "restart") this.followers[at]!.forget();
    else if (sent !== null) this.answer(sent, what, at);
    this.send();
  }

  private answer(sent: OutgoingAppend, what: string, at: number): void {
    this.out[at] = null;
    const reply = what === "lose request" ? null : this.followers[at]!.append(sent.request);
    if (reply === null || what === "lose answer")
      this.node.core.appendEntriesFailed(sent.to, sent.context);
    else this.node.core.appendEntriesReplied(sent.to, sent.context, reply);
    // A stock original does so every 50 bytes.
    this.followers[at]!.takeSnapshot();
  }

  private send(): void {
    for (const sent of this.node.appends()) {
      if (this.out[sent.to - 1] !== null) throw new Error(`two requests are out to ${sent.to}`);
      this.out[sent.to - 1] = sent;
    }
  }
}

test("whatever is lost, no follower is made to end, and all get the log", () => {
  fc.assert(
    fc.property(
      fc.nat(6),
      fc.tuple(fc.nat(6), fc.nat(6)),
      fc.tuple(fc.nat(3), fc.nat(3)),
      fc.array(fc.tuple(event, fc.nat(1)), { maxLength: 120 }),
      (common, kept, tails, steps) => {
        // What all have of terms 1 and 2, and behind it what each took from a leader that is gone.
        const terms = Array.from({ length: common }, (_, i) => (i < 3 ? 1 : 2));
        const node = new TestNode({
          mixed: true,
          inflightMax: 1,
          entries: logOf(terms),
          hardState: { term: 4, votedFor: -1 },
        }).elect();
        const followers = kept.map((length, i) => {
          const committed = Math.min(length, common);
          const tail = Array.from({ length: tails[i]! }, () => 3);
          return new OriginalFollower(
            logOf([...terms.slice(0, committed), ...(committed === common ? tail : [])]),
            committed,
          );
        });
        const cluster = new MixedCluster(node, followers);
        for (const [what, at] of steps) {
          cluster.step(what, at);
          expect(followers.map(({ ended }) => ended)).toEqual(["", ""]);
        }
        for (let i = 0; i < 200; i++) cluster.step(i % 4 < 2 ? "deliver" : "wait", i % 2);
        const { log } = node.core;
        expect(log.commitIndex).toBe(log.lastIndex);
        for (const follower of followers) {
          expect(follower.ended).toBe("");
          expect(follower.commitIndex).toBe(log.lastIndex);
          for (let index = 1; index <= log.lastIndex; index++)
            expect(follower.entries[index - 1]).toEqual(log.entry(index));
        }
      },
    ),
    { numRuns: 300 },
  );
});
