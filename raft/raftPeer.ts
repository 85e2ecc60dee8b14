import type {
  AppendEntries,
  AppendEntriesReply,
  RequestVote,
  RequestVoteReply,
  TimeoutNow,
  TimeoutNowReply,
} from "./core/types.js";

/** One chunk of a snapshot on its way to a follower: see `raftRPC.proto`. */
export interface InstallSnapshot {
  readonly term: number;
  readonly from: number;
  readonly lastIncludedIndex: number;
  readonly lastIncludedTerm: number;
  readonly offset: number;
  readonly totalSize: number;
  readonly done: boolean;
  readonly data: Uint8Array;
}

export interface InstallSnapshotReply {
  readonly term: number;
  readonly accepted: boolean;
  readonly nextOffset: number;
}

/**
 * Another node, as Raft calls it. Each method sends one request and calls `done` exactly once,
 * later: with the reply, or with null when none came in time. Requests of one kind arrive in the
 * order in which they were sent, or not at all.
 */
export interface RaftPeer {
  AppendEntries(request: AppendEntries, done: (reply: AppendEntriesReply | null) => void): void;
  RequestVote(request: RequestVote, done: (reply: RequestVoteReply | null) => void): void;
  InstallSnapshot(
    request: InstallSnapshot,
    done: (reply: InstallSnapshotReply | null) => void,
  ): void;
  TimeoutNow(request: TimeoutNow, done: (reply: TimeoutNowReply | null) => void): void;
  /** It sent a Raft request, in this revision of the wire: its process is ready for ours. */
  heard?(revision: 1 | 2): void;
  /** Set by Raft; called when the node's process is known to be gone. */
  onDown: () => void;
  close(): void;
}
