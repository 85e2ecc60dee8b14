import { askForTerm, type RequestVote, type RequestVoteReply } from "../../../raft/core/index.js";
import {
  appendEntries,
  electionTimeoutMsMax,
  electionTimeoutMsMin,
  heartbeatMs,
  logOf,
  TestNode,
  type OutgoingAppend,
} from "./harness.js";
import { OriginalFollower } from "./originalFollower.js";

/** One that votes, campaigns and leads as the original does: without a pre-vote, and for ever. */
export class OriginalNode extends OriginalFollower {
  readonly id: number;
  role: "follower" | "candidate" | "leader" = "follower";
  private votedFor = -1;
  private electionAt = 0;
  private readonly random: () => number;

  constructor(id: number, terms: readonly number[], random: () => number) {
    super(logOf(terms), terms.length);
    this.id = id;
    this.random = random;
    this.term = terms.at(-1) ?? 0;
  }

  get lastTerm(): number {
    return this.entries.at(-1)?.term ?? 0;
  }

  isDue(now: number): boolean {
    return this.role !== "leader" && now >= this.electionAt;
  }

  campaign(now: number): RequestVote {
    this.role = "candidate";
    this.term++;
    this.votedFor = this.id;
    this.resetTimer(now);
    return {
      ...askForTerm(this.id),
      term: this.term,
      lastLogIndex: this.lastIndex,
      lastLogTerm: this.lastTerm,
      preVote: false,
    };
  }

  meet(term: number): void {
    if (term > this.term) this.votedFor = -1;
    this.term = term;
    this.role = "follower";
  }

  heard(term: number, now: number): void {
    if (term < this.term) return;
    this.meet(term);
    this.resetTimer(now);
  }

  vote(request: RequestVote, now: number): RequestVoteReply {
    if (request.term > this.term) this.meet(request.term);
    const upToDate =
      request.lastLogTerm > this.lastTerm ||
      (request.lastLogTerm === this.lastTerm && request.lastLogIndex >= this.lastIndex);
    const free = this.votedFor === -1 || this.votedFor === request.from;
    const voteGranted = request.term === this.term && upToDate && free;
    if (voteGranted) {
      this.votedFor = request.from;
      this.resetTimer(now);
    }
    return { type: "RequestVoteReply", term: this.term, voteGranted, voteState: 0 };
  }

  private resetTimer(now: number): void {
    const spread = electionTimeoutMsMax - electionTimeoutMsMin;
    this.electionAt = now + electionTimeoutMsMin + this.random() * spread;
  }
}

const stepMs = 5;

/** A node of ours, 0, and two of the original; a call takes no time, or is lost. */
export class ElectionCluster {
  readonly node: TestNode;
  readonly originals: readonly OriginalNode[];
  /** "1>0": calls of node 1 to node 0 are lost. */
  readonly cut = new Set<string>();
  /** Neither answer nor act. */
  readonly still = new Set<number>();

  /** @param terms Of each node's log, ours first. */
  constructor(terms: readonly (readonly number[])[], random: () => number) {
    const [own, ...others] = terms;
    this.node = new TestNode({ mixed: true, inflightMax: 1, entries: logOf(own!), random });
    this.originals = others.map((log, i) => new OriginalNode(i + 1, log, random));
    for (const original of this.originals) original.heard(original.term, this.node.now);
  }

  /** Ids of those that lead, as far as they know. */
  get leaders(): number[] {
    const all = this.originals.filter(({ role }) => role === "leader").map(({ id }) => id);
    if (this.node.core.role === "leader") all.unshift(0);
    return all.filter((id) => !this.still.has(id));
  }

  run(ms: number, until: () => boolean = () => false): boolean {
    for (const end = this.node.now + ms; this.node.now < end;) {
      if (until()) return true;
      this.node.elapse(stepMs);
      for (const original of this.originals) if (!this.still.has(original.id)) this.act(original);
      this.deliver();
    }
    return until();
  }

  private reaches(from: number, to: number): boolean {
    return !this.cut.has(`${from}>${to}`) && !this.still.has(to) && !this.still.has(from);
  }

  private act(original: OriginalNode): void {
    const { now } = this.node;
    if (original.isDue(now)) this.campaign(original);
    if (original.role !== "leader" || now % heartbeatMs !== 0) return;
    for (const other of this.originals)
      if (other !== original && this.reaches(original.id, other.id))
        other.heard(original.term, now);
    if (this.reaches(original.id, 0)) this.replicate(original, original.lastIndex);
  }

  /** Everything behind `prevIndex`, as the original sends it, until ours has it. */
  private replicate(leader: OriginalNode, prevIndex: number): void {
    const { term, id } = leader;
    const terms = leader.entries.map((entry) => entry.term);
    const after = [prevIndex, prevIndex === 0 ? 0 : terms[prevIndex - 1]!] as const;
    const request = appendEntries({ term, from: id, after, terms: terms.slice(prevIndex) });
    const reply = this.node.append({ ...request, byOriginal: true });
    if (reply.term > term) leader.meet(reply.term);
    else if (!reply.success) this.replicate(leader, reply.updateNextIndex - 1);
  }

  private campaign(candidate: OriginalNode): void {
    const { now } = this.node;
    const request = candidate.campaign(now);
    let votes = 1;
    const count = ({ term, voteGranted }: RequestVoteReply): void => {
      if (term > candidate.term) candidate.meet(term);
      else if (voteGranted) votes++;
    };
    for (const other of this.originals)
      if (other !== candidate && this.reaches(candidate.id, other.id))
        count(other.vote(request, now));
    if (this.reaches(candidate.id, 0)) count(this.node.vote(request));
    if (candidate.role === "candidate" && votes >= 2) candidate.role = "leader";
  }

  private deliver(): void {
    for (let { requests } = this.node.settle(); requests.length > 0;) {
      for (const out of requests) {
        if ("context" in out) this.append(out);
        else if (out.request.type === "RequestVote") this.ask(out.to, out.request);
      }
      ({ requests } = this.node.settle());
    }
  }

  private append({ to, request, context }: OutgoingAppend): void {
    if (!this.reaches(0, to)) return this.node.core.appendEntriesFailed(to, context);
    const original = this.originals[to - 1]!;
    original.heard(request.term, this.node.now);
    this.node.core.appendEntriesReplied(to, context, original.append(request));
  }

  /** As `MixedPeer` does: a pre-vote asks for the term alone. */
  private ask(to: number, request: RequestVote): void {
    if (!this.reaches(0, to)) return;
    const asked = request.preVote ? askForTerm(0) : request;
    const reply = this.originals[to - 1]!.vote(asked, this.node.now);
    const byOriginal = request.preVote ? { voteGranted: false, byOriginal: true } : {};
    this.node.core.requestVoteReplied(to, request, { ...reply, ...byOriginal });
  }
}
