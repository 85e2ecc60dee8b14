import { BatchSize } from "./batchSize.js";
import type { CoreOptions, ProposeRefusal } from "./coreOptions.js";
import { leaseMs } from "./lease.js";
import { Progress } from "./progress.js";
import { quorumValue } from "./quorum.js";
import { entryBytes, type RaftLog } from "./raftLog.js";
import { ReadRounds } from "./readRounds.js";
import type { Outbox } from "./outbox.js";
import type {
  AppendContext,
  AppendEntriesReply,
  Entry,
  ProgressState,
  ReadState,
  SnapshotMeta,
} from "./types.js";

/** What an observer sees of a follower. */
export interface FollowerStatus {
  readonly id: number;
  readonly matchIndex: number;
  readonly nextIndex: number;
  readonly state: ProgressState;
  /** When it last answered, in ms. */
  readonly lastAckAt: number;
  /** It counts for no majority yet. */
  readonly joining: boolean;
}

/** Between two attempts of a reluctant leader to hand over, in longest election timeouts. */
const handOverPause = 4;

/** The state that a node has only while it leads, for one term. */
export class Leader {
  readonly term: number;
  /** Index of the no-op that opened the term; reads wait until it is committed (thesis §6.4). */
  readonly termStartIndex: number;
  private readonly id: number;
  private readonly options: CoreOptions;
  private readonly log: RaftLog;
  private readonly followers: Progress[];
  private readonly byId = new Map<number, Progress>();
  private readonly reads = new ReadRounds();
  private heartbeatAt: number;
  private quorumCheckAt: number;
  private uncommittedBytes = 0;
  private transferTo = -1;
  private transferUntil = 0;
  /** It is handed over because this node had rather not lead, and to one that would. */
  private seeksWilling = false;
  /** Another node was told to campaign, and may do so at any time in this term. */
  private leaseIsForfeit = false;
  /** When a reluctant leader may try next to hand over. */
  private handOverAt = -Infinity;
  private isReluctant = false;

  constructor(id: number, term: number, options: CoreOptions, log: RaftLog, now: number) {
    this.id = id;
    this.term = term;
    this.options = options;
    this.log = log;
    this.termStartIndex = log.lastIndex + 1;
    this.followers = [];
    for (let peer = 0; peer < options.clusterSize; peer++) {
      if (peer === id) continue;
      const end = (): number => log.lastIndex + 1;
      // From its own end downward, a follower is never asked for what it no longer has.
      const batch = new BatchSize(options.appendBytesSafe, options.appendBytesMax);
      const progress = new Progress(peer, end(), batch, now, options.mixed ? end : undefined);
      this.followers.push(progress);
      this.byId.set(peer, progress);
    }
    this.heartbeatAt = now + options.heartbeatMs;
    this.quorumCheckAt = now + options.electionTimeoutMsMax;
    log.append([{ index: this.termStartIndex, term, command: options.noop }]);
  }

  /** Appends commands as one batch, or refuses them all: see `RaftCore.propose`. */
  propose(commands: readonly Uint8Array[]): number | ProposeRefusal {
    if (this.transferTo !== -1) return "transferring";
    if (this.isReluctant) return "reluctant";
    const first = this.log.lastIndex + 1;
    const { term } = this;
    const entries = commands.map((command, i): Entry => ({ index: first + i, term, command }));
    let bytes = 0;
    for (const entry of entries) bytes += entryBytes(entry);
    // One batch is let through when nothing waits, or a large command could never pass.
    if (
      this.uncommittedBytes > 0 &&
      this.uncommittedBytes + bytes > this.options.uncommittedBytesMax
    )
      return "overloaded";
    this.uncommittedBytes += bytes;
    this.log.append(entries);
    return this.log.lastIndex;
  }

  joinRead(): number {
    return this.reads.join();
  }

  /** The time of the next thing that happens by itself. */
  get nextDeadline(): number {
    return Math.min(this.heartbeatAt, this.quorumCheckAt);
  }

