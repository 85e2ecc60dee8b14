import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { AppendEntries, RequestVote } from "../../raft/core/types.js";
import { MixedPeer, type RevisionPeer } from "../../raft/mixedPeer.js";

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

/** A node that notes what is sent to it, and answers nothing. */
class SilentPeer implements RevisionPeer {
  onDown = (): void => {};
  revision: 1 | 2 | undefined;
  readonly sent: string[] = [];

  constructor(revision: 1 | 2 | undefined) {
    this.revision = revision;
  }

  AppendEntries(): void {
    this.sent.push("AppendEntries");
  }
  RequestVote(request: RequestVote): void {
    this.sent.push(request.preVote ? "PreVote" : "RequestVote");
  }
  InstallSnapshot(): void {
    this.sent.push("InstallSnapshot");
  }
  TimeoutNow(): void {
    this.sent.push("TimeoutNow");
  }
  close(): void {
    this.sent.push("close");
  }
}

const archive = Buffer.from("22 serialization::archive 18 0 0 3 Get 0  0  0  0 ");
const compact = Buffer.from([0x08, 1]);

function append(...commands: Uint8Array[]): AppendEntries {
  const entries = commands.map((command, i) => ({ index: i + 1, term: 1, command }));
  const prev = { prevLogIndex: 0, prevLogTerm: 0, leaderCommit: 0 };
  return { type: "AppendEntries", term: 1, from: 0, entries, ...prev };
}

function vote(preVote: boolean): RequestVote {
  const log = { lastLogIndex: 3, lastLogTerm: 1 };
  return { type: "RequestVote", term: 5, from: 0, preVote, leadershipTransfer: false, ...log };
}

const chunk = {
  term: 1,
  from: 0,
  lastIncludedIndex: 9,
  lastIncludedTerm: 1,
  offset: 0,
  totalSize: 1,
  done: true,
  data: new Uint8Array(1),
};
const timeoutNow = { type: "TimeoutNow", term: 1, from: 0 } as const;

function sendAll(peer: MixedPeer, replies: unknown[]): void {
  const done = (reply: unknown): void => void replies.push(reply);
  peer.AppendEntries(append(compact), done);
  peer.AppendEntries(append(archive), done);
  peer.RequestVote(vote(true), done);
  peer.RequestVote(vote(false), done);
  peer.InstallSnapshot(chunk, done);
  peer.TimeoutNow(timeoutNow, done);
}

function mix(revision: 1 | 2 | undefined, originalUntilKnown = true) {
  const inner = new SilentPeer(revision);
  const lines: string[] = [];
  const peer = new MixedPeer(inner, {
    id: 1,
    originalUntilKnown,
    originalApplies: (command) => command[0] === 0x32,
    log: { error: (_fields: unknown, text: string) => lines.push(text) } as never,
  });
  return { inner, peer, lines };
}

const everything = ["AppendEntries", "AppendEntries", "PreVote", "RequestVote"];

describe("a node of ours", () => {
  test.each([
    [2, true],
    [undefined, false],
  ] as const)("gets everything: revision %s", (revision, originalUntilKnown) => {
    const { inner, peer } = mix(revision, originalUntilKnown);
    sendAll(peer, []);
    expect(inner.sent).toEqual([...everything, "InstallSnapshot", "TimeoutNow"]);
  });
});

describe("a node of the original", () => {
  test.each([1, undefined] as const)(
    "gets nothing that ends its process: revision %s",
    (revision) => {
      const { inner, peer } = mix(revision);
      sendAll(peer, []);
      expect(inner.sent).toEqual(["AppendEntries", "RequestVote"]);
    },
  );

  test("counts as willing in a pre-vote, in a term that is not newer; the rest fails, later", () => {
    const { peer } = mix(1);
    const replies: unknown[] = [];
    sendAll(peer, replies);
    expect(replies).toEqual([]);
    vi.advanceTimersByTime(0);
    expect(replies).toEqual([
      { type: "RequestVoteReply", term: 4, voteGranted: true, voteState: 3 },
      null,
    ]);
    vi.advanceTimersByTime(60_000);
    expect(replies.slice(2)).toEqual([null, null]);
  });

  test("says what can't be done, and not for every attempt", () => {
    const { peer, lines } = mix(1);
    for (let i = 0; i < 100; i++) peer.AppendEntries(append(compact), () => {});
    expect(lines).toEqual([
      "this node can't be brought up to date: it runs the original, and can't apply entries without commandCodec=boost",
    ]);
    vi.advanceTimersByTime(6_000);
    peer.InstallSnapshot(chunk, () => {});
    expect(lines[1]).toContain("needs entries that only a snapshot still holds");
  });

  test("calls nobody back once it was closed", () => {
    const { inner, peer } = mix(1);
    const replies: unknown[] = [];
    sendAll(peer, replies);
    peer.close();
    vi.advanceTimersByTime(60_000);
    expect(replies).toEqual([]);
    expect(inner.sent.at(-1)).toBe("close");
  });
});

test("a node that changes sides is treated by what it spoke last", () => {
  const { inner, peer } = mix(1);
  peer.TimeoutNow(timeoutNow, () => {});
  inner.revision = 2;
  peer.TimeoutNow(timeoutNow, () => {});
  expect(inner.sent).toEqual(["TimeoutNow"]);
});
