import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { ask, FollowerNode } from "./followerNode.js";
import { fromHex, toHex, vectors } from "./vectorFiles.js";

/**
 * `follower.json`: what a node of the original answered to a made-up leader or candidate. Ours gets
 * the same frames on its port, and answers the same bytes except where a name below says why not.
 */

interface FollowerVector {
  readonly method: string;
  readonly description: string;
  readonly requestHex: string;
  readonly response: unknown;
  /** Null: it said nothing, and mostly because its process ended. */
  readonly responseHex: string | null;
}

const recorded = vectors<FollowerVector>("follower");

const conflict =
  "ORIGINAL-BUGS 6: it overwrote entry 2 and kept entry 3 of the older term; ours truncates";
const assertion = "ORIGINAL-BUGS 35 and 7: a failed check ended its process";
const brokenSnapshot =
  "it installs whatever it is sent; ours gives an answer that no leader can read, and so counts none";
/** The tag of field number 0. */
const unreadable = "07";
const noSnapshot = "nothing was installed: the log is still empty";

interface Difference {
  readonly why: string;
  /** What ours answers; null: it resets the connection. */
  readonly hex: string | null;
}

interface Group {
  readonly name: string;
  /** What the node was sent before, which was not recorded. */
  readonly before: readonly string[];
  readonly from: number;
  readonly through: number;
  readonly differences?: Readonly<Record<number, Difference>>;
}

/** From node 1 in term 1000. */
const heartbeat = recorded.find(({ description }) => description === "heartbeat")!.requestHex;
/** A candidate of term 11: the recorded node had come to that term by itself. */
const term11 = "180a0772616674527063120b52657175657374566f74651804080b1002";
const entry3 = recorded[19]!.requestHex;

const groups: readonly Group[] = [
  {
    name: "conflicts and late requests",
    before: [heartbeat],
    from: 0,
    through: 10,
    differences: {
      6: { why: conflict, hex: "08e80718032001" },
      7: { why: conflict, hex: "08e80718032001" },
      9: { why: conflict, hex: "08e90718032001" },
      10: { why: assertion, hex: null },
    },
  },
  {
    name: "other bytes under the same index and term",
    before: [],
    from: 11,
    through: 12,
    differences: { 12: { why: `${assertion}; ours keeps what it has`, hex: "08e80710012001" } },
  },
  { name: "one entry", before: [], from: 13, through: 13 },
  { name: "entries and the commit index", before: [], from: 14, through: 16 },
  {
    name: "a repeated request below the snapshot",
    before: [],
    from: 17,
    through: 19,
    differences: { 19: { why: assertion, hex: "08e80710012001" } },
  },
  {
    name: "an empty snapshot",
    before: [],
    from: 20,
    through: 26,
    differences: {
      22: { why: brokenSnapshot, hex: unreadable },
      23: { why: `it said nothing, which hangs the caller; ${brokenSnapshot}`, hex: unreadable },
      24: { why: noSnapshot, hex: "089a0818012001" },
      25: { why: noSnapshot, hex: "089a0818012001" },
      26: { why: `${assertion}; and ${noSnapshot}`, hex: "089a0818012001" },
    },
  },
  {
    name: 'the snapshot "22"',
    before: [],
    from: 27,
    through: 28,
    differences: { 28: { why: `it ended on it; ${brokenSnapshot}`, hex: unreadable } },
  },
  { name: "a heartbeat", before: [], from: 29, through: 29 },
  { name: "votes", before: [term11], from: 30, through: 35 },
];

let node: FollowerNode;

beforeEach(async () => {
  node = await FollowerNode.start();
});

afterEach(async () => {
  await node.stop();
});

async function answerTo(requestHex: string): Promise<string | null> {
  const reply = await ask(node.port, fromHex(requestHex));
  return reply === null ? null : toHex(reply);
}

test.each(groups)("$name", async ({ before, from, through, differences = {} }) => {
  for (const frame of before) await answerTo(frame);
  for (let i = from; i <= through; i++) {
    const vector = recorded[i]!;
    // No vote is given within the least election timeout after a leader was heard (below).
    if (vector.method === "RequestVote") node.advance(350);
    const difference = differences[i];
    const answer = { description: vector.description, hex: await answerTo(vector.requestHex) };
    const hex = difference === undefined ? vector.responseHex : difference.hex;
    expect(answer).toEqual({ description: vector.description, hex });
  }
});

test("every difference is one", () => {
  for (const { differences = {} } of groups)
    for (const [index, { hex }] of Object.entries(differences))
      expect(hex).not.toBe(recorded[Number(index)]!.responseHex ?? "silence");
});

test("every vector is in a group, once", () => {
  const covered = groups.flatMap(({ from, through }) =>
    Array.from({ length: through - from + 1 }, (_, i) => from + i),
  );
  expect(covered).toEqual(recorded.map((_, i) => i));
});

describe("toward a leader of the original", () => {
  test("commands stay as they came, byte for byte", async () => {
    await answerTo(recorded[14]!.requestHex);
    await answerTo(recorded[15]!.requestHex);
    await expect.poll(() => node.applied.length).toBe(3);
    const sent = recorded[14]!.requestHex;
    for (const command of node.applied) expect(sent).toContain(toHex(command));
  });

  test("a candidate is refused while the leader is alive, without its term (thesis §4.2.3)", async () => {
    await answerTo(recorded[33]!.requestHex);
    expect(await answerTo(recorded[35]!.requestHex)).toBe("08e8071801");
    node.advance(350);
    expect(await answerTo(recorded[35]!.requestHex)).toBe(recorded[35]!.responseHex);
  });

  test("a leader whose snapshots are refused leads all the same, and the log says what is wrong", async () => {
    const [snapshot22, vote] = [recorded[28]!.requestHex, recorded[34]!.requestHex];
    await answerTo(heartbeat);
    for (let i = 0; i < 5; i++) {
      node.advance(200);
      expect(await answerTo(snapshot22)).toBe(unreadable);
    }
    // Within the least election timeout after it was heard no other gets a vote, or a newer term.
    expect(await answerTo(vote)).toBe("08e8071801");
    expect(node.errors).toEqual([
      "a snapshot that is not in chunks can't be installed: this node stays behind until one leads that still has the log",
    ]);
  });

  test("an entry that it has is acknowledged again and changes nothing", async () => {
    await answerTo(recorded[14]!.requestHex);
    expect(await answerTo(entry3)).toBe("08e80710012001");
    expect(node.lastLogIndex).toBe(3);
  });
});