  /**
   * CheckQuorum (thesis §6.2): false when no majority answered for an election timeout, so that a
   * leader that was cut off does not go on believing that it leads.
   */
  tick(now: number): boolean {
    if (this.transferTo !== -1 && now >= this.transferUntil) this.transferTo = -1;
    if (now >= this.quorumCheckAt) {
      this.quorumCheckAt = now + this.options.electionTimeoutMsMin / 2;
      const since = this.quorumOf(now, (follower) => follower.lastAckAt);
      if (now - since >= this.options.electionTimeoutMsMax) return false;
    }
    return true;
  }

  /** The moment since which a majority, this node among it, is known to have followed. */
  private quorumAckedSince(now: number): number {
    return this.quorumOf(now, (follower) => follower.ackedSentAt);
  }

  /**
   * Whether at `now` no newer leader can exist (thesis §6.4.1), and all that older ones committed
   * is known to be. CheckQuorum and the refusal of votes that it comes with make this hold; a
   * transfer of leadership sets them aside, so it ends the lease.
   */
  holdsLease(now: number): boolean {
    if (this.leaseIsForfeit || this.transferTo !== -1) return false;
    if (this.log.commitIndex < this.termStartIndex) return false;
    return now - this.quorumAckedSince(now) < leaseMs(this.options);
  }

  /** Writes whatever is due to each follower into `outbox`. */
  replicate(outbox: Outbox, now: number): void {
    this.beginReadRound(outbox);
    const beat = now >= this.heartbeatAt;
    if (beat) this.heartbeatAt = now + this.options.heartbeatMs;
    for (const follower of this.followers) this.replicateTo(follower, beat, outbox, now);
  }

  /** Whether `replicate` has something to do. */
  isDue(now: number): boolean {
    if (now >= this.heartbeatAt || this.reads.canBegin) return true;
    return this.followers.some(
      (follower) =>
        this.hasEntriesFor(follower) || (this.owesRound(follower) && this.mayBeat(follower)),
    );
  }

  replied(from: number, context: AppendContext, reply: AppendEntriesReply, now: number): void {
    const follower = this.byId.get(from);
    if (follower === undefined || context.term !== this.term) return;
    if (!follower.judgeStanding(context, reply, this.log.lastIndex)) return;
    follower.answered(context, now);
    if (follower.id === this.transferTo && !follower.willing) this.seekAnother();
    if (reply.success) follower.succeeded(context);
    else follower.refused(context, reply.updateNextIndex);
    // A snapshot under way that the follower no longer needs, for it has the log from elsewhere.
    if (follower.state === "snapshot" && follower.matchIndex + 1 >= this.log.firstIndex)
      follower.becomeProbe();
  }

  failed(to: number, context: AppendContext): void {
    if (context.term === this.term) this.byId.get(to)?.failed(context);
  }

  snapshotSent(to: number, meta: SnapshotMeta, installed: boolean, now: number): void {
    const follower = this.byId.get(to);
    if (follower === undefined) return;
    follower.transferring = false;
    if (follower.state !== "snapshot") return;
    if (installed) follower.lastAckAt = now;
    follower.snapshotEnded(meta.index, installed);
  }

  /** A chunk of a snapshot was taken: the follower is alive though it appends nothing. */
  heardFrom(from: number, now: number): void {
    const follower = this.byId.get(from);
    if (follower !== undefined) follower.lastAckAt = now;
  }

  /**
   * The index that may be committed: a majority has it durably, and it is of this term
   * (Raft §5.3, §5.4.2). This node's own disk is one vote, when it is done and not before.
   */
  commitCandidate(): number {
    const index = this.quorumOf(this.log.durableIndex, (follower) => follower.matchIndex);
    return index > this.log.commitIndex && this.log.term(index) === this.term ? index : 0;
  }

  committed(from: number, to: number): void {
    for (let index = Math.max(from, this.termStartIndex + 1); index <= to; index++)
      this.uncommittedBytes -= this.log.bytesAt(index);
  }

