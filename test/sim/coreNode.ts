import {
  RaftCore,
  type OutgoingReply,
  type OutgoingRequest,
  type ProposeResult,
  type Ready,
  type Reply,
} from "../../raft/core/index.js";
import { ChainMachine } from "./chainMachine.js";
import { CoreSnapshots } from "./coreSnapshots.js";
import type { CoreTuning } from "./coreTuning.js";
import { DurableState, type SnapshotImage } from "./durableState.js";
import type { Invariants, NodeView } from "./invariants.js";
import { NodeClock } from "./nodeClock.js";
import type { Prng } from "./prng.js";
import { SimDisk } from "./simDisk.js";
import type { Served, SimRpc } from "./simRpc.js";
import type { Trace } from "./trace.js";
import type { VirtualClock } from "./virtualClock.js";

/** What the nodes of a run share. */
export interface World {
  readonly clock: VirtualClock;
  readonly rpc: SimRpc;
  readonly trace: Trace;
  readonly invariants: Invariants;
  readonly tuning: CoreTuning;
  readonly node: (id: number) => CoreNode;
  readonly onRequest: (out: OutgoingRequest) => void;
}

type CoreRequest = OutgoingRequest["request"];

interface PendingReply {
  readonly request: CoreRequest;
  readonly respond: (reply: Reply) => void;
}

interface PendingSave {
  readonly id: number;
  readonly requests: OutgoingRequest[];
  readonly replies: OutgoingReply[];
}

interface PendingRead {
  readonly round: number;
  /** What was committed anywhere when the read was asked for. */
  readonly commitWhenAsked: number;
}

/**
 * A `RaftCore` with a simulated clock, disk, network and state machine: what `raft/raft.ts` is to
 * the real ones. A node can be up, paused (what reaches it waits) or down.
 */
export class CoreNode implements NodeView {
  readonly id: number;
  readonly durable: DurableState;
  readonly disk: SimDisk;
  readonly clock: NodeClock;
  core: RaftCore | null = null;
  machine = new ChainMachine();
  /** Since the start of the run. */
  readsConfirmed = 0;
  private readonly world: World;
  private readonly prng: Prng;
  private isPaused = false;
  private inbox: (() => void)[] = [];
  private cancelTimer: () => void = () => {};
  private isDrainDue = false;
  private saves: PendingSave[] = [];
  private reads: PendingRead[] = [];
  private replies = new Map<number, PendingReply>();
  private replyTokens = 0;
  private snapshots: CoreSnapshots;

  constructor(id: number, world: World, prng: Prng) {
    const { tuning, clock, invariants } = world;
    this.id = id;
    this.world = world;
    this.prng = prng;
    this.clock = new NodeClock(clock, prng.between(0, 1_000_000), 1);
    this.drift();
    this.durable = new DurableState(id, invariants);
    this.disk = new SimDisk(this.durable, clock, prng.fork(), tuning.disk);
    this.snapshots = new CoreSnapshots(this, world, 0);
  }

  // --- up and down

  start(): void {
    if (this.core !== null) return;
    const { tuning, invariants } = this.world;
    const recovered = this.durable.recover();
    this.core = new RaftCore(
      this.id,
      {
        ...tuning.node,
        clusterSize: tuning.clusterSize,
        mixed: false,
        appendBytesSafe: Infinity,
        noop: new Uint8Array(0),
        random: this.prng.float,
      },
      recovered,
      this.clock.now,
    );
    this.event("start", this.core.term, this.core.log.commitIndex, this.core.log.lastIndex);
    this.machine = new ChainMachine();
    this.snapshots = new CoreSnapshots(this, this.world, recovered.snapshot.index);
    invariants.afterStep(this);
    if (this.durable.snapshot !== null) this.restore(this.durable.snapshot);
    this.drain();
  }

  /** Everything that is not on the disk is gone. */
  crash(): void {
    if (this.core === null) return;
    this.event("crash");
    this.core = null;
    this.disk.crash();
    this.cancelTimer();
    this.isPaused = false;
    this.isDrainDue = false;
    this.inbox = [];
    this.saves = [];
    this.reads = [];
    this.replies = new Map();
    this.world.invariants.afterStep(this);
    this.world.invariants.majorityHolds(this.world.invariants.commitIndex);
  }

  /** The clock takes another pace, within what the run's conditions allow. */
  drift(): void {
    this.clock.runAt(1 + this.prng.between(-1, 1) * this.world.tuning.node.clockDriftMax);
  }

  pause(): void {
    if (this.core === null) return;
    this.event("pause");
    this.isPaused = true;
  }

