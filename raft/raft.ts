import { originalNodes, raftDefaults, type RaftOptions } from "../config/options.js";
import { silentLogger, type Logger } from "../config/logger.js";
import type { ApplyChan } from "./applyChan.js";
import { ApplyFeed } from "./applyFeed.js";
import { CoreClock } from "./coreClock.js";
import { RaftCore, type LeaseRead, type Ready, type Reply } from "./core/index.js";
import type {
  AppendEntries,
  AppendEntriesReply,
  OutgoingReply,
  OutgoingRequest,
  RequestVote,
  RequestVoteReply,
  SnapshotMeta,
  SnapshotTransfer,
  SoftState,
  TimeoutNow,
  TimeoutNowReply,
} from "./core/types.js";
import { realEnvironment, type RaftEnvironment } from "./environment.js";
import type { DiskSpace } from "./persister/diskReserve.js";
import type { Persister } from "./persister/persister.js";
import type { InstallSnapshot, InstallSnapshotReply, RaftPeer } from "./raftPeer.js";
import { HeldMessages, type Messages } from "./heldMessages.js";
import { PendingReads } from "./pendingReads.js";
import { compactionPoint, Snapshots, type TrailingLog } from "./snapshots.js";
import {
  carefulOptions,
  type RaftConfig,
  type RaftStatus,
  type StartResult,
} from "./raftConfig.js";
import { Ticker } from "./ticker.js";

const noBytes = new Uint8Array(0);
const noSnapshot: SnapshotMeta = { index: 0, term: 0 };

/**
 * The driver around the core: gives it a clock, a disk, the network and a state machine.
 *
 *     RPC, start, timers, disk -> core input --(end of turn)--> Ready -> peers, persister, applyChan
 *
 * Inputs only enqueue; one drain a turn does the sends, the save and the applies, so a batch is
 * whatever came while the last one was under way.
 */
export class Raft {
  /** Called when role, term or leader change. */
  onSoftState: (state: SoftState) => void = () => {};
  /**
   * Called once when the node can't go on: the disk failed, or an invariant does not hold. Nothing
   * was or will be acknowledged after it; the owner ends the process.
   */
  onFailure: (error: Error) => void = () => {};
  private readonly options: RaftOptions;
  private readonly mixed: boolean;
  private readonly noop: Uint8Array;
  private readonly environment: RaftEnvironment;
  private readonly log: Logger;
  private readonly ticker: Ticker;
  private readonly clock: CoreClock;
  private peers: readonly (RaftPeer | null)[] = [];
  private me = -1;
  private core!: RaftCore;
  private persister!: Persister;
  private feed!: ApplyFeed;
  private snapshots!: Snapshots;
  private state: "new" | "running" | "stopped" = "new";
  private scheduled = false;
  private readonly reads = new PendingReads();
  private readonly held = new HeldMessages();
  private replyTokens = 0;
  private readonly waitingReplies = new Map<number, (reply: Reply) => void>();
  private isJoining = false;

  constructor(config: RaftConfig = {}) {
    this.mixed = config.mixed ?? false;
    const options = { ...raftDefaults, ...config.options };
    this.options = this.mixed ? carefulOptions(options) : options;
    this.noop = config.noop ?? noBytes;
    this.environment = config.environment ?? realEnvironment;
    this.log = config.log ?? silentLogger;
    this.ticker = new Ticker(this.environment, () => this.drain());
    this.clock = new CoreClock(this.environment, this.options.electionTimeoutMsMin);
  }

  /**
   * Starts the node from what `persister` recovered. `peers[i]` calls node i; `peers[me]` is null.
   * A recovered snapshot comes first through `applyChan`.
   */
  init(
    peers: readonly (RaftPeer | null)[],
    me: number,
    persister: Persister,
    applyChan: ApplyChan,
  ): void {
    const { hardState, snapshot, entries } = persister.recovered;
    this.peers = peers;
    this.me = me;
    this.persister = persister;
    this.core = new RaftCore(
      me,
      {
        ...this.options,
        clusterSize: peers.length,
        mixed: this.mixed,
        appendBytesSafe: this.mixed ? originalNodes.appendBytesSafe : Infinity,
        noop: this.noop,
        random: () => this.environment.random(),
      },
      { hardState, snapshot: snapshot ?? noSnapshot, entries },
      this.environment.now(),
    );
    this.snapshots = new Snapshots(persister, this.options, this.environment, this.log);
    this.feed = new ApplyFeed(applyChan, this.core.log, () => this.snapshots.open());
    persister.onFailure = (error) => this.fail(error);
    persister.onSpace = (space) => this.spaceChanged(space);
    if (persister.space.isLow) this.spaceChanged(persister.space);
    applyChan.onRoom = () => this.schedule();
    peers.forEach((peer, id) => {
      if (peer !== null) peer.onDown = () => this.input((core) => core.peerDown(id));
    });
    this.state = "running";
    this.core.restarted();
    if (snapshot !== null) this.feed.snapshot(snapshot);
    this.schedule();
  }