  confirmReads(): ReadState | null {
    if (!this.reads.isOut) return null;
    return this.reads.confirm(this.quorumOf(this.reads.stamp, (follower) => follower.ackedRound));
  }

  /**
   * Leadership transfer (thesis §3.10): proposals stop, the target catches up, then it is told to
   * campaign at once. Returns false when `target` is not a follower.
   */
  beginTransfer(target: number, now: number): boolean {
    // One that joins would not campaign.
    if (this.byId.get(target)?.joining !== 0) return false;
    this.transferTo = target;
    this.transferUntil = now + this.options.electionTimeoutMsMax;
    this.seeksWilling = false;
    return true;
  }

  /** The follower to send TimeoutNow to, once. */
  takeReadyTransfer(): number {
    const target = this.byId.get(this.transferTo);
    if (target === undefined || target.matchIndex !== this.log.lastIndex) return -1;
    this.transferTo = -2;
    this.leaseIsForfeit = true;
    return target.id;
  }

  /**
   * The follower to hand leadership to: the one that is furthest along, of those that are willing
   * if there are any; -1 when none answers.
   */
  bestSuccessor(now: number): number {
    const willing = this.willingSuccessor(now);
    return willing === -1 ? this.furthest(now, () => true) : willing;
  }

  /** See `RaftCore.setReluctant`. */
  setReluctant(reluctant: boolean): void {
    this.isReluctant = reluctant;
    if (!reluctant) this.seekAnother();
  }

  /** Begins to hand over if this node had rather not lead and another is willing. */
  handOver(now: number): boolean {
    if (!this.isReluctant || this.transferTo !== -1 || now < this.handOverAt) return false;
    const successor = this.willingSuccessor(now);
    if (successor === -1) return false;
    this.handOverAt = now + handOverPause * this.options.electionTimeoutMsMax;
    this.beginTransfer(successor, now);
    this.seeksWilling = true;
    return true;
  }

  status(): FollowerStatus[] {
    return this.followers.map(({ id, matchIndex, nextIndex, state, lastAckAt, joining }) => ({
      id,
      matchIndex,
      nextIndex,
      state,
      lastAckAt,
      joining: joining !== 0,
    }));
  }

  /** Nothing comes of a hand-over whose reason is gone; once the other was told, it is too late. */
  private seekAnother(): void {
    if (!this.seeksWilling || this.transferTo < 0) return;
    this.transferTo = -1;
    this.handOverAt = -Infinity;
  }

  private willingSuccessor(now: number): number {
    return this.furthest(now, (follower) => follower.willing);
  }

  private furthest(now: number, suits: (follower: Progress) => boolean): number {
    let best: Progress | undefined;
    for (const follower of this.followers) {
      if (now - follower.lastAckAt >= this.options.electionTimeoutMsMin) continue;
      if (follower.joining !== 0 || !suits(follower)) continue;
      if (best === undefined || follower.matchIndex > best.matchIndex) best = follower;
    }
    return best?.id ?? -1;
  }

  private quorumOf(own: number, valueOf: (follower: Progress) => number): number {
    const values = [own];
    for (const follower of this.followers)
      values.push(follower.joining === 0 ? valueOf(follower) : -Infinity);
    return quorumValue(values);
  }

  private beginReadRound(outbox: Outbox): void {
    if (!this.reads.canBegin) return;
    this.reads.begin(Math.max(this.log.commitIndex, this.termStartIndex));
    const alone = this.confirmReads();
    if (alone !== null) outbox.reads.push(alone);
  }

  /**
   * The leader's own disk is held to what a follower's is: a majority may commit without it (thesis
   * §10.2.1), but what it has yet to write would grow without end under a load that it can't bear.
   */
  private hasEntriesFor(follower: Progress): boolean {
    return (
      follower.nextIndex <= this.log.indexAhead(this.options.inflightBytesMax) &&
      follower.canSend(this.options.inflightMax, this.options.inflightBytesMax)
    );
  }

