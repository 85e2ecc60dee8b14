import { kvOptionsOf, raftDefaults, type KvOptions, type RaftOptions } from "../config/options.js";
import { silentLogger, type Logger } from "../config/logger.js";
import type { raftKVRpcProctoc } from "../proto/index.js";
import type { GetArgs, PutAppendArgs } from "../proto/kvCodecs.js";
import { ApplyChan } from "../raft/applyChan.js";
import type { ApplyMsg } from "../raft/applyMsg.js";
import type { LeaseRead, SoftState } from "../raft/core/index.js";
import { realEnvironment, type RaftEnvironment } from "../raft/environment.js";
import type { Persister } from "../raft/persister/persister.js";
import { Raft } from "../raft/raft.js";
import type { RaftPeer } from "../raft/raftPeer.js";
import type { MprpcController } from "../rpc/mprpcController.js";
import { refuse } from "../rpc/refuse.js";
import type { MethodDescriptor, RpcService } from "../rpc/service.js";
import { RpcStatus } from "../rpc/status.js";
import { AppliedState } from "./appliedState.js";
import {
  checkClientId,
  checkForOriginals,
  checkKey,
  checkPutAppend,
  operationOf,
} from "./checkArgs.js";
import { Err, errBytes, writeReply } from "./err.js";
import { kvService } from "./kvMethods.js";
import { LegacySessions } from "./legacySessions.js";
import { HeldRedirects } from "./heldRedirects.js";
import { LegacyWaits } from "./legacyWaits.js";
import { LogClock } from "./logClock.js";
import { noSpaceText } from "./diskRoom.js";
import { encodeOp, OpCodecError, type Op } from "./opCodec.js";
import type { KvStateMachine, ApplyResult } from "./stateMachine.js";
import { statusReply } from "./statusReply.js";
import { varintBytes } from "./varint.js";
import { WaitApplyCh } from "./waitApplyCh.js";

export interface KvServerConfig {
  readonly options?: Partial<KvOptions>;
  readonly raftOptions?: Partial<RaftOptions>;
  readonly environment?: RaftEnvironment;
  readonly log?: Logger;
  /** Shown by Status. */
  readonly version?: string;
}

type Done = (response: unknown) => void;
type OpenSessionArgs = raftKVRpcProctoc.OpenSessionArgs;

/** A GetReply with Err "OK" and the tag of its value. */
const okReplyBytes = 5;
const empty = new Uint8Array(0);

/**
 * The key-value service of one node: linearizable Get, and PutAppend exactly once for each session.
 *
 *     PutAppend -> Raft.start -> log -> applyChan -> KvStateMachine -> waitApplyCh[index] -> reply
 *     Get       -> Raft.readIndex -> applied that far? -> KvStateMachine -> reply
 */
export class KvServer implements RpcService {
  readonly descriptor = kvService;
  /** What Get answers is a view of the list. */
  readonly lendsBytes = true;
  readonly raft: Raft;
  /** Called once when the node can't go on; nothing is answered after it. */
  onFailure: (error: Error) => void = () => {};
  private readonly options: KvOptions;
  private readonly log: Logger;
  private readonly version: string;
  private readonly applyChan: ApplyChan;
  private readonly waitApplyCh = new WaitApplyCh<ApplyResult>();
  private readonly clock: LogClock;
  private readonly legacyWaits: LegacyWaits;
  private readonly redirects: HeldRedirects;
  private readonly legacySessions: LegacySessions;
  private readonly state: AppliedState;
  private applying: Promise<void> = Promise.resolve();
  private persister: Persister | null = null;

