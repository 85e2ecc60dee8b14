import { silentLogger, type Logger } from "../config/logger.js";
import type { raftRpcProctoc } from "../proto/index.js";
import type { MprpcController } from "../rpc/mprpcController.js";
import { refuse } from "../rpc/refuse.js";
import type { MethodDescriptor, RpcService } from "../rpc/service.js";
import { RpcStatus } from "../rpc/status.js";
import type { AppendEntries } from "./core/types.js";
import type { InstallSnapshot } from "./raftPeer.js";
import type { Raft } from "./raft.js";
import {
  fromSnapshotRequest,
  fromVoteArgs,
  raftService,
  toSnapshotResponse,
  toVoteReply,
  unreadableResponse,
} from "./raftMethods.js";
import { checkAppendEntries, checkInstallSnapshot, checkRequestVote } from "./validate.js";

type Done = (response: unknown) => void;
type RequestVoteArgs = raftRpcProctoc.RequestVoteArgs;
type InstallSnapshotRequest = raftRpcProctoc.InstallSnapshotRequest;
type TimeoutNowArgs = raftRpcProctoc.TimeoutNowArgs;

/** Between two lines about snapshots that can't be installed; the original sends 40 a second. */
const complaintMs = 5_000;
/** From one refusal to the next, when many came at once. */
const refusalSpacingMs = 3;

/** The raftRpc service of one node: checks what comes from the wire and gives it to `Raft`. */
export class RaftService implements RpcService {
  readonly descriptor = raftService;
  /** However many clients there are, the other nodes come through. */
  readonly essential = true;
  private readonly raft: Raft;
  private readonly log: Logger;
  private complainedAt = -Infinity;
  private refusedAt = -Infinity;

  constructor(raft: Raft, log: Logger = silentLogger) {
    this.raft = raft;
    this.log = log;
  }

  callMethod(
    method: MethodDescriptor,
    controller: MprpcController,
    request: unknown,
    done: Done,
  ): void {
    if (!this.raft.isRunning) {
      refuse(controller, done, RpcStatus.UNAVAILABLE, "this node is starting or stopping");
      return;
    }
    switch (method.name) {
      case "AppendEntries":
        return this.AppendEntries(request as AppendEntries, controller, done);
      case "RequestVote":
        return this.RequestVote(request as RequestVoteArgs, controller, done);
      case "InstallSnapshot":
        return this.InstallSnapshot(request as InstallSnapshotRequest, controller, done);
      case "TimeoutNow":
        return this.TimeoutNow(request as TimeoutNowArgs, done);
      default:
        return refuse(controller, done, RpcStatus.UNIMPLEMENTED, `no method ${method.name}`);
    }
  }

  private AppendEntries(request: AppendEntries, controller: MprpcController, done: Done): void {
    const { id, clusterSize } = this.raft;
    const wrong = checkAppendEntries(request, id, clusterSize);
    if (wrong !== null) return refuse(controller, done, RpcStatus.INVALID_ARGUMENT, wrong);
    this.raft.heardFrom(request.from, controller.revision);
    const byOriginal = controller.revision === 1;
    this.raft.appendEntries(byOriginal ? { ...request, byOriginal } : request, done);
  }

  private RequestVote(args: RequestVoteArgs, controller: MprpcController, done: Done): void {
    const { id, clusterSize } = this.raft;
    const request = fromVoteArgs(args);
    const wrong = checkRequestVote(request, id, clusterSize);
    if (wrong !== null) return refuse(controller, done, RpcStatus.INVALID_ARGUMENT, wrong);
    this.raft.heardFrom(request.from, controller.revision);
    this.raft.requestVote(request, (reply) => done(toVoteReply(reply)));
  }

  private InstallSnapshot(
    args: InstallSnapshotRequest,
    controller: MprpcController,
    done: Done,
  ): void {
    const { id, clusterSize } = this.raft;
    const request = fromSnapshotRequest(args);
    const wrong = checkInstallSnapshot(request, id, clusterSize);
    if (wrong !== null) return refuse(controller, done, RpcStatus.INVALID_ARGUMENT, wrong);
    this.raft.heardFrom(request.from, controller.revision);
    if (!args.Chunked) return this.refuseWhole(request, controller, done);
    this.raft.installSnapshot(request).then(
      (reply) => done(toSnapshotResponse(reply)),
      (error: unknown) => refuse(controller, done, RpcStatus.INTERNAL, (error as Error).message),
    );
  }

  /**
   * The original's snapshots hold "22" or nothing, and it takes every answer in its own term, an
   * empty one too, for an installation. So it gets one that it can't read, which fails its call; on
   * a reset all but one of the threads that wait there would read an empty answer. Only a leader that
   * a newer term has deposed hears so.
   */
  private refuseWhole(request: InstallSnapshot, controller: MprpcController, done: Done): void {
    const { term, from, lastIncludedIndex } = request;
    const ownTerm = this.raft.snapshotRefused(term, from);
    if (ownTerm > term) {
      done(toSnapshotResponse({ term: ownTerm, accepted: false, nextOffset: 0 }));
      return;
    }
    const text = "a snapshot that is not in chunks can't be installed";
    this.complain({ leader: from, lastIncludedIndex }, text);
    if (controller.revision === 1) this.oneByOne(() => done(unreadableResponse));
    else refuse(controller, done, RpcStatus.UNIMPLEMENTED, text);
  }

  /** Of two that one read brought, a thread of the original would get none, and wait for ever. */
  private oneByOne(answer: () => void): void {
    const now = performance.now();
    this.refusedAt = Math.max(now, this.refusedAt + refusalSpacingMs);
    setTimeout(answer, this.refusedAt - now).unref();
  }

  private complain(fields: object, text: string): void {
    const now = performance.now();
    if (now - this.complainedAt < complaintMs) return;
    this.complainedAt = now;
    const outlook = "this node stays behind until one leads that still has the log";
    this.log.error({ node: this.raft.id, ...fields }, `${text}: ${outlook}`);
  }

  private TimeoutNow(args: TimeoutNowArgs, done: Done): void {
    const request = { type: "TimeoutNow", term: args.Term, from: args.LeaderId } as const;
    this.raft.timeoutNow(request, (reply) => done({ Term: reply.term }));
  }
}
