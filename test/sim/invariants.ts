import type {
  AppendEntries,
  Entry,
  HardState,
  RaftCore,
  Reply,
  RequestVote,
  TimeoutNow,
} from "../../raft/core/index.js";
import type { DiskObserver, DurableState, SnapshotImage } from "./durableState.js";

/** A rule was broken; the run that finds it adds its seed and its last events. */
export class InvariantViolation extends Error {
  override readonly name = "InvariantViolation";
}

/** What the invariants see of a node's memory. */
export interface CoreView extends Pick<RaftCore, "term" | "role"> {
  readonly log: Pick<
    RaftCore["log"],
    "firstIndex" | "lastIndex" | "commitIndex" | "term" | "entry"
  >;
}

/** What the invariants see of a node. */
export interface NodeView {
  readonly id: number;
  /** Null while the node is down; another object after each start. */
  readonly core: CoreView | null;
  readonly durable: DurableState;
}

/** How often whole logs are compared, and not only what changed. */
const stepsPerFullCheck = 20_000;

type Request = AppendEntries | RequestVote | TimeoutNow;

interface Registered {
  readonly entry: Entry;
  /** Term of the entry in front of it. */
  readonly prevTerm: number;
}

interface Committed {
  readonly entry: Entry;
  /** The term of the node that was first seen to have committed it. */
  readonly inTerm: number;
}

/** What one node was like after its last step. */
interface Shadow {
  core: NodeView["core"];
  log: (Entry | undefined)[];
  commitIndex: number;
  term: number;
  leadsTerm: number;
  appliedIndex: number;
  hardState: HardState;
  /** What its disk held when it was wiped; null once it votes again. */
  forgotten: DurableState | null;
  /** Terms that the disk has ever held at an index. */
  everDurable: number[][];
  votes: Map<number, number>;
}

/**
 * What must hold in every Raft cluster at every moment (Raft Figure 3, and the rules of §5 and §6
 * that they rest on). Call `afterStep` for a node whenever it did something, and the other methods
 * where their names say.
 */
export class Invariants implements DiskObserver {
  private nodes: readonly NodeView[] = [];
  private readonly shadows: Shadow[] = [];
  private steps = 0;
  private readonly leaders = new Map<number, number>();
  /** By index, then one for each term. */
  private readonly registry: Registered[][] = [];
  private readonly committed: Committed[] = [];
  private readonly hashes: number[] = [];
  /** By index, then by term: what clients were told. */
  private readonly accepted: Map<number, Uint8Array>[] = [];

  watch(nodes: readonly NodeView[]): void {
    this.nodes = nodes;
    for (const _ of nodes) this.shadows.push(newShadow());
  }

  /** The highest index that any node was ever seen to have committed. */
  get commitIndex(): number {
    return Math.max(0, this.committed.length - 1);
  }

  committedEntry(index: number): Entry | undefined {
    return this.committed[index]?.entry;
  }

  /** After every step of `node`, and after it went down or came back. */
  afterStep(node: NodeView): void {
    const shadow = this.shadow(node.id);
    const { core } = node;
    if (core !== shadow.core) this.restarted(shadow, node);
    if (core === null) return;
    if (++this.steps % stepsPerFullCheck === 0) this.checkAll();
    this.termOnlyGrows(shadow, node, core.term);
    this.votersRemember(shadow, node);
    this.logIsKnown(shadow, node);
    this.commitIsSafe(shadow, node);
    if (core.role === "leader") this.leaderIsRightful(shadow, node);
    shadow.leadsTerm = core.role === "leader" ? core.term : 0;
  }

  // --- logs

