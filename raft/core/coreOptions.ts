import type { Entry, HardState, SnapshotMeta } from "./types.js";

export interface CoreOptions {
  readonly clusterSize: number;
  readonly heartbeatMs: number;
  readonly electionTimeoutMsMin: number;
  readonly electionTimeoutMsMax: number;
  readonly appendEntriesMax: number;
  readonly appendBytesMax: number;
  /** Bytes of entries that certainly pass in one request; more is tried step by step. */
  readonly appendBytesSafe: number;
  readonly inflightMax: number;
  readonly inflightBytesMax: number;
  readonly uncommittedBytesMax: number;
  /** "lease": `RaftCore.leaseRead` gives reads, and votes are refused as a lease needs it. */
  readonly readMode: "readIndex" | "lease";
  /** By how much the rates of two nodes' clocks may differ, in millionths. */
  readonly leaseClockDriftPpmMax: number;
  /**
   * Followers may be nodes of the original, which end their process when they are asked for what
   * their snapshot covers, and commit whatever their log holds up to `leaderCommit`. One request is
   * out to a follower at a time, none starts below what it is known to have, and none names a commit
   * index beyond itself.
   */
  readonly mixed: boolean;
  /** The command of the entry with which a leader opens its term. */
  readonly noop: Uint8Array;
  /** Uniform in [0, 1); the core's only randomness. */
  readonly random: () => number;
}

/** What a node starts from: what its disk held. */
export interface CoreStart {
  readonly hardState: HardState;
  /** Index and term 0 where there is none. */
  readonly snapshot: SnapshotMeta;
  readonly entries: readonly Entry[];
}

export type ProposeResult =
  | { readonly outcome: "accepted"; readonly lastIndex: number; readonly term: number }
  | { readonly outcome: "notLeader" | ProposeRefusal };

/** Why a leader takes no command at the moment. */
export type ProposeRefusal = "overloaded" | "transferring" | "reluctant";