  constructor(config: KvServerConfig = {}) {
    const environment = config.environment ?? realEnvironment;
    this.options = kvOptionsOf(config.options ?? {});
    this.log = config.log ?? silentLogger;
    this.version = config.version ?? "";
    this.applyChan = new ApplyChan({ ...raftDefaults, ...config.raftOptions });
    this.clock = new LogClock(() => environment.now());
    const { electionTimeoutMsMax } = { ...raftDefaults, ...config.raftOptions };
    this.redirects = new HeldRedirects(environment, electionTimeoutMsMax);
    this.legacyWaits = new LegacyWaits(environment, this.options.consensusTimeoutMs);
    this.raft = new Raft({
      options: config.raftOptions ?? {},
      environment,
      log: this.log,
      noop: this.noop(),
      mixed: this.options.commandCodec === "boost",
    });
    this.state = new AppliedState({
      raft: this.raft,
      options: this.options,
      log: this.log,
      waitApplyCh: this.waitApplyCh,
      space: () => this.persister?.space,
    });
    this.legacySessions = new LegacySessions({
      leadership: () => this.raft.getState(),
      lastLogIndex: () => this.raft.status().lastLogIndex,
      lastApplied: () => this.state.lastApplied,
      incarnationsAt: (clientId, id) => this.state.machine.sessions.incarnationsAt(clientId, id),
      finished: (name) => this.closeSession(name),
    });
    this.raft.onSoftState = (state) => this.roleChanged(state);
    this.raft.onFailure = (error) => this.onFailure(error);
  }

  /** Called after each step of the state machine, with the index that it has reached. */
  set onApplied(listener: (index: number, machine: KvStateMachine) => void) {
    this.state.onApplied = listener;
  }

  /** Recovers from `persister` and takes part in the cluster. `peers[me]` is null. */
  start(peers: readonly (RaftPeer | null)[], me: number, persister: Persister): void {
    this.persister = persister;
    this.applying = this.applyChan
      .consume((batch) => this.apply(batch))
      .catch((error: unknown) => this.onFailure(error as Error));
    this.raft.init(peers, me, persister, this.applyChan);
  }

  /** Ends everything; requests under way are answered as after a loss of leadership. */
  async stop(): Promise<void> {
    await this.raft.stop();
    this.applyChan.close();
    await this.applying;
    this.waitApplyCh.loseAll();
    this.legacySessions.loseAll();
    this.redirects.release();
    this.legacyWaits.stop();
  }

  callMethod(
    method: MethodDescriptor,
    controller: MprpcController,
    request: unknown,
    done: Done,
  ): void {
    switch (method.name) {
      case "PutAppend":
        return this.PutAppend(request as PutAppendArgs, controller, done);
      case "Get":
        return this.Get(request as GetArgs, controller, done);
      case "OpenSession":
        return this.OpenSession(request as OpenSessionArgs, controller, done);
      case "Status":
        return done(statusReply(this.raft, this.state, this.persister, this.version));
      default:
        return refuse(controller, done, RpcStatus.UNIMPLEMENTED, `no method ${method.name}`);
    }
  }

  // --- the methods of kvServerRpc

  private PutAppend(args: PutAppendArgs, controller: MprpcController, done: Done): void {
    const wrong = checkPutAppend(args, this.options.keyBytesMax);
    if (wrong !== null) return refuse(controller, done, RpcStatus.INVALID_ARGUMENT, wrong);
    if (!this.raft.getState().isLeader) return this.answerWrongLeader(done);
    if (this.besideOriginals) {
      const notTheirs = checkForOriginals(args);
      if (notTheirs !== null)
        return refuse(controller, done, RpcStatus.INVALID_ARGUMENT, notTheirs);
      // Of a session that was opened before, which theirs would not know for one.
      if (args.FirstUnfinished > 0) return done(writeReply(Err.sessionExpired));
    }
    const op: Op = {
      operation: operationOf(args.Op)!,
      key: args.Key,
      value: args.Value,
      clientId: args.ClientId,
      requestId: args.RequestId,
      firstUnfinished: args.FirstUnfinished,
      logTimeMs: this.clock.timeMs,
    };
    if (controller.revision === 2) this.write(op, controller, done);
    else this.putOfRevision1(op, controller, done);
  }