  /**
   * Log Matching: an index and a term name one entry, and with it the entry in front of it; by
   * induction all before. A leader's log is append-only.
   */
  private logIsKnown(shadow: Shadow, node: NodeView): void {
    const { log, term, role } = node.core!;
    const stillLeads = role === "leader" && shadow.leadsTerm === term;
    const last = log.lastIndex;
    check(!stillLeads || last >= shadow.log.length - 1, () => [
      `Leader Append-Only: leader ${node.id} of term ${term} cut its log to ${last}`,
    ]);
    for (let index = last; index >= Math.max(log.firstIndex, shadow.commitIndex + 1); index--) {
      const entry = log.entry(index);
      const before = shadow.log[index];
      // Logs change at their end; `checkAll` looks at the rest now and then.
      if (before !== undefined && isSameEntry(before, entry)) break;
      check(!stillLeads || before === undefined, () => [
        `Leader Append-Only: leader ${node.id} of term ${term} rewrote ${index}`,
      ]);
      this.register(node.id, entry, log.term(index - 1));
      shadow.log[index] = entry;
    }
    if (shadow.log.length !== last + 1) shadow.log.length = last + 1;
  }

  private register(node: number, entry: Entry, prevTerm: number): void {
    const known = (this.registry[entry.index] ??= []);
    const same = known.find((other) => other.entry.term === entry.term);
    if (same === undefined) {
      known.push({ entry, prevTerm });
      return;
    }
    check(isSameEntry(same.entry, entry) && (prevTerm === -1 || same.prevTerm === prevTerm), () => [
      `Log Matching: node ${node} has another entry ${entry.index} of term ${entry.term},`,
      `after one of term ${prevTerm} and not ${same.prevTerm}`,
    ]);
  }

  // --- terms, votes, leaders

  private termOnlyGrows(shadow: Shadow, node: NodeView, term: number): void {
    check(term >= shadow.term && term >= node.durable.hardState.term, () => [
      `term of node ${node.id} went back from ${shadow.term} to ${term}`,
      `with ${node.durable.hardState.term} on disk`,
    ]);
    shadow.term = term;
  }

  /** Election Safety and Leader Completeness. */
  private leaderIsRightful(shadow: Shadow, node: NodeView): void {
    const { term } = node.core!;
    if (shadow.leadsTerm === term) return;
    const other = this.leaders.get(term) ?? node.id;
    check(other === node.id, () => [`Election Safety: ${other} and ${node.id} lead term ${term}`]);
    check(!this.leaders.has(term), () => [`node ${node.id} leads term ${term} a second time`]);
    this.leaders.set(term, node.id);
    const { hardState } = node.durable;
    check(hardState.term === term && hardState.votedFor === node.id, () => [
      `node ${node.id} leads term ${term} by a vote of its own that is not on its disk`,
    ]);
    for (let index = this.commitIndex; index > 0; index--) {
      if (this.committed[index]!.inTerm < term) this.leaderHas(node, index);
    }
  }

  private leaderHas(leader: NodeView, index: number): void {
    const { log, term } = leader.core!;
    const { entry } = this.committed[index]!;
    check(index < log.firstIndex - 1 || log.term(index) === entry.term, () => [
      `Leader Completeness: leader ${leader.id} of term ${term} lacks ${index} of term`,
      `${entry.term}, which is committed`,
    ]);
  }

  // --- commitment

  private commitIsSafe(shadow: Shadow, node: NodeView): void {
    const { log, term } = node.core!;
    check(log.commitIndex >= shadow.commitIndex && log.commitIndex <= log.lastIndex, () => [
      `commit index of node ${node.id} went from ${shadow.commitIndex} to ${log.commitIndex}`,
      `with ${log.lastIndex} as last`,
    ]);
    if (log.commitIndex === shadow.commitIndex) return;
    const from = Math.max(shadow.commitIndex + 1, log.firstIndex);
    this.agreesAt(node, from - 1);
    for (let index = from; index <= log.commitIndex; index++) {
      const entry = log.entry(index);
      const known = this.committed[index];
      if (known === undefined) this.newlyCommitted(node, entry, term);
      else this.agreesAt(node, index);
    }
    shadow.commitIndex = log.commitIndex;
  }