  // --- the original's interface

  /**
   * Appends a command to the log, if this node leads. It will come back through `applyChan` at
   * `index` if it is committed; another command there tells that it was not.
   */
  start(command: Uint8Array): StartResult {
    const { core } = this;
    if (this.state !== "running") return refused(0, null);
    const result = core.propose([command]);
    if (result.outcome === "overloaded") return refused(core.term, "overloaded");
    if (result.outcome === "reluctant") return refused(core.term, "diskIsLow");
    if (result.outcome === "transferring") return refused(core.term, "handingOver");
    if (result.outcome !== "accepted") return refused(core.term, null);
    this.schedule();
    return { index: result.lastIndex, term: result.term, isLeader: true, refusal: null };
  }

  getState(): { term: number; isLeader: boolean } {
    if (this.state === "new") return { term: 0, isLeader: false };
    return { term: this.core.term, isLeader: this.core.role === "leader" };
  }

  /**
   * The state machine's state after the command at `index`. Written to disk while everything goes
   * on; then the log before it is dropped, but for `trailing`. Resolves when all that is done, or
   * false at once when a snapshot is under way or this one is not newer than the last.
   */
  async snapshot(
    index: number,
    state: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
    trailing: TrailingLog = { entriesMax: 0, bytesMax: 0 },
  ): Promise<boolean> {
    const term = this.core.log.term(index);
    if (this.state !== "running" || term < 0 || index >= this.feed.nextIndex) return false;
    const meta = { index, term };
    const bytes = await this.snapshots.take(meta, state, () => this.state === "running");
    if (bytes === null) return false;
    const through = compactionPoint(this.core.log, index, trailing);
    this.core.compact(through);
    await this.persister.compact(meta, through);
    this.log.info({ node: this.me, ...meta, bytes, through }, "snapshot taken");
    return true;
  }

  /**
   * Whether the state machine should switch to this snapshot: not when a newer one stands behind
   * it in `applyChan`.
   */
  condInstallSnapshot(lastIncludedTerm: number, lastIncludedIndex: number): boolean {
    return this.feed.isNewestSnapshot({ index: lastIncludedIndex, term: lastIncludedTerm });
  }

  // --- beyond the original

  /**
   * Asks for a linearizable read (thesis §6.4). `done` gets the index that the state machine must
   * have applied before it is read, or -1 when this node does not lead.
   */
  readIndex(done: (index: number) => void): void {
    const round = this.state === "running" ? this.core.requestRead() : 0;
    if (round === 0) {
      done(-1);
      return;
    }
    this.reads.add(round, done);
    this.schedule();
  }

  /**
   * A linearizable read without a round of messages: see `RaftOptions.readMode`. Null when this node
   * holds no lease: use `readIndex` then. Read the state machine once it has applied `index`, and
   * use what was read only if `leaseHolds` says so after that.
   */
  leaseRead(): LeaseRead | null {
    return this.state === "running" ? this.core.leaseRead(this.environment.now()) : null;
  }

  /** Whether what was read since `leaseRead` gave `read` was the newest there is. */
  leaseHolds(read: LeaseRead): boolean {
    return this.state === "running" && this.core.leaseHolds(read, this.environment.now());
  }

  /** Hands leadership to `target`, or to the follower that is furthest along. */
  transferLeadership(target = -1): boolean {
    if (this.state !== "running") return false;
    this.tick();
    const begun = this.core.transferLeadership(target);
    this.schedule();
    return begun;
  }

  status(): RaftStatus {
    const { core } = this;
    return {
      role: core.role,
      term: core.term,
      leader: core.currentLeader,
      commitIndex: core.log.commitIndex,
      lastLogIndex: core.log.lastIndex,
      firstLogIndex: core.log.firstIndex,
      snapshotIndex: this.snapshots.newest.index,
      followers: core.followers(),
    };
  }

  /** Between `init` and `stop`; requests of other nodes are refused outside of it. */
  get isRunning(): boolean {
    return this.state === "running";
  }

