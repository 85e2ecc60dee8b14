import { beforeEach, describe, expect, test } from "vitest";
import type { Entry, HardState, Reply, RequestVote, Role } from "../../raft/core/index.js";
import { DurableState } from "./durableState.js";
import { Invariants, InvariantViolation, type CoreView, type NodeView } from "./invariants.js";

/* An invariant that can't fail proves nothing: here each of them is broken, by its name. */

class FakeLog {
  entries: Entry[] = [];
  firstIndex = 1;
  commitIndex = 0;

  get lastIndex(): number {
    return this.firstIndex + this.entries.length - 1;
  }

  term(index: number): number {
    return index === 0 ? 0 : (this.entries[index - this.firstIndex]?.term ?? -1);
  }

  entry(index: number): Entry {
    return this.entries[index - this.firstIndex]!;
  }
}

class FakeNode implements NodeView {
  readonly id: number;
  durable: DurableState;
  private readonly invariants: Invariants;
  readonly log = new FakeLog();
  term = 0;
  role: Role = "follower";
  core: CoreView | null = this;

  constructor(id: number, invariants: Invariants) {
    this.id = id;
    this.invariants = invariants;
    this.durable = new DurableState(id, invariants);
  }

  /** In memory and on disk. */
  vote(term: number, votedFor: number): void {
    this.term = term;
    this.write({ term, votedFor });
  }

  write(hardState: HardState): void {
    this.durable.apply({ hardState });
  }

  /** It comes up again with a new disk. */
  wipe(): void {
    this.invariants.wiped(this);
    this.durable = new DurableState(this.id, this.invariants);
    this.log.entries = [];
    this.log.commitIndex = 0;
    this.core = { term: this.term, role: "follower", log: this.log };
  }

  /** In memory alone. */
  hear(...entries: Entry[]): void {
    const first = entries[0]!.index;
    this.log.entries.length = first - this.log.firstIndex;
    this.log.entries.push(...entries);
  }

  /** In memory and on disk. */
  append(...entries: Entry[]): void {
    this.hear(...entries);
    this.durable.apply({ entries });
  }

  leads(term: number): void {
    this.vote(term, this.id);
    this.role = "leader";
  }
}

function entry(index: number, term: number, text = `${index}/${term}`): Entry {
  return { index, term, command: Buffer.from(text) };
}

let invariants: Invariants;
let nodes: FakeNode[];
let a: FakeNode;
let b: FakeNode;
let c: FakeNode;

function step(...stepped: FakeNode[]): void {
  for (const node of stepped) invariants.afterStep(node);
}

/** What the invariants say to `deed`. */
function violation(deed: () => void): string {
  try {
    deed();
  } catch (error) {
    if (error instanceof InvariantViolation) return error.message;
    throw error;
  }
  return "";
}

/** a leads term 1 and has committed two entries, which b holds too. */
function commitTwo(): void {
  a.leads(1);
  b.vote(1, 0);
  for (const node of [a, b]) node.append(entry(1, 1), entry(2, 1));
  a.log.commitIndex = 2;
  step(a, b);
}

beforeEach(() => {
  invariants = new Invariants();
  nodes = [0, 1, 2].map((id) => new FakeNode(id, invariants));
  [a, b, c] = nodes as [FakeNode, FakeNode, FakeNode];
  invariants.watch(nodes);
});

test("what is right passes", () => {
  commitTwo();
  b.log.commitIndex = 2;
  step(b);
  invariants.applied(a, 1, 7);
  invariants.applied(b, 1, 7);
  invariants.writeAcknowledged(a, 2);
  invariants.readConfirmed(0, 2, 2);
  c.vote(1, 0);
  c.append(entry(1, 1), entry(2, 1));
  step(c);
  a.core = null;
  step(a);
  invariants.checkAll();
  expect(invariants.commitIndex).toBe(2);
});

