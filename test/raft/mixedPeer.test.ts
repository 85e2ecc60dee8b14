import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { AppendEntries, RequestVote, RequestVoteReply } from "../../raft/core/types.js";
import { MixedPeer } from "../../raft/mixedPeer.js";
import type { GreetingAnswer, RevisionPeer } from "../../raft/peerKind.js";

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

/** A node that notes what is sent to it, and answers nothing. */
class SilentPeer implements RevisionPeer {
  onDown = (): void => {};
  onConnected = (): void => {};
  onLost = (): void => {};
  revision: 1 | 2 | undefined;
  readonly sent: string[] = [];
  readonly votes: RequestVote[] = [];
  answerVote: ((reply: RequestVoteReply | null) => void) | null = null;
  greeted: ((answer: GreetingAnswer) => void) | null = null;
  greetings = 0;
  greetMs = 0;

  constructor(revision: 1 | 2 | undefined) {
    this.revision = revision;
  }

  greet(timeoutMs: number, done: (answer: GreetingAnswer) => void): () => void {
    this.greetings++;
    this.greetMs = timeoutMs;
    this.greeted = done;
    return () => (this.greeted = null);
  }

  AppendEntries(): void {
    this.sent.push("AppendEntries");
  }
  RequestVote(request: RequestVote, done: (reply: RequestVoteReply | null) => void): void {
    this.votes.push(request);
    this.answerVote = done;
    const asksForTerm = request.preVote && request.term === 0;
    this.sent.push(asksForTerm ? "Term" : request.preVote ? "PreVote" : "RequestVote");
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

const startMs = 7_150;

function mix(revision: 1 | 2 | undefined, mixed = true) {
  const inner = new SilentPeer(revision);
  const lines: string[] = [];
  const found: string[] = [];
  const peer = new MixedPeer(inner, {
    id: 1,
    mixed,
    startMs,
    originalApplies: (command) => command[0] === 0x32,
    log: {
      error: (_fields: unknown, text: string) => lines.push(text),
      info: (_fields: unknown, text: string) => found.push(text),
    } as never,
  });
  return { inner, peer, lines, found };
}

const everything = ["AppendEntries", "AppendEntries", "PreVote", "RequestVote"];

/** One of the original, past its start. */
function original() {
  const mixture = mix(undefined);
  mixture.inner.onConnected();
  mixture.inner.greeted?.("silent");
  return mixture;
}

describe("a node of ours", () => {
  test.each([2, undefined] as const)("gets everything, where all are ours: revision %s", (one) => {
    const { inner, peer } = mix(one, false);
    sendAll(peer, []);
    expect(inner.sent).toEqual([...everything, "InstallSnapshot", "TimeoutNow"]);
    expect(inner.greetings).toBe(0);
  });

  test("gets everything beside nodes of the original, as soon as it answers", () => {
    const { inner, peer } = mix(undefined);
    inner.onConnected();
    inner.revision = 2;
    inner.greeted?.("answered");
    sendAll(peer, []);
    expect(inner.sent).toEqual([...everything, "InstallSnapshot", "TimeoutNow"]);
  });
});

describe("a node that may be the original's, and not be ready", () => {
  test("gets nothing, grants nothing, and is asked who it is for as long as a start takes", () => {
    const { inner, peer } = mix(undefined);
    const replies: unknown[] = [];
    sendAll(peer, replies);
    inner.onConnected();
    sendAll(peer, replies);
    vi.advanceTimersByTime(0);
    expect(inner.sent).toEqual([]);
    expect(replies).toEqual(Array.from({ length: 12 }, () => null));
    expect([inner.greetings, inner.greetMs]).toEqual([1, startMs]);
  });

  test.each([
    [1, ["AppendEntries", "Term", "RequestVote"]],
    [2, [...everything, "InstallSnapshot", "TimeoutNow"]],
  ] as const)("is ready when it sends a request of revision %s itself", (revision, sent) => {
    const { inner, peer } = mix(undefined);
    inner.onConnected();
    peer.heard(revision);
    expect(inner.greeted).toBeNull();
    sendAll(peer, []);
    expect(inner.sent).toEqual(sent);
  });

  test("may be another process after its connection was lost, and waits again", () => {
    const { inner, peer, found } = original();
    expect(found).toEqual(["peer is a node of the original, and ready"]);
    inner.onLost();
    sendAll(peer, []);
    inner.onConnected();
    inner.greeted?.("lost");
    inner.onConnected();
    sendAll(peer, []);
    expect(inner.sent).toEqual([]);
    expect(inner.greetings).toBe(3);
    inner.greeted?.("silent");
    sendAll(peer, []);
    expect(inner.sent).toEqual(["AppendEntries", "Term", "RequestVote"]);
  });

  test("is the same one on a connection that this side has made anew", () => {
    const { inner, peer } = original();
    inner.onConnected();
    sendAll(peer, []);
    expect(inner.sent).toEqual(["AppendEntries", "Term", "RequestVote"]);
  });
});

describe("a node of the original", () => {
  test("gets nothing that ends its process", () => {
    const { inner, peer } = original();
    sendAll(peer, []);
    expect(inner.sent).toEqual(["AppendEntries", "Term", "RequestVote"]);
  });

  test("gets no entries at all in a cluster that is not made for it", () => {
    const { inner, peer, lines } = mix(1, false);
    peer.AppendEntries(append(archive), () => {});
    peer.AppendEntries(append(), () => {});
    sendAll(peer, []);
    expect(inner.sent).toEqual(["Term", "RequestVote"]);
    expect(lines[0]).toContain("can't apply entries without commandCodec=boost");
  });

  test("is asked for its term instead of a pre-vote, which a vote in term 0 tells and nothing else", () => {
    const { inner, peer } = original();
    const replies: unknown[] = [];
    peer.RequestVote(vote(true), (reply) => void replies.push(reply));
    expect(inner.votes).toMatchObject([{ term: 0, from: 0, lastLogIndex: 0, lastLogTerm: 0 }]);
    const reply = { type: "RequestVoteReply", term: 4, voteState: 2 } as const;
    // One that has never voted takes term 0 for any other.
    inner.answerVote?.({ ...reply, voteGranted: true });
    expect(replies).toEqual([{ ...reply, voteGranted: false, byOriginal: true }]);
    inner.answerVote?.(null);
    expect(replies[1]).toBeNull();
  });

  test("has all else that it does not know fail, later", () => {
    const { peer } = original();
    const replies: unknown[] = [];
    sendAll(peer, replies);
    expect(replies).toEqual([]);
    vi.advanceTimersByTime(60_000);
    expect(replies).toEqual([null, null, null]);
  });

  test("says what can't be done, and not for every attempt", () => {
    const { peer, lines } = original();
    for (let i = 0; i < 100; i++) peer.AppendEntries(append(compact), () => {});
    expect(lines).toEqual([
      "this node can't be brought up to date: it runs the original, and can't apply entries without commandCodec=boost",
    ]);
    vi.advanceTimersByTime(6_000);
    peer.InstallSnapshot(chunk, () => {});
    expect(lines[1]).toContain("needs entries that only a snapshot still holds");
  });

  test("calls nobody back once it was closed", () => {
    const { inner, peer } = original();
    const replies: unknown[] = [];
    sendAll(peer, replies);
    peer.close();
    vi.advanceTimersByTime(60_000);
    expect(replies).toEqual([]);
    expect(inner.sent.at(-1)).toBe("close");
  });
});
