import { Campaign } from "./campaign.js";
import type { CoreOptions, CoreStart, ProposeResult } from "./coreOptions.js";
import { appendToLog } from "./follower.js";
import { invariant } from "./invariant.js";
import { askForTerm, Joining, lostEntries } from "./joining.js";
import type { LeaseRead } from "./lease.js";
import { Leader, type FollowerStatus } from "./leader.js";
import { Outbox } from "./outbox.js";
import { RaftLog } from "./raftLog.js";
import type {
  AppendContext,
  AppendEntries,
  AppendEntriesReply,
  HardState,
  Ready,
  RequestVote,
  RequestVoteReply,
  Role,
  SnapshotMeta,
  SoftState,
  TimeoutNow,
} from "./types.js";

/** The original's `VoteState`. */
const voteState = { refused: 1, expired: 2, granted: 3 } as const;
const hurriedPreVotesMax = 8;
/** The original's `UpdateNextIndex` for a stale term. */
const staleTermHint = -100;

/**
 * Raft as a pure state machine, after etcd's: time, randomness, messages and the disk's progress go
 * in; `ready` gives out everything that is to be done. It has no clock, no I/O and no promise, so
 * one sequence of inputs gives one sequence of outputs.
 *
 *                election timeout         majority says yes        majority votes
 *     follower ------------------> pre-candidate ---------> candidate ---------> leader
 *        ^ <-------------------------------+                    |                  |
 *        +------------------------------------------------------+------------------+
 *            a newer term, a leader of this term, or no majority answers
 */
export class RaftCore {
  readonly id: number;
  readonly log: RaftLog;
  private readonly options: CoreOptions;
  private now: number;
  private currentTerm: number;
  private votedFor: number;
  private currentRole: Role = "follower";
  private leaderId = -1;
  /**
   * The leader of the current term, be it silent now, whom others may hear still. "unknown": this
   * process began in a term of an earlier one. "none": nobody was heard to lead it, or its leader's
   * process is gone.
   */
  private termLeader: number | "unknown" | "none" = "none";
  private leader: Leader | null = null;
  private campaign: Campaign | null = null;
  /** Not null: this node does not vote. */
  private joining: Joining | null = null;
  private electionAt = 0;
  /** When a leader was last heard; a vote is refused for a while after it. */
  private leaderHeardAt = -Infinity;
  /** Pre-votes left that follow each other quickly, because no leader is there to be waited for. */
  private hurriedPreVotes = 0;
  private outbox = new Outbox();
  private hardStateDirty = false;
  private reported: SoftState;
  private reportedCommit: number;
  private lastSaveId = 0;
  private durableSaveId = 0;
  /** The last save that holds a changed hard state. */
  private hardStateSaveId = 0;
  /** When the oldest save that is under way was handed out. */
  private saveTimes: number[] = [];
  private steppedDown: SoftState["steppedDown"];
  /** When the disk was last seen to do something. */
  private diskMovedAt: number;
  private reluctant = false;

  constructor(id: number, options: CoreOptions, start: CoreStart, now: number) {
    this.id = id;
    this.options = options;
    this.log = new RaftLog(start.snapshot, start.entries);
    this.currentTerm = start.hardState.term;
    this.votedFor = start.hardState.votedFor;
    this.now = now;
    this.diskMovedAt = now;
    this.reported = this.softState();
    this.reportedCommit = this.log.commitIndex;
    if (this.currentTerm > 0) this.termLeader = "unknown";
    // What it answered before it was restarted may uphold a leader's lease.
    if (options.readMode === "lease" && this.currentTerm > 0) this.leaderHeardAt = now;
    this.resetElectionTimer();
    if (options.clusterSize === 1) this.electionAt = now;
    else if (start.hardState.joining === true) this.joining = this.newJoining();
  }

  get term(): number {
    return this.currentTerm;
  }

  get role(): Role {
    return this.currentRole;
  }

  /** The leader of the current term, or -1. */
  get currentLeader(): number {
    return this.leaderId;
  }

  /** What the leader knows of its followers; empty on another node. */
  followers(): FollowerStatus[] {
    return this.leader?.status() ?? [];
  }

  /** Whether this node neither votes nor counts for a majority yet. */
  get isJoining(): boolean {
    return this.joining !== null;
  }

  // --- time