describe("Election Safety", () => {
  test("two leaders of one term", () => {
    a.leads(1);
    step(a);
    b.leads(1);
    expect(violation(() => step(b))).toMatch(/Election Safety: 0 and 1 lead term 1/);
  });

  test("a leader whose own vote is not on its disk", () => {
    a.term = 1;
    a.role = "leader";
    expect(violation(() => step(a))).toMatch(/by a vote of its own that is not on its disk/);
  });

  test("a leader of the same term twice, across a restart", () => {
    a.leads(1);
    step(a);
    a.core = null;
    step(a);
    a.core = a;
    expect(violation(() => step(a))).toMatch(/leads term 1 a second time/);
  });
});

describe("Leader Append-Only", () => {
  test("a leader cuts its log", () => {
    a.leads(1);
    a.append(entry(1, 1), entry(2, 1));
    step(a);
    a.log.entries.pop();
    expect(violation(() => step(a))).toMatch(/Leader Append-Only: leader 0 of term 1 cut/);
  });

  test("a leader rewrites an entry", () => {
    a.leads(2);
    a.append(entry(1, 1));
    step(a);
    a.hear(entry(1, 2));
    expect(violation(() => step(a))).toMatch(/Leader Append-Only: leader 0 of term 2 rewrote 1/);
  });
});

describe("Log Matching", () => {
  test("another command at the same index and term", () => {
    a.append(entry(1, 1, "x"));
    b.append(entry(1, 1, "y"));
    expect(violation(() => step(a, b))).toMatch(/Log Matching/);
  });

  test("the same entry after another one", () => {
    a.append(entry(1, 1), entry(2, 3));
    b.append(entry(1, 2), entry(2, 3));
    expect(violation(() => step(a, b))).toMatch(/Log Matching/);
  });

  test("an entry that changes behind the log's end", () => {
    a.append(entry(1, 1), entry(2, 1));
    step(a);
    a.log.entries[0] = entry(1, 1, "changed");
    step(a);
    expect(violation(() => invariants.checkAll())).toMatch(/Log Matching/);
  });
});

describe("Leader Completeness", () => {
  test("a new leader without what is committed", () => {
    commitTwo();
    c.leads(2);
    c.append(entry(1, 1));
    expect(violation(() => step(c))).toMatch(/Leader Completeness: leader 2 of term 2 lacks 2/);
  });

  test("a commitment that a leader of a newer term already lacks", () => {
    c.leads(2);
    step(c);
    expect(violation(commitTwo)).toMatch(/Leader Completeness: leader 2 of term 2 lacks/);
  });
});

describe("State Machine Safety", () => {
  test("another entry committed at the same index", () => {
    commitTwo();
    c.append(entry(1, 1), entry(2, 2));
    c.log.commitIndex = 2;
    expect(violation(() => step(c))).toMatch(/State Machine Safety: node 2 committed 2 of term 2/);
  });

  test("another state at the same index", () => {
    commitTwo();
    b.log.commitIndex = 2;
    step(b);
    invariants.applied(a, 2, 7);
    expect(violation(() => invariants.stateIs(1, 2, 8))).toMatch(
      /State Machine Safety: node 1 differs at 2/,
    );
    expect(
      violation(() => {
        b.core = null;
        step(b);
        b.core = b;
        step(b);
        invariants.applied(b, 2, 8);
      }),
    ).toMatch(/State Machine Safety: node 1 differs at 2/);
  });

  test("a state machine that goes back, or ahead of the commit index", () => {
    commitTwo();
    invariants.applied(a, 2, 7);
    expect(violation(() => invariants.applied(a, 1, 7))).toMatch(
      /state machine of node 0 went from 2 to 1/,
    );
    expect(violation(() => invariants.applied(a, 3, 7))).toMatch(
      /state machine of node 0 went from 2 to 3/,
    );
  });

  test("not one at a snapshot on its disk, of which its log has not heard yet", () => {
    commitTwo();
    expect(violation(() => invariants.applied(c, 2, 7))).toMatch(/went from 0 to 2/);
    c.durable.writeSnapshot({ meta: { index: 2, term: 1 }, hash: 7 });
    invariants.applied(c, 2, 7);
    expect(violation(() => invariants.applied(c, 3, 7))).toMatch(/went from 2 to 3/);
  });

  test("a snapshot of what was never committed", () => {
    const image = { meta: { index: 1, term: 1 }, hash: 0 };
    expect(violation(() => invariants.snapshotWritten(0, image))).toMatch(/not committed/);
  });
});

