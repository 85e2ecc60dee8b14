import type { KeyValue, SkipList } from "./skipList.js";

/** What a snapshot needs of the list that it was taken of. Nodes are numbers, 0 is the end. */
export interface SnapshotSource {
  readonly first: number;
  readonly count: number;
  next(node: number): number;
  /** The node holds what it held when the snapshot was taken. */
  isOlder(node: number): boolean;
  keyOf(node: number): Uint8Array;
  valueOf(node: number): Uint8Array;
  closed(): void;
}

/**
 * A skip list as it was at one moment, read in slices while the list changes.
 *
 * Nothing is copied when it is taken. A write to a key that the reader has not passed first puts
 * the old pair aside, and the reader merges two ordered sequences:
 *
 *     the list    a   b*  d   e*  g        (* written since: not of this snapshot)
 *     put aside       b       e   f        (f was deleted)
 *     read        a   b   d   e   f   g
 *
 * So it costs memory for what is overwritten while it is open, once for each key, until the reader
 * comes by.
 */
export class SkipListSnapshot {
  /** Pairs in the snapshot. */
  readonly size: number;
  private readonly source: SnapshotSource;
  private readonly putAside: SkipList;
  /** The first node of the list that was not read. */
  private cursor: number;
  /** The pair last read from `putAside`, whose memory `next` may free. */
  private asideRead: Uint8Array | null = null;
  private open = true;

  constructor(source: SnapshotSource, putAside: SkipList) {
    this.source = source;
    this.putAside = putAside;
    this.size = source.count;
    this.cursor = source.first;
  }

  /**
   * The next pair, as views that are good until the list changes or `next` is called again. Null at
   * the end; undefined when there were only newer nodes for a while: go on in the next slice.
   */
  next(): KeyValue | null | undefined {
    if (!this.open) return null;
    this.dropReadAside();
    for (let skipped = 0; this.cursor !== 0 && !this.source.isOlder(this.cursor); skipped++) {
      if (skipped === skippedMax) return undefined;
      this.cursor = this.source.next(this.cursor);
    }
    const aside = this.putAside.first();
    if (aside !== null && this.isBeforeCursor(aside.key)) {
      this.asideRead = aside.key;
      return aside;
    }
    return this.nextOfList();
  }

  /** Frees what was put aside. Safe to repeat. */
  close(): void {
    if (!this.open) return;
    this.open = false;
    this.source.closed();
  }

  /** The list calls this before `node`'s value is replaced for the first time, or it goes. */
  changing(node: number): void {
    if (this.cursor === 0) return;
    const key = this.source.keyOf(node);
    if (Buffer.compare(key, this.source.keyOf(this.cursor)) < 0) return;
    this.putAside.put(key, this.source.valueOf(node));
  }

  /** The list calls this before `node` goes. */
  removing(node: number): void {
    if (node === this.cursor) this.cursor = this.source.next(node);
  }

  private nextOfList(): KeyValue | null {
    const node = this.cursor;
    if (node === 0) return null;
    this.cursor = this.source.next(node);
    return { key: this.source.keyOf(node), value: this.source.valueOf(node) };
  }

  private isBeforeCursor(key: Uint8Array): boolean {
    return this.cursor === 0 || Buffer.compare(key, this.source.keyOf(this.cursor)) < 0;
  }

  private dropReadAside(): void {
    if (this.asideRead === null) return;
    this.putAside.delete(this.asideRead);
    this.asideRead = null;
  }
}

/** Nodes that are not of the snapshot and that one `next` passes over at most. */
const skippedMax = 4096;
