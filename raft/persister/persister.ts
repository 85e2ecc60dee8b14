/**
 * What Raft needs of a disk. `WalPersister` is the real one; tests have others.
 */
import type { Entry, HardState, SnapshotMeta } from "../core/types.js";
import type { DiskSpace } from "./diskReserve.js";

/** What a data directory held when it was opened. */
export interface RecoveredState {
  readonly hardState: HardState;
  /** The newest whole snapshot, or null. */
  readonly snapshot: SnapshotMeta | null;
  /** The entries after the snapshot and, where they were kept, before it; without a gap. */
  readonly entries: readonly Entry[];
}

export interface SaveBatch {
  readonly hardState: HardState | null;
  /** The log is truncated in front of the first of these when it reaches further. */
  readonly entries: readonly Entry[];
}

/** A snapshot being written; it becomes visible with `commit` and not before. */
export interface SnapshotWriter {
  readonly meta: SnapshotMeta;
  /** Bytes written so far. */
  readonly size: number;
  /** Appends; resolves when the next chunk may come. The writer does not keep `chunk`. */
  write(chunk: Uint8Array): Promise<void>;
  /** Syncs, renames, syncs the directory: after this the snapshot survives a crash. */
  commit(): Promise<void>;
  /** Drops what was written. Safe after a failure, and twice. */
  abort(): Promise<void>;
}

/** A whole snapshot, open for reading even when a newer one replaces it meanwhile. */
export interface SnapshotReader {
  readonly meta: SnapshotMeta;
  /** Bytes of the state, without the file's own header and trailer. */
  readonly size: number;
  /** Up to `length` bytes from `offset`; shorter only at the end. */
  read(offset: number, length: number): Promise<Uint8Array>;
  close(): Promise<void>;
}

/**
 * Durable term, vote, log and snapshots of one node.
 *
 * A failed write or sync is final: `onFailure` is called once, no callback of `save` runs after
 * it, and every later call fails. The owner stops the node.
 */
export interface Persister {
  /** What was found when it was opened. */
  readonly recovered: RecoveredState;
  /** Bytes of the log records that have not been compacted away. */
  readonly logBytes: number;
  /** Syncs of the log since the start. */
  readonly logSyncs: number;
  /** Grows whenever the disk has done something for the log: one that stands still has stalled. */
  readonly diskSteps: number;
  /** Set by the owner; gets the error that ended the persister. */
  onFailure: (error: Error) => void;
  /** How full the disk is, as it was last looked at. */
  readonly space: DiskSpace;
  /** Set by the owner; called when `space.isLow` changes. */
  onSpace: (space: DiskSpace) => void;

  /**
   * Makes a batch durable. Batches become durable in the order of the calls; those of one turn
   * share a write and a sync (group commit). `onDurable` runs later, never within this call.
   */
  save(batch: SaveBatch, onDurable: () => void): void;

  /**
   * Starts a new snapshot file. One at a time for each `kind`: "local" is one of the own state
   * machine, "received" one that a leader sends.
   */
  createSnapshot(meta: SnapshotMeta, kind: "local" | "received"): Promise<SnapshotWriter>;
  /** The newest committed snapshot, or null. */
  openSnapshot(): Promise<SnapshotReader | null>;

  /**
   * After the snapshot `meta` was committed: drops log records that only hold entries up to
   * `throughIndex` (which lies at or before `meta.index`).
   */
  compact(meta: SnapshotMeta, throughIndex: number): Promise<void>;
  /**
   * After a received snapshot `meta` was committed and accepted: the whole log before and after
   * it is dropped, and the next entry saved is `meta.index + 1`. Keeps its place in the order of
   * `save`; resolves when that is durable.
   */
  resetLog(meta: SnapshotMeta): Promise<void>;

  /** Waits for what was saved, then closes the files and releases the directory. */
  close(): Promise<void>;
}