describe("terms and votes never go back", () => {
  test("a term in memory", () => {
    a.term = 2;
    step(a);
    a.term = 1;
    expect(violation(() => step(a))).toMatch(/term of node 0 went back from 2 to 1/);
  });

  test("a term behind the disk's, after a restart", () => {
    a.vote(3, -1);
    a.term = 2;
    expect(violation(() => step(a))).toMatch(/with 3 on disk/);
  });

  test("a term and a vote on disk", () => {
    a.write({ term: 2, votedFor: 1 });
    expect(violation(() => a.write({ term: 1, votedFor: -1 }))).toMatch(
      /disk of node 0 went from term 2, vote 1/,
    );
    expect(violation(() => a.write({ term: 2, votedFor: 2 }))).toMatch(/to term 2, vote 2/);
    expect(violation(() => a.write({ term: 2, votedFor: -1 }))).toMatch(/to term 2, vote -1/);
  });

  test("a request of an older term that changes something", () => {
    expect(violation(() => invariants.staleRequestServed(a, "x", "y"))).toMatch(
      /a request of an older term/,
    );
  });
});

describe("nothing leaves a node that is not on its disk", () => {
  const request = {
    type: "RequestVote",
    term: 2,
    from: 0,
    lastLogIndex: 0,
    lastLogTerm: 0,
    preVote: false,
    leadershipTransfer: false,
  } as const;
  const granted = { type: "RequestVoteReply", term: 2, voteGranted: true, voteState: 3 } as const;
  const append = {
    type: "AppendEntries",
    term: 1,
    from: 0,
    prevLogIndex: 0,
    prevLogTerm: 0,
    entries: [entry(1, 1)],
    leaderCommit: 0,
  } as const;

  test("a candidate's term", () => {
    expect(violation(() => invariants.requestLeaves(a, request))).toMatch(
      /sends RequestVote of term 2 with 0 on disk/,
    );
  });

  test("a candidate's vote for itself", () => {
    a.vote(2, 1);
    expect(violation(() => invariants.requestLeaves(a, request))).toMatch(
      /node 0 votes for 0 in term 2/,
    );
  });

  test("a vote for another", () => {
    b.vote(2, -1);
    expect(violation(() => invariants.replyLeaves(b, request, granted))).toMatch(
      /node 1 votes for 0 in term 2/,
    );
  });

  test("a second vote in one term", () => {
    b.vote(2, 0);
    invariants.replyLeaves(b, request, granted);
    b.write({ term: 3, votedFor: -1 });
    expect(violation(() => invariants.replyLeaves(b, { ...request, from: 2 }, granted))).toMatch(
      /node 1 votes for 0 and 2 in term 2/,
    );
  });

  test("a reply's term", () => {
    expect(
      violation(() => invariants.replyLeaves(b, request, { ...granted, voteGranted: false })),
    ).toMatch(/node 1 reveals term 2 with 0 on disk/);
  });

  test("an acknowledgement of an entry", () => {
    b.vote(1, 0);
    b.hear(entry(1, 1));
    const reply = { type: "AppendEntriesReply", term: 1, success: true } as const;
    expect(
      violation(() => invariants.replyLeaves(b, append, { ...reply, updateNextIndex: 2 })),
    ).toMatch(/node 1 acknowledges 1 of term 1, which its disk never had/);
  });
});

describe("commitment rests on the disks of a majority", () => {
  test("an entry committed that one disk holds", () => {
    a.leads(1);
    a.append(entry(1, 1));
    b.hear(entry(1, 1));
    a.log.commitIndex = 1;
    expect(violation(() => step(a))).toMatch(
      /1 of term 1 is committed, but only on the disks of \[0\] of 3/,
    );
  });

  test("a commit index that goes back", () => {
    commitTwo();
    a.log.commitIndex = 1;
    expect(violation(() => step(a))).toMatch(/commit index of node 0 went from 2 to 1/);
  });

  test("a commit index beyond the log", () => {
    a.log.commitIndex = 1;
    expect(violation(() => step(a))).toMatch(/commit index of node 0 went from 0 to 1/);
  });

  test("a disk that cuts off what is committed", () => {
    commitTwo();
    expect(violation(() => b.durable.apply({ entries: [entry(2, 2)] }))).toMatch(
      /2 of term 1 is committed, but only on the disks of \[0\]/,
    );
  });
});