  /** When `tick` must come at the latest, in ms. */
  get nextDeadline(): number {
    if (this.joining !== null) return this.joining.askAt;
    return this.leader === null ? this.electionAt : this.leader.nextDeadline;
  }

  /** The time is `now`, in ms of a monotonic clock. Comes before any other input of this moment. */
  tick(now: number): void {
    this.advance(now);
    if (this.leader !== null) this.tickLeader(this.leader);
    else if (this.joining !== null) this.askOthers(this.joining);
    else if (this.now >= this.electionAt) this.startPreVote();
  }

  /** As `tick`, but nobody is taken for dead yet, nor the disk: what they said may be unread. */
  advance(now: number): void {
    this.now = Math.max(this.now, now);
  }

  // --- what the application asks

  /**
   * Appends commands to the leader's log. They are committed, or lost with a later term, in the
   * order given.
   */
  propose(commands: readonly Uint8Array[]): ProposeResult {
    if (this.leader === null) return { outcome: "notLeader" };
    const result = this.leader.propose(commands);
    if (typeof result === "string") return { outcome: result };
    return { outcome: "accepted", lastIndex: result, term: this.currentTerm };
  }

  /** Asks for a linearizable read: the round that a `ReadState` will name, or 0 off the leader. */
  requestRead(): number {
    return this.leader?.joinRead() ?? 0;
  }

  /**
   * A linearizable read without a round (thesis §6.4.1), at `now` of the clock that `tick` gets; null
   * when this node holds no lease. The value counts only if `leaseHolds` is true after it was read:
   * between the two the process may have stood still while others elected a leader.
   */
  leaseRead(now: number): LeaseRead | null {
    const read = { index: this.log.commitIndex, term: this.currentTerm };
    return this.options.readMode === "lease" && this.leaseHolds(read, now) ? read : null;
  }

  leaseHolds({ term }: LeaseRead, now: number): boolean {
    return this.leader !== null && this.currentTerm === term && this.leader.holdsLease(now);
  }

  /**
   * Hands leadership to `target`, or to the follower that is furthest along when it is -1.
   * Returns false when this node does not lead or nobody can take over.
   */
  transferLeadership(target: number): boolean {
    if (this.leader === null) return false;
    const successor = target === -1 ? this.leader.bestSuccessor(this.now) : target;
    const begun = this.leader.beginTransfer(successor, this.now);
    this.advanceLeader(this.leader);
    return begun;
  }

  /**
   * Whether this node had rather not lead, because it can take nothing new. While it leads it
   * refuses proposals, goes on replicating and reading, and hands over as soon as it knows of a
   * follower that is willing. It campaigns as ever: where all are reluctant, one leads.
   */
  setReluctant(reluctant: boolean): void {
    this.reluctant = reluctant;
    this.leader?.setReluctant(reluctant);
  }

  /** The state machine's snapshot at `index` is durable: entries up to `through` may go. */
  compact(through: number): void {
    this.log.compact(through);
  }

  // --- what others send

  appendEntries(request: AppendEntries, replyTo: number): void {
    if (!this.acceptLeader(request.term, request.from)) {
      const reply = this.appendReply(false, staleTermHint);
      this.outbox.reply(replyTo, reply, this.hardStateUnsaved);
      return;
    }
    const result = appendToLog(this.log, request);
    this.judgeStanding(request, result.success);
    const reply = this.appendReply(result.success, result.updateNextIndex, request.byOriginal);
    // A reply that reveals nothing unsaved does not wait for the disk: it may confirm a read.
    const unsaved = this.hardStateUnsaved || result.matchIndex > this.log.durableIndex;
    this.outbox.reply(replyTo, reply, unsaved);
  }

  requestVote(request: RequestVote, replyTo: number): void {
    const decides = this.joining === null;
    const granted =
      decides && (request.preVote ? this.decidePreVote(request) : this.decideVote(request));
    const reply: RequestVoteReply = {
      type: "RequestVoteReply",
      term: this.currentTerm,
      voteGranted: granted,
      voteState: this.voteStateOf(request, granted),
    };
    this.outbox.reply(replyTo, reply, this.hardStateUnsaved);
  }

  /** A leader sends a chunk of a snapshot. Returns false when its term is stale. */
  snapshotChunk(term: number, from: number): boolean {
    return this.acceptLeader(term, from);
  }