  /** The leader's id plus 1, or 0: what the wire calls LeaderHint. */
  get leaderHint(): number {
    return this.state === "running" ? this.core.currentLeader + 1 : 0;
  }

  /** Whether another node leads, and is known to have committed an entry of its term. */
  get followsSettledLeader(): boolean {
    if (this.state !== "running") return false;
    const { role, currentLeader, log, term } = this.core;
    return role === "follower" && currentLeader !== -1 && log.term(log.commitIndex) === term;
  }

  /** What this node believes, to be looked at only: for those who check it from outside. */
  get consensus(): Pick<RaftCore, "term" | "role" | "log"> {
    return this.core;
  }

  get clusterSize(): number {
    return this.peers.length;
  }

  get id(): number {
    return this.me;
  }

  /** Ends timers, calls and transfers. Nothing is acknowledged any more; the disk stays open. */
  async stop(): Promise<void> {
    if (this.state === "stopped") return;
    const wasRunning = this.state === "running";
    this.state = "stopped";
    this.ticker.stop();
    this.reads.fail();
    this.waitingReplies.clear();
    for (const peer of this.peers) peer?.close();
    if (!wasRunning) return;
    await this.snapshots.close();
  }

  // --- requests of other nodes; the service has checked them

  /** Node `from` sent one, in this revision of the wire. */
  heardFrom(from: number, revision: 1 | 2): void {
    this.peers[from]?.heard?.(revision);
  }

  appendEntries(request: AppendEntries, done: (reply: AppendEntriesReply) => void): void {
    const token = this.await(done as (reply: Reply) => void);
    this.input((core) => core.appendEntries(request, token));
  }

  requestVote(request: RequestVote, done: (reply: RequestVoteReply) => void): void {
    const token = this.await(done as (reply: Reply) => void);
    this.input((core) => core.requestVote(request, token));
  }

  timeoutNow(request: TimeoutNow, done: (reply: TimeoutNowReply) => void): void {
    const token = this.await(done as (reply: Reply) => void);
    this.input((core) => core.timeoutNow(request, token));
  }

  async installSnapshot(request: InstallSnapshot): Promise<InstallSnapshotReply> {
    const { term, from } = request;
    this.input((core) => core.snapshotChunk(term, from));
    if (term < this.core.term) return this.chunkReply(false, 0);
    // The answer to the last chunk was lost, or the log came from elsewhere: all of it is here.
    if (this.core.log.hasDurably(request.lastIncludedIndex))
      return this.chunkReply(true, request.totalSize);
    const result = await this.snapshots.receive(request);
    if (!result.complete) return this.chunkReply(result.stored, result.nextOffset);
    const meta = { index: request.lastIncludedIndex, term: request.lastIncludedTerm };
    const stale = term < this.core.term;
    this.input((core) => core.snapshotReceived(term, from, meta));
    this.drain();
    await this.allSaved();
    return this.chunkReply(!stale, result.nextOffset);
  }

  /**
   * A snapshot in a form that this node can't install. Its sender leads all the same.
   * @returns the term; one above the sender's deposes it.
   */
  snapshotRefused(term: number, from: number): number {
    this.input((core) => core.snapshotChunk(term, from));
    return this.core.term;
  }

  // --- one turn

  private input(apply: (core: RaftCore) => void): void {
    if (this.state !== "running") return;
    try {
      this.tick();
      apply(this.core);
    } catch (error) {
      this.fail(error as Error);
    }
    this.schedule();
  }

  private tick(): void {
    this.clock.tick(this.core, this.persister.diskSteps);
  }

  private schedule(): void {
    if (this.scheduled || this.state !== "running") return;
    this.scheduled = true;
    this.environment.schedule(() => this.drain());
  }

  private drain(): void {
    this.scheduled = false;
    if (this.state !== "running") return;
    try {
      this.tick();
      for (let ready = this.core.ready(); ready !== null; ready = this.core.ready())
        this.carryOut(ready);
      this.feed.pump();
      this.snapshots.expire();
      this.ticker.arm(this.clock.deadline(this.core));
    } catch (error) {
      this.fail(error as Error);
    }
  }

  private carryOut(ready: Ready): void {
    if (ready.softState !== null) this.announce(ready.softState);
    if (ready.readsLost) this.reads.fail();
    this.deliver(ready);
    for (const transfer of ready.snapshots) this.transferSnapshot(transfer);
    this.save(ready);
    this.feed.committed(ready.commitIndex);
    for (const read of ready.reads) this.reads.confirm(read.round, read.index);
  }

