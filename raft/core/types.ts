/**
 * The data that goes into the Raft core and comes out of it. Nothing here knows of sockets, files
 * or clocks: times are milliseconds of whatever monotonic clock the driver feeds in, and node ids
 * are positions in the node list.
 */

/** One log entry. `command` is empty for the no-op with which a leader opens its term. */
export interface Entry {
  readonly index: number;
  readonly term: number;
  readonly command: Uint8Array;
}

/** What must be on disk before anything that reveals it leaves the node (Raft Figure 2). */
export interface HardState {
  readonly term: number;
  /** The node voted for in `term`, or -1. */
  readonly votedFor: number;
  /** True: this node does not vote, see `Joining`. */
  readonly joining?: boolean;
}

/** The place in the log that a snapshot stands for: the last entry that it includes. */
export interface SnapshotMeta {
  readonly index: number;
  readonly term: number;
}

export type Role = "follower" | "pre-candidate" | "candidate" | "leader";

/** What the leader does toward one follower: see `Progress`. */
export type ProgressState = "probe" | "replicate" | "snapshot";

/**
 * What the leader remembers of a request while its reply is out. The transport pairs each reply
 * with its request, so the reply itself need not repeat any of this; that is what makes a reply of
 * the original, which carries no index, as good as one of ours.
 */
export interface AppendContext {
  /** The term in which the request was sent. */
  readonly term: number;
  readonly prevLogIndex: number;
  /** Index of the last entry in the request, or `prevLogIndex`: what a success acknowledges. */
  readonly lastIndex: number;
  /** Bytes of the entries in the request. */
  readonly bytes: number;
  /** At an entry that the follower had acknowledged when it was sent: it refuses this if it lost it. */
  readonly proven: boolean;
  /** The read round that was open when the request was sent (thesis §6.4). */
  readonly readRound: number;
  /** When the request was sent, in ms: an acknowledgement proves leadership as of this moment. */
  readonly sentAt: number;
  /** Counts up over all requests to this peer in this term. */
  readonly sequence: number;
}

export interface AppendEntries {
  readonly type: "AppendEntries";
  readonly term: number;
  /** The leader. */
  readonly from: number;
  readonly prevLogIndex: number;
  readonly prevLogTerm: number;
  readonly entries: readonly Entry[];
  readonly leaderCommit: number;
  /**
   * To a node that joins, its nonce: it has all that it can have acknowledged, and votes from now on.
   * `lostEntries`: it lost what it had acknowledged, and must join anew. Otherwise undefined.
   */
  readonly admits?: number | undefined;
  /** The leader is a node of the original: it can't admit, and sends all that it has at once. */
  readonly byOriginal?: boolean;
}

export interface AppendEntriesReply {
  readonly type: "AppendEntriesReply";
  readonly term: number;
  readonly success: boolean;
  /** Raft §5.3's accelerated backtracking: see `raftRPC.proto`. */
  readonly updateNextIndex: number;
  /** The nonce of a node that joins: this counts for nothing. Undefined of one that votes. */
  readonly joining?: number | undefined;
  /** True: this node had rather not lead, see `RaftCore.setReluctant`. */
  readonly reluctant?: boolean | undefined;
}

export interface RequestVote {
  readonly type: "RequestVote";
  readonly term: number;
  readonly from: number;
  readonly lastLogIndex: number;
  readonly lastLogTerm: number;
  readonly preVote: boolean;
  readonly leadershipTransfer: boolean;
}

export interface RequestVoteReply {
  readonly type: "RequestVoteReply";
  readonly term: number;
  readonly voteGranted: boolean;
  /** The original's `VoteState`: 1 refused by vote or log, 2 stale term, 3 granted. */
  readonly voteState: number;
  /** To a pre-vote: from a node of the original, which was asked only for its term. */
  readonly byOriginal?: boolean;
}

export interface TimeoutNow {
  readonly type: "TimeoutNow";
  readonly term: number;
  readonly from: number;
}

export interface TimeoutNowReply {
  readonly type: "TimeoutNowReply";
  readonly term: number;
}

/** A request that the core wants sent, and what it needs back with the reply. */
export type OutgoingRequest =
  | { readonly to: number; readonly request: AppendEntries; readonly context: AppendContext }
  | { readonly to: number; readonly request: RequestVote }
  | { readonly to: number; readonly request: TimeoutNow };

export type Reply = AppendEntriesReply | RequestVoteReply | TimeoutNowReply;

/** A reply that the core wants sent, to the request that arrived under `replyTo`. */
export interface OutgoingReply {
  readonly replyTo: number;
  readonly reply: Reply;
}

/**
 * A follower needs entries that are compacted: the driver streams it the newest snapshot, and tells
 * how that ended.
 */
export interface SnapshotTransfer {
  readonly to: number;
  readonly term: number;
}

/** Reads that may be served as soon as the state machine has applied `index` (thesis §6.4). */
export interface ReadState {
  /** What `requestRead` returned; earlier rounds are confirmed with it. */
  readonly round: number;
  readonly index: number;
}

/** What observers of a node see change. */
export interface SoftState {
  readonly role: Role;
  readonly term: number;
  /** Id of the leader of `term`, or -1. */
  readonly leader: number;
  /** Why it gave up the lead without having heard of a newer term. */
  readonly steppedDown?: "its disk stalls" | "no quorum answers";
}

/**
 * Everything that the core wants done since the last one. What may leave at once and what must wait
 * for the disk are different fields, so that a driver can't mistake one for the other.
 */
export interface Ready {
  /** Not 0: there is something to make durable, and `RaftCore.persisted` wants this back. */
  readonly saveId: number;
  /** To be made durable; null when it did not change. */
  readonly hardState: HardState | null;
  /**
   * A received snapshot that was accepted: it replaces the whole log, before `entries`. Its state
   * is on disk already; the state machine is to be set to it.
   */
  readonly snapshot: SnapshotMeta | null;
  /**
   * To be made durable. When the first one's index is not the log's end plus 1, the log is
   * truncated in front of it first.
   */
  readonly entries: readonly Entry[];
  /** May leave at once. */
  readonly requests: readonly OutgoingRequest[];
  readonly replies: readonly OutgoingReply[];
  readonly snapshots: readonly SnapshotTransfer[];
  /** May leave only when this save and all earlier ones are durable. */
  readonly requestsAfterPersist: readonly OutgoingRequest[];
  readonly repliesAfterPersist: readonly OutgoingReply[];
  /** Entries up to this index may be applied. */
  readonly commitIndex: number;
  readonly reads: readonly ReadState[];
  /** Leadership was lost: no read that was requested before can be confirmed any more. */
  readonly readsLost: boolean;
  /** Not null: it changed. */
  readonly softState: SoftState | null;
}