  /**
   * A whole snapshot has come and is on disk. Returns whether it replaces the log; if not, this
   * node has everything in it already, or the sender's term is stale.
   */
  snapshotReceived(term: number, from: number, meta: SnapshotMeta): boolean {
    if (!this.acceptLeader(term, from) || meta.index <= this.log.commitIndex) return false;
    if (this.log.term(meta.index) === meta.term) {
      // The entries are here already; the snapshot tells no more than that they are committed.
      this.log.commitTo(meta.index);
      return false;
    }
    this.log.restore(meta);
    this.outbox.snapshot = meta;
    return true;
  }

  timeoutNow(request: TimeoutNow, replyTo: number): void {
    const follows = request.term === this.currentTerm && this.leaderId === request.from;
    if (follows && this.leader === null && this.joining === null) this.startElection(true);
    this.outbox.reply(
      replyTo,
      { type: "TimeoutNowReply", term: this.currentTerm },
      this.hardStateUnsaved,
    );
  }

  // --- what others answer

  appendEntriesReplied(from: number, context: AppendContext, reply: AppendEntriesReply): void {
    if (this.stepDownIfNewer(reply.term) || this.leader === null) return;
    // What comes from an older term of this leader, or of the follower, was overtaken.
    if (context.term !== this.currentTerm || reply.term !== this.currentTerm) return;
    this.leader.replied(from, context, reply, this.now);
    this.advanceLeader(this.leader);
  }

  /** An AppendEntries got no answer. */
  appendEntriesFailed(to: number, context: AppendContext): void {
    this.leader?.failed(to, context);
  }

  requestVoteReplied(from: number, request: RequestVote, reply: RequestVoteReply): void {
    const isNewer = this.stepDownIfNewer(reply.term);
    if (this.joining !== null) {
      if (request.preVote && request.term === 0) this.heardTerm(this.joining, from, reply.term);
      return;
    }
    if (isNewer) return;
    const campaign = this.campaign;
    if (campaign === null || campaign.preVote !== request.preVote) return;
    if (campaign.term !== request.term) return;
    const granted = reply.byOriginal === true ? this.isWilling(reply.term) : reply.voteGranted;
    campaign.record(from, granted);
    this.decideCampaign(campaign);
  }

  /** A follower took a chunk of the snapshot under way. */
  snapshotProgressed(from: number, term: number, replyTerm: number): void {
    if (this.stepDownIfNewer(replyTerm) || term !== this.currentTerm) return;
    this.leader?.heardFrom(from, this.now);
  }

  /** The transfer that `Ready.snapshots` asked for ended. */
  snapshotSent(to: number, term: number, meta: SnapshotMeta, installed: boolean): void {
    if (term !== this.currentTerm || this.leader === null) return;
    this.leader.snapshotSent(to, meta, installed, this.now);
    this.advanceLeader(this.leader);
  }

  /**
   * The connection to a node is closed and a new one was refused: its process is gone. If it led,
   * waiting for the election timeout would be idle; a pre-vote disturbs nobody, and a majority must
   * agree that the leader is gone. Those who notice later than this node refuse at first, so it is
   * asked anew a few times.
   *
   * With lease reads nothing happens: where no process listens any more, one may still be reading.
   */
  peerDown(peer: number): void {
    if (peer === this.termLeader) this.termLeader = "none";
    if (this.leader !== null || peer !== this.leaderId || this.joining !== null) return;
    if (this.options.readMode === "lease") return;
    this.leaderHeardAt = -Infinity;
    this.leaderId = -1;
    this.preVoteSoon();
  }

  /**
   * The process began anew, and no leader has spoken to it yet. Where one leads, a pre-vote comes to
   * nothing; where all have been down, each would wait an election timeout for nobody. A node of the
   * original knows no pre-vote.
   */
  restarted(): void {
    if (this.joining !== null || this.options.readMode === "lease") return;
    if (!this.options.mixed && this.currentTerm > 0) this.preVoteSoon();
  }

  // --- the disk

  /** The save `saveId`, and with it all before, is durable. */
  persisted(saveId: number): void {
    invariant(
      saveId > this.durableSaveId && saveId <= this.lastSaveId,
      () => `save ${saveId} reported after ${this.durableSaveId} of ${this.lastSaveId}`,
    );
    this.saveTimes.splice(0, saveId - this.durableSaveId);
    this.durableSaveId = saveId;
    this.log.saved(saveId);
    const campaign = this.campaign;
    // The candidate's own vote counts like any other: once it is on disk.
    if (campaign !== null && !campaign.preVote && !this.hardStateUnsaved) {
      campaign.record(this.id, true);
      this.decideCampaign(campaign);
    }
    if (this.leader !== null) this.advanceLeader(this.leader);
  }