  private newlyCommitted(node: NodeView, entry: Entry, inTerm: number): void {
    const { index } = entry;
    check(index === Math.max(1, this.committed.length), () => [
      `node ${node.id} commits ${index} after ${this.commitIndex}`,
    ]);
    this.committed[index] = { entry, inTerm };
    const promised = this.accepted[index]?.get(entry.term);
    check(promised === undefined || isSameBytes(promised, entry.command), () => [
      `${index} of term ${entry.term} is not the command that was accepted for it`,
    ]);
    this.majorityHolds(index);
    for (const other of this.nodes) {
      if (other.core?.role === "leader" && other.core.term > inTerm) this.leaderHas(other, index);
    }
  }

  /** State Machine Safety, seen in the logs. */
  private agreesAt(node: NodeView, index: number): void {
    if (index === 0) return;
    const { log } = node.core!;
    const known = this.committed[index]?.entry;
    check(known !== undefined && log.term(index) === known.term, () => [
      `State Machine Safety: node ${node.id} committed ${index} of term ${log.term(index)},`,
      `not of ${known?.term}`,
    ]);
  }

  /** What is committed is on the disks of a majority, and stays there. */
  majorityHolds(index: number): void {
    if (index === 0) return;
    const { term } = this.committed[index]!.entry;
    const holders = this.nodes.filter((node) => this.vouches(node, index, term));
    check(holders.length * 2 > this.nodes.length, () => [
      `${index} of term ${term} is committed, but only on the disks of`,
      `[${holders.map(({ id }) => id).join(" ")}] of ${this.nodes.length}`,
    ]);
  }

  /**
   * Whether no majority can do without `node` that lacks the entry: it has it, and votes. One that
   * was wiped has no vote either, so that what it had before still stands in the way of a majority
   * without it; what it has got since does not count.
   */
  private vouches({ id, durable }: NodeView, index: number, term: number): boolean {
    const { forgotten } = this.shadow(id);
    if (forgotten !== null) return forgotten.holds(index, term);
    return durable.hardState.joining !== true && durable.holds(index, term);
  }

  // --- disks

  /** Its disk is lost, with all that `node.durable` holds; the next one is new. */
  wiped({ id, durable }: NodeView): void {
    const shadow = this.shadow(id);
    if (durable.hardState.joining !== true) shadow.forgotten ??= durable;
    shadow.hardState = newHardState;
    shadow.everDurable = [];
    // A candidacy that was forgotten before it won wins no more: those who voted for it, and forgot
    // that too, need not be told of it.
    for (const { votes } of this.shadows) {
      for (const [term, candidate] of votes)
        if (candidate === id && this.leaders.get(term) !== id) votes.delete(term);
    }
  }

  /** A node that was wiped votes again when it has all that it could help to lose, not before. */
  private votersRemember(shadow: Shadow, { durable }: NodeView): void {
    if (shadow.forgotten === null || durable.hardState.joining === true) return;
    shadow.forgotten = null;
    for (let index = 1; index <= this.commitIndex; index++) this.majorityHolds(index);
  }

  /** Terms and votes never go back on a disk. */
  hardStateWritten(node: number, state: HardState): void {
    const shadow = this.shadow(node);
    const { term, votedFor } = shadow.hardState;
    const keepsVote = votedFor === -1 || votedFor === state.votedFor;
    check(state.term > term || (state.term === term && keepsVote), () => [
      `disk of node ${node} went from term ${term}, vote ${votedFor}`,
      `to term ${state.term}, vote ${state.votedFor}`,
    ]);
    shadow.hardState = state;
  }

  entryWritten(node: number, { index, term }: Entry): void {
    const terms = (this.shadow(node).everDurable[index] ??= []);
    if (!terms.includes(term)) terms.push(term);
  }

  /**
   * A disk may lose a committed entry that it got from an older leader, while its writes lag behind
   * its log; never one that the commitment rests on.
   */
  logRewritten(from: number, last: number): void {
    for (let index = from; index <= Math.min(last, this.commitIndex); index++)
      this.majorityHolds(index);
  }

