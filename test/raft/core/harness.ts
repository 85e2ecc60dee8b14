import {
  RaftCore,
  type AppendContext,
  type AppendEntries,
  type AppendEntriesReply,
  type CoreOptions,
  type CoreStart,
  type Entry,
  type OutgoingRequest,
  type Ready,
  type Reply,
  type RequestVote,
  type RequestVoteReply,
} from "../../../raft/core/index.js";

/*
 * One core, driven by hand: the tests say what reaches it and look at what it gives out. Node 0 is
 * the one under test unless a test says otherwise.
 */

export const heartbeatMs = 25;
export const electionTimeoutMsMin = 300;
export const electionTimeoutMsMax = 500;

export type Setup = Partial<CoreOptions> & Partial<CoreStart> & { readonly id?: number };

export interface OutgoingAppend {
  readonly to: number;
  readonly request: AppendEntries;
  readonly context: AppendContext;
}

export class TestNode {
  readonly core: RaftCore;
  now = 1000;
  private handedOut = 0;
  private durable = 0;
  private tokens = 0;

  constructor(setup: Setup = {}) {
    const { id = 0, hardState, snapshot, entries, ...options } = setup;
    this.core = new RaftCore(
      id,
      {
        clusterSize: 3,
        heartbeatMs,
        electionTimeoutMsMin,
        electionTimeoutMsMax,
        appendEntriesMax: 1000,
        appendBytesMax: 1_000_000,
        appendBytesSafe: Infinity,
        inflightMax: 64,
        inflightBytesMax: 1_000_000,
        uncommittedBytesMax: 1_000_000,
        readMode: "readIndex",
        leaseClockDriftPpmMax: 0,
        mixed: false,
        noop: new Uint8Array(0),
        random: () => 0,
        ...options,
      },
      {
        hardState: hardState ?? { term: entries?.at(-1)?.term ?? 0, votedFor: -1 },
        snapshot: snapshot ?? { index: 0, term: 0 },
        entries: entries ?? [],
      },
      this.now,
    );
  }

  /** Time passes. */
  elapse(ms: number): void {
    this.now += ms;
    this.core.tick(this.now);
  }

  /** The next output; its save stays under way until `persist`. */
  ready(): Ready {
    const ready = this.core.ready() ?? nothing;
    if (ready.saveId !== 0) this.handedOut = ready.saveId;
    return ready;
  }

  /** All saves that were handed out become durable. */
  persist(): void {
    if (this.handedOut === this.durable) return;
    this.durable = this.handedOut;
    this.core.persisted(this.handedOut);
  }

  /** All output, with a disk that takes no time; what waited for it is among the rest. */
  settle(): Ready {
    let all = nothing;
    for (let ready = this.ready(); ready !== nothing; ready = this.ready()) {
      this.persist();
      all = merge(all, ready);
    }
    return all;
  }

  /** All AppendEntries that leave now. */
  appends(): OutgoingAppend[] {
    return appendsOf(this.settle());
  }

  /** Delivers a request and returns the reply, with a disk that takes no time. */
  append(request: AppendEntries): AppendEntriesReply {
    this.core.appendEntries(request, ++this.tokens);
    return this.replyTo(this.tokens) as AppendEntriesReply;
  }

  vote(request: RequestVote): RequestVoteReply {
    this.core.requestVote(request, ++this.tokens);
    return this.replyTo(this.tokens) as RequestVoteReply;
  }

  /** A follower took the request. */
  acknowledge(sent: OutgoingAppend): void {
    this.core.appendEntriesReplied(sent.to, sent.context, success(this.core.term));
  }

  /** Leads a new term, elected by the nodes with lower ids; its no-op is on its own disk. */
  elect(): this {
    this.campaign();
    for (const { to, request } of voteRequestsOf(this.settle())) {
      if (this.core.role === "candidate")
        this.core.requestVoteReplied(to, request, granted(request));
    }
    if (this.core.role !== "leader") throw new Error("not elected");
    return this;
  }

  /** Wins the pre-vote; its requests for real votes wait for `settle`. */
  campaign(): void {
    this.elapse(Math.max(0, this.core.nextDeadline - this.now));
    for (const { to, request } of voteRequestsOf(this.settle())) {
      if (this.core.role === "pre-candidate")
        this.core.requestVoteReplied(to, request, granted(request));
    }
  }

  /** Leads, and every follower has acknowledged all of its log. */
  electAndSync(): this {
    this.elect();
    this.sync();
    return this;
  }