describe("nothing that was acknowledged is lost", () => {
  test("by a disk, over a restart", () => {
    commitTwo();
    const found = new DurableState(1, invariants);
    found.apply({ entries: [entry(1, 1)] });
    expect(violation(() => invariants.recovered(b.durable, found))).toMatch(
      /node 1 lost 2 of term 1 from its disk/,
    );
    invariants.recovered(b.durable, found, 2);
  });

  test("a snapshot, over a restart", () => {
    commitTwo();
    b.durable.writeSnapshot({ meta: { index: 2, term: 1 }, hash: -1 });
    b.durable.apply({ compactThrough: 2 });
    const found = new DurableState(1, invariants);
    found.apply({ entries: [entry(1, 1), entry(2, 1)] });
    expect(violation(() => invariants.recovered(b.durable, found))).toMatch(
      /node 1 lost its snapshot of 2/,
    );
  });

  test("a write that is answered before it is committed", () => {
    commitTwo();
    expect(violation(() => invariants.writeAcknowledged(a, 3))).toMatch(
      /acknowledges a write at 3: 2 is committed/,
    );
  });

  test("a command that is not the one accepted for its place", () => {
    invariants.proposalAccepted(1, 1, Buffer.from("mine"));
    expect(violation(commitTwo)).toMatch(/is not the command that was accepted/);
  });
});

describe("a node that lost its disk", () => {
  test("may have what it forgot, and then vote", () => {
    commitTwo();
    invariants.replyLeaves(b, request, granted);
    b.wipe();
    invariants.writeAcknowledged(a, 2);
    b.write({ term: 1, votedFor: -1, joining: true });
    step(b);
    b.append(entry(1, 1), entry(2, 1));
    b.write({ term: 1, votedFor: 0 });
    invariants.replyLeaves(b, request, granted);
    step(b);
    expect(() => invariants.checkAll()).not.toThrow();
  });

  test("votes before it has what it forgot", () => {
    commitTwo();
    b.wipe();
    b.append(entry(1, 1));
    expect(violation(() => step(b))).toMatch(
      /2 of term 1 is committed, but only on the disks of \[0\]/,
    );
  });

  test("votes for another in a term in which it has voted", () => {
    commitTwo();
    invariants.replyLeaves(b, request, granted);
    b.wipe();
    b.write({ term: 1, votedFor: 2 });
    expect(violation(() => invariants.replyLeaves(b, { ...request, from: 2 }, granted))).toMatch(
      /node 1 votes for 0 and 2 in term 1/,
    );
  });

  test("votes while it joins", () => {
    b.write({ term: 1, votedFor: 0, joining: true });
    expect(violation(() => invariants.replyLeaves(b, request, granted))).toMatch(
      /node 1 votes for 0 in term 1, though it joins/,
    );
  });

  test("counts while it joins", () => {
    a.leads(1);
    b.write({ term: 1, votedFor: -1, joining: true });
    for (const node of [a, b]) node.append(entry(1, 1));
    a.log.commitIndex = 1;
    expect(violation(() => step(a))).toMatch(
      /1 of term 1 is committed, but only on the disks of \[0\]/,
    );
  });

  const request: RequestVote = {
    type: "RequestVote",
    term: 1,
    from: 0,
    lastLogIndex: 0,
    lastLogTerm: 0,
    preVote: false,
    leadershipTransfer: false,
  };
  const granted: Reply = { type: "RequestVoteReply", term: 1, voteGranted: true, voteState: 0 };
});

test("a read that misses what was committed when it came", () => {
  expect(violation(() => invariants.readConfirmed(0, 1, 2))).toMatch(
    /confirms a read at 1: 2 was committed/,
  );
});
