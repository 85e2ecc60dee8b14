import type {
  GetArgs as GetRequest,
  PutAppendArgs as PutAppendRequest,
} from "../proto/kvCodecs.js";
import type { RpcStatus } from "../rpc/status.js";

/** The revision of the wire that a node speaks; 0 until the first reply on each connection. */
export type Revision = 0 | 1 | 2;

export type { GetRequest, PutAppendRequest };

/** What the replies to all three have in common, which is what the Clerk decides by. */
export interface ServerReply {
  readonly Err: Uint8Array;
  readonly LeaderHint: number;
  /** Of a Get: bytes that never change, be it a view of what arrived. */
  readonly Value?: Uint8Array;
}

export interface PeerStatus {
  readonly NodeId: number;
  readonly MatchIndex: number;
  readonly NextIndex: number;
  readonly State: string;
}

export interface ServerStatus {
  readonly NodeId: number;
  readonly Role: string;
  readonly Term: number;
  readonly LeaderHint: number;
  readonly CommitIndex: number;
  readonly LastApplied: number;
  readonly LastLogIndex: number;
  readonly SnapshotIndex: number;
  readonly LogBytes: number;
  readonly LogSyncs: number;
  readonly DiskFreeBytes: number;
  readonly DiskIsLow: boolean;
  readonly Keys: number;
  readonly Sessions: number;
  readonly Version: string;
  readonly ProcessId: number;
  readonly Peers: readonly PeerStatus[];
}

/** An attempt that ended without a reply message. */
export interface AttemptFailure {
  /** Never OK. */
  readonly status: RpcStatus;
  readonly text: string;
  /** False: no byte of the request left this process. */
  readonly sent: boolean;
}

/** Called exactly once, never before the call that it was passed to returned. */
export type AttemptDone<Reply> = (reply: Reply | null, failure: AttemptFailure | null) => void;

/** An attempt under way. */
export interface Attempt {
  /** Whether the node may have seen the request. */
  readonly sent: boolean;
  /** Tells channel and node that nobody waits any more; `done` may still be called. */
  startCancel(): void;
}

/**
 * One node as the Clerk sees it. Every attempt ends within `timeoutMs`, by DEADLINE_EXCEEDED if
 * nothing else.
 */
export interface ServerNode {
  /** `host:port`. */
  readonly address: string;
  readonly revision: Revision;
  /** It told on this connection that it opens none, for nodes of revision 1 share its log. */
  readonly refusesSessions: boolean;
  putAppend(request: PutAppendRequest, timeoutMs: number, done: AttemptDone<ServerReply>): Attempt;
  get(request: GetRequest, timeoutMs: number, done: AttemptDone<ServerReply>): Attempt;
  openSession(clientId: Uint8Array, timeoutMs: number, done: AttemptDone<ServerReply>): Attempt;
  status(timeoutMs: number, done: AttemptDone<ServerStatus>): Attempt;
  close(): void;
}
