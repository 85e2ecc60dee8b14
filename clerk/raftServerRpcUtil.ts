import { kvServerRpcMethods, type raftKVRpcProctoc } from "../proto/index.js";
import { getMethod, putAppendMethod } from "../proto/kvCodecs.js";
import { MprpcController } from "../rpc/mprpcController.js";
import { RpcStatus } from "../rpc/status.js";
import type { MethodDescriptor, UnaryChannel } from "../rpc/service.js";
import type {
  Attempt,
  AttemptDone,
  GetRequest,
  PutAppendRequest,
  Revision,
  ServerNode,
  ServerReply,
  ServerStatus,
} from "./serverNode.js";

/** What is needed of an `MprpcChannel`. */
export interface ServerChannel extends UnaryChannel {
  /** What the node speaks; undefined until its first reply, and again after each loss. */
  readonly revision: 1 | 2 | undefined;
  close(): void;
}

/** One node's `kvServerRpc`, as the Clerk calls it. */
export class RaftServerRpcUtil implements ServerNode {
  readonly address: string;
  private readonly channel: ServerChannel;
  private refusedSession = false;

  constructor(address: string, channel: ServerChannel) {
    this.address = address;
    this.channel = channel;
  }

  get revision(): Revision {
    return this.channel.revision ?? 0;
  }

  get refusesSessions(): boolean {
    // Another process answers on the next connection, perhaps with other settings.
    if (this.channel.revision !== 2) this.refusedSession = false;
    return this.refusedSession;
  }

  putAppend(request: PutAppendRequest, timeoutMs: number, done: AttemptDone<ServerReply>): Attempt {
    return this.call(putAppendMethod, request, timeoutMs, done);
  }

  get(request: GetRequest, timeoutMs: number, done: AttemptDone<ServerReply>): Attempt {
    return this.call(getMethod, request, timeoutMs, done);
  }

  openSession(ClientId: Uint8Array, timeoutMs: number, done: AttemptDone<ServerReply>): Attempt {
    return this.call(kvServerRpcMethods.OpenSession, { ClientId }, timeoutMs, (reply, failure) => {
      this.refusedSession = failure?.status === RpcStatus.UNIMPLEMENTED;
      done(reply, failure);
    });
  }

  status(timeoutMs: number, done: AttemptDone<ServerStatus>): Attempt {
    return this.call(kvServerRpcMethods.Status, {}, timeoutMs, (reply, failure) =>
      done(reply === null ? null : toStatus(reply), failure),
    );
  }

  close(): void {
    this.channel.close();
  }

  private call<Request, Reply>(
    method: MethodDescriptor<Request, Reply>,
    request: Request,
    timeoutMs: number,
    done: AttemptDone<Reply>,
  ): Attempt {
    const controller = new RunningAttempt();
    // A channel counts whole milliseconds, and takes 0 for its default.
    controller.timeoutMs = Math.max(1, Math.ceil(timeoutMs));
    this.channel.callMethod(method, controller, request, (reply) => {
      if (reply !== null) return done(reply, null);
      const { status, sent } = controller;
      return done(null, { status, text: controller.errorText(), sent });
    });
    return controller;
  }
}

/** Field by field: what a message left out stands only on its prototype. */
function toStatus(reply: raftKVRpcProctoc.StatusReply): ServerStatus {
  const Peers = reply.Peers.map(({ NodeId, MatchIndex, NextIndex, State }) => ({
    NodeId: NodeId ?? 0,
    MatchIndex: MatchIndex ?? 0,
    NextIndex: NextIndex ?? 0,
    State: State ?? "",
  }));
  return {
    NodeId: reply.NodeId,
    Role: reply.Role,
    Term: reply.Term,
    LeaderHint: reply.LeaderHint,
    CommitIndex: reply.CommitIndex,
    LastApplied: reply.LastApplied,
    LastLogIndex: reply.LastLogIndex,
    SnapshotIndex: reply.SnapshotIndex,
    LogBytes: reply.LogBytes,
    LogSyncs: reply.LogSyncs,
    DiskFreeBytes: reply.DiskFreeBytes,
    DiskIsLow: reply.DiskIsLow,
    Keys: reply.Keys,
    Sessions: reply.Sessions,
    Version: reply.Version,
    ProcessId: reply.ProcessId,
    Peers,
  };
}

class RunningAttempt extends MprpcController implements Attempt {
  /** Known for sure only after the call failed. */
  get sent(): boolean {
    return !this.notSent;
  }
}