  /** Beside nodes of the original, sessions are as theirs: all replicas must have the same. */
  private putOfRevision1(op: Op, controller: MprpcController, done: Done): void {
    const answer = this.limited(controller, done);
    if (this.besideOriginals) return this.write(op, controller, answer);
    this.legacySessions.assign(op, controller, (assigned) => {
      if (assigned === null) this.answerWrongLeader(answer);
      else this.write(assigned, controller, answer);
    });
  }

  private write(op: Op, controller: MprpcController, done: Done): void {
    const known = this.state.machine.lookupResult(op.clientId, op.requestId, op.firstUnfinished);
    if (known === undefined) this.propose(op, controller, done);
    else done(writeReply(known.err));
  }

  /** Replicas of theirs must come to the same state from the same log. */
  private get besideOriginals(): boolean {
    return this.options.commandCodec === "boost";
  }

  /** Lost with this node's leadership: then the session stays until it has been idle for long. */
  private closeSession(clientId: Uint8Array): void {
    const nothing = { key: empty, value: empty, requestId: 0, firstUnfinished: 0 };
    const op = { operation: "CloseSession", clientId, ...nothing } as const;
    this.raft.start(encodeOp({ ...op, logTimeMs: this.clock.timeMs }, "compact"));
  }

  private OpenSession(args: OpenSessionArgs, controller: MprpcController, done: Done): void {
    const wrong =
      args.ClientId.length === 0 ? "the ClientId is empty" : checkClientId(args.ClientId);
    if (wrong !== null) return refuse(controller, done, RpcStatus.INVALID_ARGUMENT, wrong);
    // Writes of a session may be applied in another order than that of their ids, of which theirs
    // keep the last alone: they would leave some out, and the replicas differ.
    if (this.besideOriginals)
      return refuse(controller, done, RpcStatus.UNIMPLEMENTED, "no sessions: commandCodec=boost");
    this.propose(
      {
        operation: "OpenSession",
        key: empty,
        value: empty,
        clientId: args.ClientId,
        requestId: 0,
        firstUnfinished: 0,
        logTimeMs: this.clock.timeMs,
      },
      controller,
      this.limited(controller, done),
    );
  }

  private Get(args: GetArgs, controller: MprpcController, done: Done): void {
    const wrong = checkKey(args.Key, this.options.keyBytesMax);
    if (wrong !== null) return refuse(controller, done, RpcStatus.INVALID_ARGUMENT, wrong);
    const answer = controller.revision === 1 ? this.boundedByRevision1(done) : done;
    const lease = this.raft.leaseRead();
    if (lease === null) this.readByRound(args.Key, answer);
    else this.state.whenApplied(lease.index, () => this.readUnderLease(lease, args.Key, answer));
  }

  /**
   * A reply that the original's clerk can't take whole would show it wrong values from then on. It
   * repeats the call for ever, without a pause, whatever it is told instead: so it is told late.
   */
  private boundedByRevision1(done: Done): Done {
    return (response) => {
      const { Value } = response as { readonly Value?: Uint8Array };
      const bytes = okReplyBytes + varintBytes(Value?.length ?? 0) + (Value?.length ?? 0);
      if (bytes <= this.options.revision1ReplyBytesMax) return done(response);
      const tooLarge = { Err: errBytes(Err.valueTooLarge), Value: empty, LeaderHint: 0 };
      this.legacyWaits.once(done, () => done(tooLarge));
    };
  }

  private readByRound(key: Uint8Array, done: Done): void {
    this.raft.readIndex((index) => {
      if (index < 0) this.answerWrongLeader(done);
      else
        this.state.whenApplied(index, () =>
          this.answerGet(this.state.machine.data.peek(key), done),
        );
    });
  }

  /** The lease is looked at after the value: the process may have been stopped before it. */
  private readUnderLease(lease: LeaseRead, key: Uint8Array, done: Done): void {
    const value = this.state.machine.data.peek(key);
    if (this.raft.leaseHolds(lease)) this.answerGet(value, done);
    else this.readByRound(key, done);
  }