  /** Followers acknowledge, until there is no more to send. */
  sync(followers?: readonly number[]): void {
    for (let rounds = 0; rounds < 100; rounds++) {
      const sent = this.appends().filter(({ to }) => followers?.includes(to) ?? true);
      if (sent.length === 0) return;
      for (const append of sent) this.acknowledge(append);
    }
    throw new Error("the leader does not stop sending");
  }

  propose(...commands: string[]): number {
    const result = this.core.propose(commands.map(bytes));
    if (result.outcome !== "accepted") throw new Error(`proposal: ${result.outcome}`);
    return result.lastIndex;
  }

  /** The terms of the log's entries, from its first. */
  get terms(): number[] {
    const { firstIndex, lastIndex } = this.core.log;
    return Array.from({ length: lastIndex - firstIndex + 1 }, (_, at) =>
      this.core.log.term(firstIndex + at),
    );
  }

  private replyTo(token: number): Reply {
    const out = this.settle().replies.find(({ replyTo }) => replyTo === token);
    if (out === undefined) throw new Error("no reply");
    return out.reply;
  }
}

const nothing: Ready = {
  saveId: 0,
  hardState: null,
  snapshot: null,
  entries: [],
  requests: [],
  replies: [],
  snapshots: [],
  requestsAfterPersist: [],
  repliesAfterPersist: [],
  commitIndex: 0,
  reads: [],
  readsLost: false,
  softState: null,
};

function merge(a: Ready, b: Ready): Ready {
  return {
    saveId: Math.max(a.saveId, b.saveId),
    hardState: b.hardState ?? a.hardState,
    snapshot: b.snapshot ?? a.snapshot,
    entries: [...a.entries, ...b.entries],
    requests: [...a.requests, ...b.requests, ...b.requestsAfterPersist],
    replies: [...a.replies, ...b.replies, ...b.repliesAfterPersist],
    snapshots: [...a.snapshots, ...b.snapshots],
    requestsAfterPersist: [],
    repliesAfterPersist: [],
    commitIndex: b.commitIndex,
    reads: [...a.reads, ...b.reads],
    readsLost: a.readsLost || b.readsLost,
    softState: b.softState ?? a.softState,
  };
}

export function appendsOf({ requests }: Pick<Ready, "requests">): OutgoingAppend[] {
  return requests.filter((out) => "context" in out);
}

export function voteRequestsOf({
  requests,
}: {
  readonly requests: readonly OutgoingRequest[];
}): { readonly to: number; readonly request: RequestVote }[] {
  return requests.flatMap(({ to, request }) =>
    request.type === "RequestVote" ? [{ to, request }] : [],
  );
}

// --- messages

export function bytes(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

/** A log with these terms, from `first` on. */
export function logOf(terms: readonly number[], first = 1): Entry[] {
  return terms.map((term, at) => {
    const index = first + at;
    return { index, term, command: bytes(`${index}/${term}`) };
  });
}

export interface AppendFields {
  readonly term: number;
  readonly from?: number;
  /** Index and term of the entry in front. */
  readonly after?: readonly [index: number, term: number];
  /** Terms of the entries. */
  readonly terms?: readonly number[];
  readonly commit?: number;
}

export function appendEntries(fields: AppendFields): AppendEntries {
  const { term, from = 1, after = [0, 0], terms = [], commit = 0 } = fields;
  return {
    type: "AppendEntries",
    term,
    from,
    prevLogIndex: after[0],
    prevLogTerm: after[1],
    entries: logOf(terms, after[0] + 1),
    leaderCommit: commit,
  };
}

export function requestVote(
  term: number,
  from: number,
  last: readonly [index: number, term: number] = [0, 0],
  kind: { readonly preVote?: boolean; readonly leadershipTransfer?: boolean } = {},
): RequestVote {
  return {
    type: "RequestVote",
    term,
    from,
    lastLogIndex: last[0],
    lastLogTerm: last[1],
    preVote: kind.preVote ?? false,
    leadershipTransfer: kind.leadershipTransfer ?? false,
  };
}

export function granted(request: RequestVote): RequestVoteReply {
  const term = request.preVote ? request.term - 1 : request.term;
  return { type: "RequestVoteReply", term, voteGranted: true, voteState: 3 };
}

export function refused(term: number): RequestVoteReply {
  return { type: "RequestVoteReply", term, voteGranted: false, voteState: 1 };
}

export function success(term: number): AppendEntriesReply {
  return { type: "AppendEntriesReply", term, success: true, updateNextIndex: 0 };
}

export function mismatch(term: number, updateNextIndex: number): AppendEntriesReply {
  return { type: "AppendEntriesReply", term, success: false, updateNextIndex };
}