  private replicateTo(follower: Progress, beat: boolean, outbox: Outbox, now: number): void {
    if (beat) follower.resume();
    const before = follower.sequence;
    while (this.hasEntriesFor(follower)) {
      if (!this.sendEntries(follower, outbox, now)) break;
    }
    const sent = follower.sequence !== before;
    if (sent || !(beat || this.owesRound(follower)) || !this.mayBeat(follower)) return;
    if (this.options.mixed) this.sendCarefulHeartbeat(follower, outbox, now);
    else this.sendHeartbeat(follower, outbox, now);
  }

  private owesRound(follower: Progress): boolean {
    return this.reads.isOut && follower.sentRound !== this.reads.stamp;
  }

  /** A follower that takes one request at a time needs no heartbeat behind one that is out. */
  private mayBeat(follower: Progress): boolean {
    return !this.options.mixed || follower.inflight === 0;
  }

  private sendEntries(follower: Progress, outbox: Outbox, now: number): boolean {
    const prevLogIndex = follower.nextIndex - 1;
    const prevLogTerm = this.log.term(prevLogIndex);
    if (prevLogTerm < 0) {
      follower.becomeSnapshot();
      if (!follower.transferring) outbox.snapshots.push({ to: follower.id, term: this.term });
      follower.transferring = true;
      return false;
    }
    const { appendEntriesMax } = this.options;
    const entries = this.log.slice(follower.nextIndex, appendEntriesMax, follower.batch.bytes);
    follower.sent(this.send(follower, prevLogIndex, prevLogTerm, entries, outbox, now));
    return true;
  }

  /** At `matchIndex`, where the follower's log is known to agree, or at the start of every log. */
  private sendHeartbeat(follower: Progress, outbox: Outbox, now: number): void {
    const matchTerm = this.log.term(follower.matchIndex);
    const prevLogIndex = matchTerm < 0 ? 0 : follower.matchIndex;
    const prevLogTerm = matchTerm < 0 ? 0 : matchTerm;
    follower.heartbeatSent(this.send(follower, prevLogIndex, prevLogTerm, [], outbox, now));
  }

  /** Where the next entry would go, or at the end of the log, from where a refusal leads back. */
  private sendCarefulHeartbeat(follower: Progress, outbox: Outbox, now: number): void {
    const { log } = this;
    const nothing: readonly Entry[] = [];
    const prevLogIndex = follower.nextIndex - 1;
    const prevLogTerm = log.term(prevLogIndex);
    if (follower.state === "snapshot" || prevLogTerm < 0) {
      const at = [log.lastIndex, log.lastTerm] as const;
      follower.heartbeatSent(this.send(follower, ...at, nothing, outbox, now));
    } else {
      follower.sent(this.send(follower, prevLogIndex, prevLogTerm, nothing, outbox, now));
    }
  }

  /**
   * A follower that can't take these entries refuses what it has; one that gets a request at a time
   * has no other reason than that it lost it. Nor does a node of the original tell that it began anew.
   */
  private isProof(entries: readonly Entry[]): boolean {
    return entries.length === 0 || this.options.mixed;
  }

  private send(
    follower: Progress,
    prevLogIndex: number,
    prevLogTerm: number,
    entries: readonly Entry[],
    outbox: Outbox,
    now: number,
  ): AppendContext {
    let bytes = 0;
    for (const entry of entries) bytes += entryBytes(entry);
    const lastIndex = prevLogIndex + entries.length;
    const { commitIndex } = this.log;
    const context: AppendContext = {
      term: this.term,
      prevLogIndex,
      lastIndex,
      bytes,
      proven: this.isProof(entries) && prevLogIndex > 0 && prevLogIndex <= follower.matchIndex,
      readRound: this.reads.stamp,
      sentAt: now,
      sequence: follower.sequence + 1,
    };
    outbox.requests.push({
      to: follower.id,
      request: {
        type: "AppendEntries",
        term: this.term,
        from: this.id,
        prevLogIndex,
        prevLogTerm,
        entries,
        leaderCommit: this.options.mixed ? Math.min(commitIndex, lastIndex) : commitIndex,
        admits: follower.admission,
      },
      context,
    });
    return context;
  }
}