  private save(ready: Ready): void {
    const { saveId, hardState, entries, snapshot } = ready;
    if (this.core.isJoining !== this.isJoining) this.standingChanged();
    if (snapshot !== null) {
      this.persister.resetLog(snapshot).catch((error: unknown) => this.fail(error as Error));
      this.feed.snapshot(snapshot);
    }
    const messages = { requests: ready.requestsAfterPersist, replies: ready.repliesAfterPersist };
    if (saveId !== 0) {
      this.held.behindNewSave(messages);
      this.persister.save({ hardState, entries }, () => this.persisted(saveId));
    } else if (!this.held.behindLastSave(messages)) this.deliver(messages);
  }

  private persisted(saveId: number): void {
    const messages = this.held.release();
    if (this.state !== "running" || messages === undefined) return;
    this.deliver(messages);
    this.input((core) => core.persisted(saveId));
  }

  private deliver({ requests, replies }: Messages): void {
    for (const request of requests) this.send(request);
    for (const reply of replies) this.answer(reply);
  }

  private send(out: OutgoingRequest): void {
    const peer = this.peers[out.to];
    if (peer === null || peer === undefined) return;
    const { to } = out;
    if ("context" in out) {
      const { context } = out;
      peer.AppendEntries(out.request, (reply) =>
        this.input((core) => {
          if (reply === null) core.appendEntriesFailed(to, context);
          else core.appendEntriesReplied(to, context, reply);
        }),
      );
      return;
    }
    const { request } = out;
    if (request.type === "TimeoutNow") {
      peer.TimeoutNow(request, () => {});
      return;
    }
    peer.RequestVote(request, (reply) => {
      if (reply !== null) this.input((core) => core.requestVoteReplied(to, request, reply));
    });
  }

  private await(done: (reply: Reply) => void): number {
    this.replyTokens++;
    this.waitingReplies.set(this.replyTokens, done);
    return this.replyTokens;
  }

  private answer({ replyTo, reply }: OutgoingReply): void {
    const done = this.waitingReplies.get(replyTo);
    this.waitingReplies.delete(replyTo);
    done?.(reply);
  }

  private standingChanged(): void {
    this.isJoining = this.core.isJoining;
    const { term } = this.core;
    if (!this.isJoining) this.log.info({ node: this.me, term }, "node votes from now on");
    else {
      const why = "node lost data or has a new directory: it asks all others, and votes only then";
      this.log.warn({ node: this.me, term }, why);
    }
  }

  /** What was accepted is still replicated and stored: the reserve is there for it. */
  private spaceChanged(space: DiskSpace): void {
    this.core.setReluctant(space.isLow);
    const what = { node: this.me, ...space };
    if (space.isLow) this.log.warn(what, "the disk is nearly full: no writes, no leadership");
    else this.log.info(what, "the disk has room again");
    this.schedule();
  }

  private announce(state: SoftState): void {
    this.log.info({ node: this.me, ...state }, `node is ${state.role}`);
    this.onSoftState(state);
  }

  // --- snapshots

  private transferSnapshot(transfer: SnapshotTransfer): void {
    const { to, term } = transfer;
    const peer = this.peers[to];
    if (peer === null || peer === undefined) return;
    const isCurrent = (): boolean =>
      this.state === "running" && this.core.term === term && this.core.role === "leader";
    const progressed = (replyTerm: number): void =>
      this.input((core) => core.snapshotProgressed(to, term, replyTerm));
    this.log.info({ node: this.me, to }, "sending a snapshot");
    this.snapshots.send(peer, term, this.me, { isCurrent, progressed }).then(
      ({ meta, installed }) => {
        this.log.info({ node: this.me, to, ...meta, installed }, "snapshot transfer ended");
        this.input((core) => core.snapshotSent(to, term, meta, installed));
      },
      (error: unknown) => this.fail(error as Error),
    );
  }

  private chunkReply(accepted: boolean, nextOffset: number): InstallSnapshotReply {
    return { term: this.core.term, accepted, nextOffset };
  }

  /** Resolves when all that was given to the disk until now is durable. */
  private allSaved(): Promise<void> {
    return new Promise((resolve) => {
      this.persister.save({ hardState: null, entries: [] }, resolve);
    });
  }

  private fail(error: Error): void {
    if (this.state === "stopped") return;
    this.log.error({ node: this.me, err: error }, "the node can't go on");
    void this.stop();
    this.onFailure(error);
  }
}

function refused(term: number, refusal: StartResult["refusal"]): StartResult {
  return { index: -1, term, isLeader: refusal !== null, refusal };
}