  /** A sync came back, be it in the middle of a save that takes many. */
  diskMoved(now: number): void {
    this.diskMovedAt = now;
  }

  // --- output

  /** Whether `ready` would return something. */
  hasReady(): boolean {
    return (
      !this.outbox.isEmpty ||
      this.hardStateDirty ||
      this.log.hasUnsaved ||
      this.log.commitIndex !== this.reportedCommit ||
      this.softStateChanged() ||
      (this.leader !== null && this.leader.isDue(this.now))
    );
  }

  /** Everything to be done since the last call, or null. The caller does all of it. */
  ready(): Ready | null {
    if (!this.hasReady()) return null;
    this.leader?.replicate(this.outbox, this.now);
    const outbox = this.outbox;
    this.outbox = new Outbox();
    const hardState = this.takeHardState();
    const saveId =
      hardState !== null || this.log.hasUnsaved || outbox.snapshot !== null ? this.nextSaveId() : 0;
    if (hardState !== null) this.hardStateSaveId = saveId;
    const entries = saveId === 0 ? [] : this.log.takeUnsaved(saveId);
    const softState = this.softStateChanged() ? this.softState() : null;
    if (softState !== null) this.reported = softState;
    this.reportedCommit = this.log.commitIndex;
    return {
      saveId,
      hardState,
      snapshot: outbox.snapshot,
      entries,
      requests: outbox.requests,
      replies: outbox.replies,
      snapshots: outbox.snapshots,
      requestsAfterPersist: outbox.requestsAfterPersist,
      repliesAfterPersist: outbox.repliesAfterPersist,
      commitIndex: this.reportedCommit,
      reads: outbox.reads,
      readsLost: outbox.readsLost,
      softState,
    };
  }

  // --- roles

  private tickLeader(leader: Leader): void {
    const stalled = Math.max(this.saveTimes[0] ?? this.now, this.diskMovedAt);
    if (this.now - stalled >= this.options.electionTimeoutMsMax) this.stepDown("its disk stalls");
    else if (!leader.tick(this.now)) this.stepDown("no quorum answers");
    else if (leader.handOver(this.now)) this.advanceLeader(leader);
  }

  private stepDown(reason: SoftState["steppedDown"]): void {
    this.becomeFollower(this.currentTerm, -1);
    this.steppedDown = reason;
  }

  private becomeFollower(term: number, leaderId: number): void {
    invariant(term >= this.currentTerm, () => `term ${this.currentTerm} -> ${term}`);
    if (term > this.currentTerm) {
      this.currentTerm = term;
      this.votedFor = -1;
      this.termLeader = "none";
      this.hardStateDirty = true;
    }
    if (this.leader !== null) this.outbox.readsLost = true;
    const wasFollower = this.currentRole === "follower";
    this.currentRole = "follower";
    this.leader = null;
    this.steppedDown = undefined;
    this.campaign = null;
    this.leaderId = leaderId;
    if (!wasFollower) this.resetElectionTimer();
  }

  /** Thesis §9.6: asks whether an election could be won before disturbing anyone with one. */
  private startPreVote(): void {
    this.becomeFollower(this.currentTerm, -1);
    this.currentRole = "pre-candidate";
    this.campaign = new Campaign(true, this.currentTerm + 1, this.options.clusterSize);
    this.resetElectionTimer();
    if (this.hurriedPreVotes > 0) this.hurry(this.options.heartbeatMs);
    this.campaign.record(this.id, true);
    this.askForVotes(this.campaign, false);
    this.decideCampaign(this.campaign);
  }

  private startElection(leadershipTransfer: boolean): void {
    this.currentRole = "candidate";
    this.leaderId = -1;
    this.termLeader = "none";
    this.currentTerm++;
    this.votedFor = this.id;
    this.hardStateDirty = true;
    this.campaign = new Campaign(false, this.currentTerm, this.options.clusterSize);
    this.resetElectionTimer();
    this.askForVotes(this.campaign, leadershipTransfer);
  }

