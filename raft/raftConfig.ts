import { originalNodes, type RaftOptions } from "../config/options.js";
import type { Logger } from "../config/logger.js";
import type { FollowerStatus } from "./core/index.js";
import type { SoftState } from "./core/types.js";
import type { RaftEnvironment } from "./environment.js";

export interface RaftConfig {
  readonly options?: Partial<RaftOptions>;
  /** The command that opens a leader's term; empty by default. */
  readonly noop?: Uint8Array;
  /**
   * Nodes of the original may be among the others: replication keeps to what they understand, and
   * reads are by "readIndex", since such a node may be elected while a lease holds.
   */
  readonly mixed?: boolean;
  readonly environment?: RaftEnvironment;
  readonly log?: Logger;
}

/** What `start` answers, as in the original. */
export interface StartResult {
  /** Where the command will stand if it is committed; -1 when it was not taken. */
  readonly index: number;
  readonly term: number;
  readonly isLeader: boolean;
  /**
   * Why this node takes no command though it leads: it holds too many uncommitted bytes, and may take
   * one a little later; its disk is nearly full; or it is handing leadership over. Null otherwise.
   */
  readonly refusal: "overloaded" | "diskIsLow" | "handingOver" | null;
}

export interface RaftStatus extends SoftState {
  readonly commitIndex: number;
  readonly lastLogIndex: number;
  readonly firstLogIndex: number;
  readonly snapshotIndex: number;
  readonly followers: readonly FollowerStatus[];
}

/** What every node of the original among the others can follow. */
export function carefulOptions(options: RaftOptions): RaftOptions {
  const appendBytesMax = Math.min(options.appendBytesMax, originalNodes.appendBytesMax);
  return { ...options, appendBytesMax, inflightMax: 1, readMode: "readIndex" };
}
