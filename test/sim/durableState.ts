import type { CoreStart, Entry, HardState, SnapshotMeta } from "../../raft/core/index.js";

/** A snapshot of the simulated state machine: its hash chain at one index. */
export interface SnapshotImage {
  readonly meta: SnapshotMeta;
  readonly hash: number;
}

/** One write to the log: its parts reach the disk in the order given here. */
export interface LogWrite {
  /** Drops the whole log; the next entry follows this one. */
  readonly reset?: SnapshotMeta;
  readonly hardState?: HardState | null;
  /** The log is truncated in front of the first of these. */
  readonly entries?: readonly Entry[];
  /** Drops entries from the front, up to here. */
  readonly compactThrough?: number;
}

/** Told of every change at the moment when it becomes durable. */
export interface DiskObserver {
  hardStateWritten(node: number, state: HardState): void;
  entryWritten(node: number, entry: Entry): void;
  /** Of the entries from `from` to `last`, some are others now, or gone. */
  logRewritten(from: number, last: number): void;
  snapshotWritten(node: number, image: SnapshotImage): void;
}

/** What one node's disk holds: all that a crash leaves of it. */
export class DurableState {
  readonly node: number;
  hardState: HardState = { term: 0, votedFor: -1 };
  snapshot: SnapshotImage | null = null;
  /** What the first entry follows. */
  private base: SnapshotMeta = { index: 0, term: 0 };
  private entries: Entry[] = [];
  private readonly observer: DiskObserver;

  constructor(node: number, observer: DiskObserver) {
    this.node = node;
    this.observer = observer;
  }

  /** Of the log, whether it holds an entry or not. */
  get firstIndex(): number {
    return this.base.index + 1;
  }

  get lastIndex(): number {
    return this.base.index + this.entries.length;
  }

  /** The term of the entry at `index` in the log, or -1. */
  term(index: number): number {
    if (index === this.base.index) return this.base.term;
    return this.entries[index - this.base.index - 1]?.term ?? -1;
  }

  /** Whether the log or the snapshot holds the entry `index` of `term`. */
  holds(index: number, term: number): boolean {
    return this.term(index) === term || (this.snapshot?.meta.index ?? 0) >= index;
  }

  apply({ reset, hardState, entries, compactThrough }: LogWrite): void {
    if (reset !== undefined) this.reset(reset);
    if (hardState !== undefined && hardState !== null) {
      this.hardState = hardState;
      this.observer.hardStateWritten(this.node, hardState);
    }
    if (entries !== undefined) this.append(entries);
    if (compactThrough !== undefined) this.compact(compactThrough);
  }

  writeSnapshot(image: SnapshotImage): void {
    if (image.meta.index <= (this.snapshot?.meta.index ?? 0)) return;
    this.snapshot = image;
    this.observer.snapshotWritten(this.node, image);
  }

  /**
   * What a start finds. A log that does not reach the snapshot, or that has another entry at its
   * place, is worthless: the crash came between the snapshot and the reset of the log.
   */
  recover(): CoreStart {
    const snapshot = this.snapshot?.meta ?? { index: 0, term: 0 };
    if (this.term(snapshot.index) !== snapshot.term) this.reset(snapshot);
    return { hardState: this.hardState, snapshot, entries: [...this.entries] };
  }

  private reset(meta: SnapshotMeta): void {
    this.base = meta;
    this.entries = [];
  }

  private append(entries: readonly Entry[]): void {
    const head = entries[0];
    if (head === undefined) return;
    if (head.index > this.lastIndex + 1 || head.index <= this.base.index)
      throw new Error(
        `entry ${head.index} written to a log of ${this.base.index}..${this.lastIndex}`,
      );
    const { lastIndex } = this;
    this.entries.length = head.index - this.base.index - 1;
    for (const entry of entries) {
      this.entries.push(entry);
      this.observer.entryWritten(this.node, entry);
    }
    if (head.index <= lastIndex) this.observer.logRewritten(head.index, lastIndex);
  }

  private compact(through: number): void {
    const term = this.term(through);
    if (through <= this.base.index || term === -1) return;
    this.entries.splice(0, through - this.base.index);
    this.base = { index: through, term };
  }
}