  private askForVotes(campaign: Campaign, leadershipTransfer: boolean): void {
    const request: RequestVote = {
      type: "RequestVote",
      term: campaign.term,
      from: this.id,
      lastLogIndex: this.log.lastIndex,
      lastLogTerm: this.log.lastTerm,
      preVote: campaign.preVote,
      leadershipTransfer,
    };
    for (let peer = 0; peer < this.options.clusterSize; peer++)
      if (peer !== this.id) this.outbox.requestsAfterPersist.push({ to: peer, request });
  }

  private decideCampaign(campaign: Campaign): void {
    if (campaign.isWon) {
      if (campaign.preVote) this.startElection(false);
      else this.becomeLeader();
    } else if (campaign.isLost) {
      this.becomeFollower(this.currentTerm, -1);
    }
  }

  private becomeLeader(): void {
    this.currentRole = "leader";
    this.campaign = null;
    this.leaderId = this.id;
    this.leader = new Leader(this.id, this.currentTerm, this.options, this.log, this.now);
    this.leader.setReluctant(this.reluctant);
  }

  /** Commits what a majority has, and does what waited for that. */
  private advanceLeader(leader: Leader): void {
    const before = this.log.commitIndex;
    const index = leader.commitCandidate();
    if (index !== 0) {
      this.log.commitTo(index);
      leader.committed(before + 1, index);
    }
    const read = leader.confirmReads();
    if (read !== null) this.outbox.reads.push(read);
    const successor = leader.takeReadyTransfer();
    if (successor !== -1) {
      const request: TimeoutNow = { type: "TimeoutNow", term: this.currentTerm, from: this.id };
      this.outbox.requests.push({ to: successor, request });
    }
  }

  // --- joining

  private newJoining(): Joining {
    return new Joining(this.options.random, this.options.clusterSize, this.now);
  }

  private askOthers(joining: Joining): void {
    if (this.now < joining.askAt) return;
    joining.askAt = this.now + this.options.electionTimeoutMsMin / 2;
    for (let peer = 0; peer < this.options.clusterSize; peer++) {
      if (peer === this.id || joining.hasHeard(peer)) continue;
      this.outbox.requests.push({ to: peer, request: askForTerm(this.id) });
    }
  }

  private heardTerm(joining: Joining, from: number, term: number): void {
    joining.heardFrom(from, term);
    const isNew = joining.clusterIsNew && this.currentTerm === 0 && this.log.lastIndex === 0;
    if (isNew) this.becomeVoter(-1);
  }

  /**
   * The leader's word on whether this node votes; only what follows on its log counts. One of the
   * original has none, but each of its requests goes up to the end of its log: to a new process, that
   * is all that an earlier one can have acknowledged.
   */
  private judgeStanding({ admits, from, byOriginal }: AppendEntries, success: boolean): void {
    const { joining } = this;
    if (joining === null) {
      if (admits === lostEntries) this.loseVote();
    } else if (success && joining.heardAll && (admits === joining.nonce || byOriginal === true)) {
      // It may have voted for another in this term, and not know it any more.
      this.becomeVoter(this.votedFor === -1 ? from : this.votedFor);
    }
  }

  private loseVote(): void {
    this.joining = this.newJoining();
    this.hardStateDirty = true;
  }

  private becomeVoter(votedFor: number): void {
    this.joining = null;
    this.votedFor = votedFor;
    this.hardStateDirty = true;
    this.resetElectionTimer();
  }

  // --- terms and votes

  /**
   * A message of the leader of `term`. Returns false when the term is stale, and then nothing has
   * changed: not even the election timer.
   */
  private acceptLeader(term: number, from: number): boolean {
    if (term < this.currentTerm) return false;
    // Two leaders in one term can only be two processes that run under one id.
    if (term === this.currentTerm && this.leader !== null) return false;
    this.becomeFollower(term, from);
    this.termLeader = from;
    this.leaderHeardAt = this.now;
    this.hurriedPreVotes = 0;
    this.resetElectionTimer();
    return true;
  }

  private stepDownIfNewer(term: number): boolean {
    if (term <= this.currentTerm) return false;
    this.becomeFollower(term, -1);
    return true;
  }

  /**
   * Thesis §4.2.3: a node that hears from a leader lets nobody else start an election. Also when it
   * has learned of a newer term meanwhile: the leader of the older one may hold a lease by its word.
   */
  private get hasLiveLeader(): boolean {
    if (this.leader !== null) return true;
    return this.now - this.leaderHeardAt < this.options.electionTimeoutMsMin;
  }