  snapshotWritten(node: number, { meta, hash }: SnapshotImage): void {
    check(this.committed[meta.index]?.entry.term === meta.term, () => [
      `node ${node} has a snapshot of ${meta.index} in term ${meta.term}: not committed`,
    ]);
    this.stateIs(node, meta.index, hash);
  }

  /** A request of an older term changes nothing: not the log, not a role, not even a timer. */
  staleRequestServed(node: NodeView, before: string, after: string): void {
    check(before === after, () => [
      `a request of an older term took node ${node.id} from ${before} to ${after}`,
    ]);
  }

  // --- what leaves a node

  /** A leader and a candidate speak only of what is on their disk. */
  requestLeaves(node: NodeView, request: Request): void {
    const { hardState } = node.durable;
    const isPreVote = request.type === "RequestVote" && request.preVote;
    check(isPreVote || hardState.term >= request.term, () => [
      `node ${node.id} sends ${request.type} of term ${request.term} with ${hardState.term} on disk`,
    ]);
    if (request.type !== "RequestVote" || isPreVote) return;
    this.voteLeaves(node, request.term, node.id);
  }

  /** Term, vote and entries are durable before the reply that reveals them leaves (Figure 2). */
  replyLeaves(node: NodeView, request: Request, reply: Reply): void {
    const { hardState } = node.durable;
    check(hardState.term >= reply.term, () => [
      `node ${node.id} reveals term ${reply.term} with ${hardState.term} on disk`,
    ]);
    if (reply.type === "RequestVoteReply" && request.type === "RequestVote") {
      if (reply.voteGranted && !request.preVote) this.voteLeaves(node, request.term, request.from);
    }
    if (reply.type === "AppendEntriesReply" && request.type === "AppendEntries") {
      if (reply.success) this.acknowledgementLeaves(node, request);
    }
  }

  private voteLeaves(node: NodeView, term: number, candidate: number): void {
    const { hardState } = node.durable;
    check(hardState.joining !== true, () => [
      `node ${node.id} votes for ${candidate} in term ${term}, though it joins`,
    ]);
    const isDurable = hardState.term === term && hardState.votedFor === candidate;
    check(isDurable || hardState.term > term, () => [
      `node ${node.id} votes for ${candidate} in term ${term}: its disk has`,
      `term ${hardState.term}, vote ${hardState.votedFor}`,
    ]);
    const { votes } = this.shadow(node.id);
    const before = votes.get(term) ?? candidate;
    check(before === candidate, () => [
      `node ${node.id} votes for ${before} and ${candidate} in term ${term}`,
    ]);
    votes.set(term, candidate);
  }

  private acknowledgementLeaves(node: NodeView, request: AppendEntries): void {
    const index = request.prevLogIndex + request.entries.length;
    const term = request.entries.at(-1)?.term ?? request.prevLogTerm;
    const wasDurable = this.shadow(node.id).everDurable[index]?.includes(term) ?? false;
    // What a newer leader removed again before it was saved need not have been saved: the disk
    // tells that the node has moved on to that leader.
    const wasOvertaken =
      node.durable.hardState.term > request.term && node.core?.log.term(index) !== term;
    check(index === 0 || wasDurable || wasOvertaken || node.durable.holds(index, term), () => [
      `node ${node.id} acknowledges ${index} of term ${term}, which its disk never had`,
    ]);
  }

  /**
   * A process comes up with `found` on its disk, to which all of `promised` was reported durable,
   * but for entries from `uncertainFrom` on: a write under way may have replaced them.
   */
  recovered(promised: DurableState, found: DurableState, uncertainFrom = Infinity): void {
    const { node } = promised;
    for (let index = promised.firstIndex; index <= promised.lastIndex; index++) {
      const term = promised.term(index);
      check(index >= uncertainFrom || found.holds(index, term), () => [
        `node ${node} lost ${index} of term ${term} from its disk`,
      ]);
    }
    const snapshot = promised.snapshot?.meta.index ?? 0;
    check((found.snapshot?.meta.index ?? 0) >= snapshot, () => [
      `node ${node} lost its snapshot of ${snapshot}`,
    ]);
  }