  resume(): void {
    if (!this.isPaused) return;
    this.event("resume");
    this.isPaused = false;
    const { core, inbox } = this;
    this.inbox = [];
    for (const task of inbox) if (this.core === core) task();
  }

  // --- clients

  /** Reads that were neither confirmed nor told lost. */
  get readsPending(): number {
    return this.reads.length;
  }

  propose(commands: readonly Uint8Array[]): ProposeResult | null {
    let result: ProposeResult | null = null;
    this.input("propose", (core) => {
      result = core.propose(commands);
    });
    return result;
  }

  read(): void {
    this.input("read", (core) => {
      const { invariants } = this.world;
      const lease = core.leaseRead(this.clock.now);
      if (lease !== null) {
        this.readsConfirmed++;
        invariants.readConfirmed(this.id, lease.index, invariants.commitIndex);
        return;
      }
      const round = core.requestRead();
      const commitWhenAsked = invariants.commitIndex;
      if (round !== 0) this.reads.push({ round, commitWhenAsked });
    });
  }

  transfer(target: number): void {
    this.input("transfer", (core) => core.transferLeadership(target));
  }

  // --- one turn

  /** Something reaches the node; while it is paused it waits in its sockets. */
  input(what: string, apply: (core: RaftCore) => void, ...details: number[]): Served {
    const { core } = this;
    if (core === null) return "down";
    if (this.isPaused) {
      this.inbox.push(() => this.input(what, apply, ...details));
      return "served";
    }
    this.event(what, ...details);
    core.tick(this.clock.now);
    apply(core);
    this.world.invariants.afterStep(this);
    this.scheduleDrain();
    return "served";
  }

  /** For what comes back later: it is of no interest to the node's next life. */
  inThisLife(task: () => void): () => void {
    const { core } = this;
    return () => {
      if (this.core === core) task();
    };
  }

  private scheduleDrain(): void {
    const { turnMsMax, promptTurnChance } = this.world.tuning.node;
    if (this.isDrainDue) return;
    if (this.prng.chance(promptTurnChance)) {
      this.drain();
      return;
    }
    this.isDrainDue = true;
    const delay = this.prng.between(0, turnMsMax);
    this.world.clock.after(
      delay,
      this.inThisLife(() => this.drain()),
    );
  }

  /** Does all that the core wants done. */
  drain(): void {
    const { core } = this;
    if (core === null) return;
    this.isDrainDue = false;
    if (this.isPaused) {
      this.inbox.push(() => this.drain());
      return;
    }
    core.tick(this.clock.now);
    for (let ready = core.ready(); ready !== null; ready = core.ready()) this.carryOut(ready);
    this.world.invariants.afterStep(this);
    this.applyCommitted(core);
    this.armTimer(core);
  }

  private armTimer(core: RaftCore): void {
    const { timerLateMsMax } = this.world.tuning.node;
    this.cancelTimer();
    const wait = this.clock.lasts(Math.max(0, core.nextDeadline - this.clock.now));
    this.cancelTimer = this.world.clock.after(
      wait + 0.001 + this.prng.between(0, timerLateMsMax),
      this.inThisLife(() => this.drain()),
    );
  }

  private carryOut(ready: Ready): void {
    const { role, term } = this.core!;
    this.event(role, term, ready.saveId, ready.commitIndex, ready.entries.length);
    if (ready.readsLost) this.reads = [];
    for (const request of ready.requests) this.send(request);
    for (const reply of ready.replies) this.answer(reply);
    for (const transfer of ready.snapshots) this.snapshots.send(transfer);
    this.save(ready);
    for (const { round, index } of ready.reads) this.confirmReads(round, index);
  }

  // --- the disk

  private save(ready: Ready): void {
    const { saveId, hardState, entries, snapshot } = ready;
    const { requestsAfterPersist: requests, repliesAfterPersist: replies } = ready;
    if (saveId === 0) {
      this.afterLastSave(requests, replies);
      return;
    }
    this.saves.push({ id: saveId, requests: [...requests], replies: [...replies] });
    const reset = snapshot === null ? {} : { reset: snapshot };
    this.disk.append(
      { ...reset, hardState, entries },
      this.inThisLife(() => this.saved(saveId)),
    );
    if (snapshot !== null) this.restore(this.snapshots.take(snapshot));
  }

  /** What is said now may rest on a save that is still under way. */
  private afterLastSave(
    requests: readonly OutgoingRequest[],
    replies: readonly OutgoingReply[],
  ): void {
    const last = this.saves.at(-1);
    if (last !== undefined) {
      last.requests.push(...requests);
      last.replies.push(...replies);
      return;
    }
    for (const request of requests) this.send(request);
    for (const reply of replies) this.answer(reply);
  }