  private decidePreVote(request: RequestVote): boolean {
    if (this.hasLiveLeader || request.term <= this.currentTerm) return false;
    if (!this.log.isUpToDate(request.lastLogIndex, request.lastLogTerm)) return false;
    if (this.campaign?.preVote === true) this.giveWayTo(request);
    return true;
  }

  /**
   * Whether a node of the original that is in `term` counts as willing in a pre-vote, which it does
   * not know. Where it hears no leader it campaigns within the longest election timeout: so as long as
   * it stays in the term of a leader that may be alive, it hears that leader, or leads itself.
   */
  private isWilling(term: number): boolean {
    return term < this.currentTerm || this.termLeader === "none";
  }

  /**
   * Of two that ask for pre-votes at once each would win, vote for itself, and wait for a time-out:
   * the one with the older log, or else the lower id, leaves it to the other.
   */
  private giveWayTo({ from, lastLogIndex, lastLogTerm }: RequestVote): void {
    const equal = lastLogIndex === this.log.lastIndex && lastLogTerm === this.log.lastTerm;
    if (equal && from < this.id) return;
    this.becomeFollower(this.currentTerm, -1);
    if (this.hurriedPreVotes > 0) this.hurry(this.options.heartbeatMs);
  }

  private decideVote(request: RequestVote): boolean {
    if (request.term < this.currentTerm) return false;
    if (this.hasLiveLeader && !request.leadershipTransfer) return false;
    this.stepDownIfNewer(request.term);
    const free = this.votedFor === -1 || this.votedFor === request.from;
    if (!free || this.leaderId !== -1) return false;
    if (!this.log.isUpToDate(request.lastLogIndex, request.lastLogTerm)) return false;
    if (this.votedFor === -1) {
      this.votedFor = request.from;
      this.hardStateDirty = true;
    }
    this.resetElectionTimer();
    return true;
  }

  private voteStateOf(request: RequestVote, granted: boolean): number {
    if (granted) return voteState.granted;
    return request.term < this.currentTerm ? voteState.expired : voteState.refused;
  }

  private appendReply(
    success: boolean,
    updateNextIndex: number,
    byOriginal = false,
  ): AppendEntriesReply {
    // A leader of the original heeds no reply of a node that joins, and would not go back for it.
    const isHeard = byOriginal && this.joining?.heardAll === true;
    const joining = isHeard ? undefined : this.joining?.nonce;
    return {
      type: "AppendEntriesReply",
      term: this.currentTerm,
      success,
      updateNextIndex,
      joining,
      reluctant: this.reluctant ? true : undefined,
    };
  }

  /** Raft §5.2: drawn anew each time, so that split votes are rare and resolve. */
  private resetElectionTimer(): void {
    const { electionTimeoutMsMin, electionTimeoutMsMax, random } = this.options;
    const spread = electionTimeoutMsMax - electionTimeoutMsMin;
    this.electionAt = this.now + electionTimeoutMsMin + random() * spread;
  }

  private preVoteSoon(): void {
    this.hurriedPreVotes = hurriedPreVotesMax;
    this.hurry(0);
  }

  /** Brings the next pre-vote close; drawn at random, so that two nodes don't ask in step. */
  private hurry(waitMs: number): void {
    if (waitMs > 0) this.hurriedPreVotes--;
    const next = this.now + waitMs + this.options.random() * this.options.heartbeatMs;
    this.electionAt = Math.min(this.electionAt, next);
  }

  // --- bookkeeping

  private get hardStateUnsaved(): boolean {
    return this.hardStateDirty || this.hardStateSaveId > this.durableSaveId;
  }

  private takeHardState(): HardState | null {
    if (!this.hardStateDirty) return null;
    this.hardStateDirty = false;
    const hardState = { term: this.currentTerm, votedFor: this.votedFor };
    return this.joining === null ? hardState : { ...hardState, joining: true };
  }

  private nextSaveId(): number {
    this.saveTimes.push(this.now);
    return ++this.lastSaveId;
  }

  private softState(): SoftState {
    const state = { role: this.currentRole, term: this.currentTerm, leader: this.leaderId };
    return this.steppedDown === undefined ? state : { ...state, steppedDown: this.steppedDown };
  }

  private softStateChanged(): boolean {
    const { role, term, leader } = this.reported;
    return role !== this.currentRole || term !== this.currentTerm || leader !== this.leaderId;
  }
}
