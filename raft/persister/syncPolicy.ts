/**
 * Whether a batch is synced while the event loop waits, or beside it.
 *
 * Waiting saves two passes through the thread pool, which is 1.4 times the throughput with one
 * caller; with hundreds it is the other way round, since what the loop could have done meanwhile
 * is worth more (0.87 times). And on a slow disk waiting would hold up heartbeats, as it would while
 * a snapshot is written: a sync then stands behind megabytes that are not the log's.
 */
export interface SyncPolicy {
  /** Whether to wait for the sync of a batch with so many entries. */
  waits(entries: number, bytes: number, diskIsBusy: boolean): boolean;
  /** A batch was written and synced in `ms`. */
  observe(entries: number, ms: number): void;
}

export interface SyncPolicyOptions {
  /** Entries a batch, averaged, up to which the loop waits. */
  readonly syncInlineEntriesMax: number;
  /** Time of a batch waited for, averaged, up to which the loop waits. */
  readonly syncInlineMsMax: number;
  /** Bytes of a batch up to which the loop waits. */
  readonly syncInlineBytesMax: number;
  /** Batches after which the loop tries to wait again when waiting took too long. */
  readonly syncRetryBatches: number;
}

/** Weight of the newest batch in the averages. */
const NEWEST = 1 / 8;
/** One stall of the disk counts as this many times the limit, so that it takes several to flip. */
const STALL_MAX = 4;

export class AdaptiveSync implements SyncPolicy {
  private readonly options: SyncPolicyOptions;
  private entries = 0;
  /** Of batches that were waited for: beside the loop a sync takes another time. */
  private ms = 0;
  private waiting = false;
  /** Batches until waiting is tried again. */
  private pause = 0;

  constructor(options: SyncPolicyOptions) {
    this.options = options;
  }

  waits(entries: number, bytes: number, diskIsBusy: boolean): boolean {
    const { syncInlineEntriesMax, syncInlineBytesMax } = this.options;
    if (this.pause > 0) this.pause--;
    this.waiting =
      !diskIsBusy &&
      this.pause === 0 &&
      this.entries <= syncInlineEntriesMax &&
      entries <= 2 * syncInlineEntriesMax &&
      bytes <= syncInlineBytesMax;
    return this.waiting;
  }

  observe(entries: number, ms: number): void {
    this.entries += (entries - this.entries) * NEWEST;
    if (!this.waiting) return;
    const { syncInlineMsMax } = this.options;
    this.ms += (Math.min(ms, STALL_MAX * syncInlineMsMax) - this.ms) * NEWEST;
    if (this.ms <= syncInlineMsMax) return;
    this.ms = 0;
    this.pause = this.options.syncRetryBatches;
  }
}