  private saved(saveId: number): void {
    const isNewest = this.saves.at(-1)?.id === saveId;
    if (!isNewest && this.prng.chance(this.world.tuning.node.lateReportChance)) return;
    this.input("saved", (core) => {
      while (this.saves.length > 0 && this.saves[0]!.id <= saveId) {
        const { requests, replies } = this.saves.shift()!;
        for (const request of requests) this.send(request);
        for (const reply of replies) this.answer(reply);
      }
      core.persisted(saveId);
    });
  }

  // --- the network

  private send(out: OutgoingRequest): void {
    const { to, request } = out;
    this.world.invariants.requestLeaves(this, request);
    this.world.onRequest(out);
    const { core } = this;
    this.world.rpc.call<Reply>({
      from: this.id,
      to,
      mayRepeat: true,
      serve: (respond) => this.world.node(to).serve(request, respond),
      done: (reply) => {
        if (this.core === core) this.input(reply?.type ?? "failed", () => told(core!, out, reply));
      },
      refused: this.inThisLife(() => this.input("down", (now) => now.peerDown(to))),
    });
  }

  private serve(request: CoreRequest, respond: (reply: Reply) => void): Served {
    const take = (core: RaftCore): void => {
      const token = ++this.replyTokens;
      this.replies.set(token, { request, respond });
      const before = request.term < core.term ? describe(core) : null;
      if (request.type === "AppendEntries") core.appendEntries(request, token);
      else if (request.type === "RequestVote") core.requestVote(request, token);
      else core.timeoutNow(request, token);
      if (before !== null) this.world.invariants.staleRequestServed(this, before, describe(core));
    };
    return this.input(request.type, take, request.from, request.term, ...extentOf(request));
  }

  private answer({ replyTo, reply }: OutgoingReply): void {
    const pending = this.replies.get(replyTo);
    if (pending === undefined) throw new Error(`node ${this.id} answers ${replyTo} twice`);
    this.replies.delete(replyTo);
    this.world.invariants.replyLeaves(this, pending.request, reply);
    pending.respond(reply);
  }

  /** A chunk of a snapshot arrives: see `CoreSnapshots`. */
  serveChunk(...chunk: Parameters<CoreSnapshots["serveChunk"]>): Served {
    return this.snapshots.serveChunk(...chunk);
  }

  // --- reads and the state machine

  private confirmReads(round: number, index: number): void {
    const waiting = this.reads;
    this.reads = waiting.filter((read) => read.round > round);
    for (const read of waiting) {
      if (read.round > round) continue;
      this.readsConfirmed++;
      this.world.invariants.readConfirmed(this.id, index, read.commitWhenAsked);
    }
  }

  private applyCommitted(core: RaftCore): void {
    const before = this.machine.index;
    while (this.machine.index < core.log.commitIndex) {
      this.machine.apply(core.log.entry(this.machine.index + 1));
      this.world.invariants.applied(this, this.machine.index, this.machine.hash);
    }
    if (this.machine.index !== before) this.snapshots.applied(this.machine);
  }

  private restore(image: SnapshotImage): void {
    this.machine.restore(image);
    this.world.invariants.applied(this, this.machine.index, this.machine.hash);
  }

  event(what: string, ...values: number[]): void {
    this.world.trace.add(this.world.clock.now, this.id, what, ...values);
  }
}

/** What a request speaks of, for the trace: where entries go and how many, or a log's end. */
function extentOf(request: CoreRequest): number[] {
  if (request.type === "AppendEntries") return [request.prevLogIndex, request.entries.length];
  return request.type === "RequestVote" ? [request.lastLogIndex, request.lastLogTerm] : [];
}

/** All that a request could change. */
function describe({ role, term, currentLeader, nextDeadline, log }: RaftCore): string {
  return [role, term, currentLeader, nextDeadline, log.lastIndex, log.commitIndex].join(" ");
}

/** Tells the core how a request ended; null: no reply came. */
function told(core: RaftCore, out: OutgoingRequest, reply: Reply | null): void {
  if ("context" in out) {
    if (reply === null) core.appendEntriesFailed(out.to, out.context);
    else if (reply.type === "AppendEntriesReply")
      core.appendEntriesReplied(out.to, out.context, reply);
  } else if (out.request.type === "RequestVote" && reply?.type === "RequestVoteReply") {
    core.requestVoteReplied(out.to, out.request, reply);
  }
}
