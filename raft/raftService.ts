import type { raftRpcProctoc } from "../proto/index.js";
import type { MprpcController } from "../rpc/mprpcController.js";
import { refuse } from "../rpc/refuse.js";
import type { MethodDescriptor, RpcService } from "../rpc/service.js";
import { RpcStatus } from "../rpc/status.js";
import type { AppendEntries } from "./core/types.js";
import type { Raft } from "./raft.js";
import {
  fromSnapshotRequest,
  fromVoteArgs,
  raftService,
  toSnapshotResponse,
  toVoteReply,
} from "./raftMethods.js";
import { checkAppendEntries, checkInstallSnapshot, checkRequestVote } from "./validate.js";

type Done = (response: unknown) => void;
type RequestVoteArgs = raftRpcProctoc.RequestVoteArgs;
type InstallSnapshotRequest = raftRpcProctoc.InstallSnapshotRequest;
type TimeoutNowArgs = raftRpcProctoc.TimeoutNowArgs;

/** The raftRpc service of one node: checks what comes from the wire and gives it to `Raft`. */
export class RaftService implements RpcService {
  readonly descriptor = raftService;
  private readonly raft: Raft;

  constructor(raft: Raft) {
    this.raft = raft;
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
    this.raft.appendEntries(request, done);
  }

  private RequestVote(args: RequestVoteArgs, controller: MprpcController, done: Done): void {
    const { id, clusterSize } = this.raft;
    const request = fromVoteArgs(args);
    const wrong = checkRequestVote(request, id, clusterSize);
    if (wrong !== null) return refuse(controller, done, RpcStatus.INVALID_ARGUMENT, wrong);
    this.raft.requestVote(request, (reply) => done(toVoteReply(reply)));
  }

  private InstallSnapshot(
    args: InstallSnapshotRequest,
    controller: MprpcController,
    done: Done,
  ): void {
    if (!args.Chunked) {
      // The original's snapshots hold nothing but "22". An answer would be taken for an
      // installation, so there is none: the connection is reset.
      const text = "a snapshot that is not in chunks can't be installed";
      return refuse(controller, done, RpcStatus.UNIMPLEMENTED, text);
    }
    const { id, clusterSize } = this.raft;
    const request = fromSnapshotRequest(args);
    const wrong = checkInstallSnapshot(request, id, clusterSize);
    if (wrong !== null) return refuse(controller, done, RpcStatus.INVALID_ARGUMENT, wrong);
    this.raft.installSnapshot(request).then(
      (reply) => done(toSnapshotResponse(reply)),
      (error: unknown) => refuse(controller, done, RpcStatus.INTERNAL, (error as Error).message),
    );
  }

  private TimeoutNow(args: TimeoutNowArgs, done: Done): void {
    const request = { type: "TimeoutNow", term: args.Term, from: args.LeaderId } as const;
    this.raft.timeoutNow(request, (reply) => done({ Term: reply.term }));
  }
}