  /** A view of the value is enough: the reply is encoded before `done` returns. */
  private answerGet(value: Uint8Array | undefined, done: Done): void {
    const err = value === undefined ? Err.noKey : Err.ok;
    done({ Err: errBytes(err), Value: value ?? empty, LeaderHint: 0 });
  }

  private answerWrongLeader(done: Done): void {
    if (this.redirects.isOpen && this.successor === 0) {
      this.redirects.hold(() => this.redirect(done));
    } else this.redirect(done);
  }

  /** As a LeaderHint, the node that leads if it is another one. */
  private get successor(): number {
    const hint = this.raft.leaderHint;
    return hint === this.raft.id + 1 ? 0 : hint;
  }

  private redirect(done: Done): void {
    done({ Err: errBytes(Err.wrongLeader), LeaderHint: this.raft.leaderHint });
  }

  private propose(op: Op, controller: MprpcController, done: Done): void {
    const command = this.encode(op, controller);
    if (command === null) return done(null);
    const started = this.raft.start(command);
    if (started.refusal === "handingOver") this.redirects.open();
    else if (started.refusal !== null && controller.revision === 2)
      return refuse(controller, done, RpcStatus.RESOURCE_EXHAUSTED, this.excuse(started.refusal));
    if (started.index < 0) return this.answerWrongLeader(done);
    this.waitApplyCh.add(started.index, {
      term: started.term,
      applied: ({ err }) => done(writeReply(err)),
      lost: () => this.answerLost(controller, done),
    });
  }

  /**
   * A revision-1 client knows one word for "ask another node"; ours is told that the write may still
   * be applied.
   */
  private answerLost(controller: MprpcController, done: Done): void {
    if (controller.revision === 1) this.answerWrongLeader(done);
    else refuse(controller, done, RpcStatus.UNAVAILABLE, "leadership was lost meanwhile");
  }

  /** Calls of revision 1 carry no deadline, and must not be answered with silence. */
  private limited(controller: MprpcController, done: Done): Done {
    if (controller.revision === 2) return done;
    return this.legacyWaits.once(done, () => this.answerWrongLeader(done));
  }

  private excuse(refusal: "overloaded" | "diskIsLow"): string {
    if (refusal === "overloaded" || this.persister === null) return "too many uncommitted bytes";
    return noSpaceText(this.raft.id, this.persister.space);
  }

  /** Null, with the status set, for what the original's encoding, or its nodes, can't hold. */
  private encode(op: Op, controller: MprpcController): Uint8Array | null {
    try {
      return encodeOp(op, this.options.commandCodec);
    } catch (error) {
      if (!(error instanceof OpCodecError)) throw error;
      controller.setFailed(error.message, RpcStatus.INVALID_ARGUMENT);
      return null;
    }
  }

  // --- Raft's side

  /** The command with which a leader opens its term; the original can't apply an empty one. */
  private noop(): Uint8Array {
    if (this.options.commandCodec === "compact") return empty;
    const nothing = { key: empty, value: empty, clientId: empty, requestId: 0 };
    return encodeOp({ operation: "Get", ...nothing, firstUnfinished: 0, logTimeMs: 0 }, "boost");
  }

  private roleChanged(state: SoftState): void {
    if (state.role === "leader" || this.successor !== 0) this.redirects.release();
    if (state.role === "leader") this.clock.lead(this.state.machine.logTimeMs);
    else {
      this.waitApplyCh.loseAll();
      this.legacySessions.loseAll();
    }
  }

  private apply(batch: readonly ApplyMsg[]): void | Promise<void> {
    const installing = this.state.apply(batch);
    if (installing !== undefined) return installing.then(() => this.applied());
    this.applied();
  }

  private applied(): void {
    this.clock.reached(this.state.machine.logTimeMs);
    this.legacySessions.applied(this.state.lastApplied);
  }
}