  // --- state machines and clients

  /**
   * State Machine Safety. A snapshot that has just come may be applied in place of an older one that
   * was announced, a moment before the core learns of it; `snapshotWritten` saw what it holds.
   */
  applied(node: NodeView, index: number, hash: number): void {
    const shadow = this.shadow(node.id);
    const snapshot = node.durable.snapshot?.meta.index ?? 0;
    const committed = Math.max(node.core?.log.commitIndex ?? 0, snapshot);
    check(index > shadow.appliedIndex && index <= committed, () => [
      `state machine of node ${node.id} went from ${shadow.appliedIndex} to ${index}`,
    ]);
    shadow.appliedIndex = index;
    this.stateIs(node.id, index, hash);
  }

  /**
   * State Machine Safety: equal states at equal indexes. A negative hash is none: the state was not
   * looked at there.
   */
  stateIs(node: number, index: number, hash: number): void {
    if (hash < 0) return;
    const known = (this.hashes[index] ??= hash);
    check(known === hash, () => [`State Machine Safety: node ${node} differs at ${index}`]);
  }

  /** A leader told a client where its command stands if it is committed in that leader's term. */
  proposalAccepted(index: number, term: number, command: Uint8Array): void {
    (this.accepted[index] ??= new Map()).set(term, command);
  }

  /**
   * A client was told that its write is done, at a node that had applied all up to `index`: that is
   * committed and on a majority's disks, from where nothing may take it.
   */
  writeAcknowledged(node: NodeView, index: number): void {
    this.afterStep(node);
    check(index > 0 && index <= this.commitIndex, () => [
      `node ${node.id} acknowledges a write at ${index}: ${this.commitIndex} is committed`,
    ]);
    this.majorityHolds(index);
  }

  /** Thesis §6.4: a read sees all that was committed anywhere when it was asked for. */
  readConfirmed(node: number, index: number, commitWhenAsked: number): void {
    check(index >= commitWhenAsked, () => [
      `node ${node} confirms a read at ${index}: ${commitWhenAsked} was committed when it came`,
    ]);
  }

  /** Everything again that `afterStep` checks in steps: all of all logs. */
  checkAll(): void {
    for (const node of this.nodes) {
      const { core } = node;
      if (core === null) continue;
      const { commitIndex } = this.shadow(node.id);
      for (let index = core.log.firstIndex; index <= core.log.lastIndex; index++) {
        this.register(node.id, core.log.entry(index), core.log.term(index - 1));
        if (index <= commitIndex) this.agreesAt(node, index);
      }
    }
    this.majorityHolds(this.commitIndex);
  }

  private restarted(shadow: Shadow, node: NodeView): void {
    shadow.core = node.core;
    shadow.log = [];
    shadow.term = 0;
    shadow.leadsTerm = 0;
    shadow.commitIndex = 0;
    shadow.appliedIndex = 0;
  }

  private shadow(node: number): Shadow {
    return this.shadows[node]!;
  }
}

const newHardState: HardState = { term: 0, votedFor: -1 };

function newShadow(): Shadow {
  return {
    core: null,
    log: [],
    commitIndex: 0,
    term: 0,
    leadsTerm: 0,
    appliedIndex: 0,
    hardState: newHardState,
    forgotten: null,
    everDurable: [],
    votes: new Map(),
  };
}

function check(condition: boolean, describe: () => readonly string[]): void {
  if (!condition) throw new InvariantViolation(describe().join(" "));
}

function isSameEntry(a: Entry, b: Entry): boolean {
  return a === b || (a.index === b.index && a.term === b.term && isSameBytes(a.command, b.command));
}

function isSameBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let at = 0; at < a.length; at++) if (a[at] !== b[at]) return false;
  return true;
}
