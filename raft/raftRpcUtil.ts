import {
  originalNodes,
  raftDefaults,
  rpcDefaults,
  type RaftOptions,
  type RpcOptions,
} from "../config/options.js";
import { raftRpcMethods } from "../proto/index.js";
import { MprpcChannel } from "../rpc/mprpcChannel.js";
import { MprpcController } from "../rpc/mprpcController.js";
import type { UnaryChannel } from "../rpc/service.js";
import { RpcStatus, type RpcError } from "../rpc/status.js";
import type {
  AppendEntries,
  AppendEntriesReply,
  RequestVote,
  RequestVoteReply,
  TimeoutNow,
  TimeoutNowReply,
} from "./core/types.js";
import {
  appendEntriesMethod,
  fromSnapshotResponse,
  fromVoteReply,
  toSnapshotRequest,
  toVoteArgs,
} from "./raftMethods.js";
import type { GreetingAnswer, RevisionPeer } from "./peerKind.js";
import type { InstallSnapshot, InstallSnapshotReply } from "./raftPeer.js";

export interface RaftRpcUtilOptions {
  readonly host: string;
  readonly port: number;
  readonly rpc?: Partial<RpcOptions>;
  readonly raft?: Partial<RaftOptions>;
  /**
   * What waits for a connection is dropped when the node's process may have been replaced: the next
   * one may not be ready for it.
   */
  readonly mixed?: boolean;
}

/** What is needed of an `MprpcChannel`. */
export interface PeerChannel extends UnaryChannel {
  /** Of the current connection; undefined until the first reply on it. */
  readonly revision: 1 | 2 | undefined;
  onConnected?: () => void;
  onConnectionLost: (error: RpcError, gaveUp: boolean) => void;
  onConnectFailed: (error: RpcError) => void;
  connectNow(): void;
  close(): void;
}

/**
 * One other node's raftRpc stub. It keeps a connection open, also while there is nothing to send:
 * a connection that closes is the quickest sign that the node's process is gone.
 */
export class RaftRpcUtil implements RevisionPeer {
  onDown: () => void = () => {};
  onConnected: () => void = () => {};
  onLost: () => void = () => {};
  private readonly channel: PeerChannel;
  private readonly options: RaftOptions;
  private reconnect: NodeJS.Timeout | undefined;
  private lastRevision: 1 | 2 | undefined = undefined;
  /** Aborted when the process that calls are meant for is gone. */
  private process: AbortController | null;

  constructor(
    { host, port, rpc, raft, mixed }: RaftRpcUtilOptions,
    channel: PeerChannel = new MprpcChannel({ ...rpc, idleTimeoutMs: 0, host, port }),
  ) {
    this.options = { ...raftDefaults, ...raft };
    this.process = mixed === true ? new AbortController() : null;
    const reconnectMs = rpc?.backoffMsMax ?? rpcDefaults.backoffMsMax;
    this.channel = channel;
    this.channel.onConnected = () => this.onConnected();
    this.channel.onConnectionLost = (_error, gaveUp) => {
      if (!gaveUp) this.lost();
      this.channel.connectNow();
    };
    this.channel.onConnectFailed = (error) => this.connectFailed(error, reconnectMs);
    this.channel.connectNow();
  }

  AppendEntries(request: AppendEntries, done: (reply: AppendEntriesReply | null) => void): void {
    this.channel.callMethod(appendEntriesMethod, this.controller(), request, done);
  }

  RequestVote(request: RequestVote, done: (reply: RequestVoteReply | null) => void): void {
    this.channel.callMethod(
      raftRpcMethods.RequestVote,
      this.controller(),
      toVoteArgs(request),
      (reply) => done(reply === null ? null : fromVoteReply(reply)),
    );
  }

  InstallSnapshot(
    request: InstallSnapshot,
    done: (reply: InstallSnapshotReply | null) => void,
  ): void {
    const { snapshotChunkTimeoutMs, snapshotInstallTimeoutMs } = this.options;
    this.channel.callMethod(
      raftRpcMethods.InstallSnapshot,
      this.controller(request.done ? snapshotInstallTimeoutMs : snapshotChunkTimeoutMs),
      toSnapshotRequest(request),
      (reply) => done(reply === null ? null : fromSnapshotResponse(reply)),
    );
  }

  TimeoutNow(request: TimeoutNow, done: (reply: TimeoutNowReply | null) => void): void {
    this.channel.callMethod(
      raftRpcMethods.TimeoutNow,
      this.controller(),
      { Term: request.term, LeaderId: request.from },
      (reply) => done(reply === null ? null : { type: "TimeoutNowReply", term: reply.Term }),
    );
  }

  /** TimeoutNow of term 0: no node of ours acts on it, and those of the original do not know it. */
  greet(timeoutMs: number, done: (answer: GreetingAnswer) => void): () => void {
    const controller = this.controller(timeoutMs);
    const nothing = { Term: 0, LeaderId: 0 };
    this.channel.callMethod(raftRpcMethods.TimeoutNow, controller, nothing, () => {
      const silent = controller.status === RpcStatus.DEADLINE_EXCEEDED;
      // A refusal is an answer, too.
      if (this.channel.revision !== undefined) done("answered");
      else done(silent ? "silent" : "lost");
    });
    return () => controller.startCancel();
  }

  /** What the node spoke last, on this connection or an earlier one. */
  get revision(): 1 | 2 | undefined {
    this.lastRevision = this.channel.revision ?? this.lastRevision;
    return this.lastRevision;
  }

  close(): void {
    clearTimeout(this.reconnect);
    this.channel.close();
  }

  /** A refusal tells that no process listens there any more; anything else may be the network. */
  private connectFailed(error: RpcError, reconnectMs: number): void {
    clearTimeout(this.reconnect);
    this.reconnect = setTimeout(() => this.channel.connectNow(), reconnectMs);
    this.reconnect.unref();
    this.lost();
    const { cause } = error;
    if (cause instanceof Error && "code" in cause && cause.code === "ECONNREFUSED") this.onDown();
  }

  private lost(): void {
    if (this.process !== null) {
      this.process.abort();
      this.process = new AbortController();
    }
    this.onLost();
  }

  /** One of the original may have dropped the request; one of ours may be waiting for its disk. */
  private get callTimeoutMs(): number {
    const { peerCallTimeoutMs } = this.options;
    const mayBeOriginal = this.process !== null && this.revision !== 2;
    return mayBeOriginal
      ? Math.min(peerCallTimeoutMs, originalNodes.callTimeoutMs)
      : peerCallTimeoutMs;
  }

  private controller(timeoutMs: number = this.callTimeoutMs): MprpcController {
    const { process } = this;
    return new MprpcController(
      process === null ? { timeoutMs } : { timeoutMs, signal: process.signal },
    );
  }
}
