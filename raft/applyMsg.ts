import type { SnapshotReader } from "./persister/persister.js";

/** A committed command. An empty one is the no-op of a new leader. */
export interface CommandMsg {
  readonly commandValid: true;
  readonly snapshotValid: false;
  readonly command: Uint8Array;
  readonly commandIndex: number;
  readonly commandTerm: number;
}

/**
 * The state machine is to be set to a snapshot: at start, and when a leader sent one. Whoever takes
 * it asks `Raft.condInstallSnapshot` first.
 */
export interface SnapshotMsg {
  readonly commandValid: false;
  readonly snapshotValid: true;
  readonly snapshotIndex: number;
  readonly snapshotTerm: number;
  /**
   * Opens the newest snapshot on disk. Its `meta` tells what it really holds: it may be newer than
   * this message, and the commands up to it are then to be skipped.
   */
  readonly open: () => Promise<SnapshotReader>;
}

/** What Raft hands up, in the order of the log. */
export type ApplyMsg = CommandMsg | SnapshotMsg;
