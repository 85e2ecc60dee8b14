import { invariant } from "./invariant.js";
import { PackedEntries } from "./packedEntries.js";
import type { Entry, SnapshotMeta } from "./types.js";

/** Bytes that an entry is taken to cost beside its command, on the wire and on disk. */
export const entryOverheadBytes = 16;

export function entryBytes(entry: Entry): number {
  return entry.command.length + entryOverheadBytes;
}

interface Slice {
  readonly from: number;
  readonly entries: readonly Entry[];
}

const noSlice: Slice = { from: 0, entries: [] };

interface PendingSave {
  readonly id: number;
  /** The last entry that this save makes durable; lowered when a truncation overtakes it. */
  lastIndex: number;
  readonly bytes: number;
}

/**
 * The part of the log that is held in memory, and how far it is saved and committed.
 *
 *     compacted | packed entries | recent entries           |
 *               | first ........... commit ........ last    |
 *               |         durable <= saving <= last         |
 *
 * Invariants: `first - 1 <= commitIndex <= lastIndex`; entries up to `commitIndex` never change.
 * Only such entries are packed, a commit later: when they were applied, in the usual case.
 */
export class RaftLog {
  private readonly packed: PackedEntries;
  private recent: Entry[];
  private first: number;
  /** Term of the entry before the first. */
  private termBefore: number;
  private durable: number;
  private saving: number;
  private saves: PendingSave[] = [];
  /** Bytes of the entries in `saves`. */
  private savingBytes = 0;
  private commit: number;
  private lastSlice = noSlice;

  constructor(snapshot: SnapshotMeta, entries: readonly Entry[]) {
    const head = entries[0];
    this.recent = [...entries];
    this.first = head === undefined ? snapshot.index + 1 : head.index;
    this.termBefore = this.first === snapshot.index + 1 ? snapshot.term : 0;
    this.commit = snapshot.index;
    this.durable = this.first + entries.length - 1;
    this.saving = this.durable;
    this.packed = new PackedEntries(this.first);
    invariant(
      this.first <= snapshot.index + 1 && this.lastIndex >= snapshot.index,
      () => `log ${this.first}..${this.lastIndex} leaves a gap to snapshot ${snapshot.index}`,
    );
    // The log may begin before the snapshot; then nothing tells the term before its first entry.
    if (this.first <= snapshot.index && this.first > 1) this.compact(this.first);
  }

  get firstIndex(): number {
    return this.first;
  }

  get lastIndex(): number {
    return this.recentFrom + this.recent.length - 1;
  }

  get lastTerm(): number {
    return this.recent.at(-1)?.term ?? this.term(this.recentFrom - 1);
  }

  get commitIndex(): number {
    return this.commit;
  }

  /** Entries up to here are on this node's disk. */
  get durableIndex(): number {
    return this.durable;
  }

  /** Whether everything up to `index` is committed, and on this node's disk. */
  hasDurably(index: number): boolean {
    return index <= this.commit && index <= this.durable;
  }

  /** The term of the entry at `index`, or -1 when it is compacted or does not exist. */
  term(index: number): number {
    if (index === this.first - 1) return this.termBefore;
    if (this.packed.has(index)) return this.packed.term(index);
    return this.recent[index - this.recentFrom]?.term ?? -1;
  }

  /** Raft §5.4.1: whether a log that ends so is at least as up-to-date as this one. */
  isUpToDate(lastIndex: number, lastTerm: number): boolean {
    return lastTerm > this.lastTerm || (lastTerm === this.lastTerm && lastIndex >= this.lastIndex);
  }

  entry(index: number): Entry {
    if (this.packed.has(index)) return this.packed.entry(index);
    const entry = this.recent[index - this.recentFrom];
    invariant(entry !== undefined, () => `no entry ${index} in ${this.first}..${this.lastIndex}`);
    return entry;
  }

  /** What `entryBytes` says of the entry at `index`, which the log must hold. */
  bytesAt(index: number): number {
    const { packed } = this;
    if (packed.has(index)) return packed.commandBytes(index) + entryOverheadBytes;
    return entryBytes(this.recent[index - this.recentFrom]!);
  }

  /**
   * Entries from `from` on, within both limits, but at least one if there is one. The same range
   * asked for again, for the next follower, gives the same array.
   */
  slice(from: number, entriesMax: number, bytesMax: number): readonly Entry[] {
    const end = this.endOfSlice(from, entriesMax, bytesMax);
    const last = this.lastSlice;
    if (last.from === from && last.entries.length === end - from) return last.entries;
    const entries = this.range(from, end);
    this.lastSlice = { from, entries };
    return entries;
  }

  /** Adds entries at the end. */
  append(entries: readonly Entry[]): void {
    for (const entry of entries) {
      invariant(
        entry.index === this.lastIndex + 1 && entry.term >= this.lastTerm,
        () => `entry ${entry.index}/${entry.term} after ${this.lastIndex}/${this.lastTerm}`,
      );
      this.recent.push(entry);
    }
  }

  /** Removes the entries from `from` on, which conflict with a leader's (Raft §5.3). */
  truncate(from: number): void {
    invariant(from > this.commit, () => `truncation at ${from} below commit ${this.commit}`);
    this.recent.length = from - this.recentFrom;
    this.lastSlice = noSlice;
    this.durable = Math.min(this.durable, from - 1);
    this.saving = Math.min(this.saving, from - 1);
    // An entry may come back to this place later, even the very same one. The saves under way
    // wrote its predecessor, which the next save overwrites: they no longer prove anything here.
    for (const save of this.saves) save.lastIndex = Math.min(save.lastIndex, from - 1);
  }

  commitTo(index: number): void {
    invariant(
      index >= this.commit && index <= this.lastIndex,
      () => `commit ${this.commit} -> ${index} with last ${this.lastIndex}`,
    );
    this.pack(Math.min(this.commit, this.saving));
    this.commit = index;
  }

  /** Whether there are entries that were not handed out for saving. */
  get hasUnsaved(): boolean {
    return this.saving < this.lastIndex;
  }

  /** Hands out what is to be saved, under an id that `saved` gets back. */
  takeUnsaved(id: number): readonly Entry[] {
    const unsaved = this.range(this.saving + 1, this.lastIndex + 1);
    this.saving = this.lastIndex;
    let bytes = 0;
    for (const entry of unsaved) bytes += entryBytes(entry);
    this.saves.push({ id, lastIndex: this.lastIndex, bytes });
    this.savingBytes += bytes;
    return unsaved;
  }

  /** The saves up to `id` are durable. */
  saved(id: number): void {
    while (this.saves.length > 0 && this.saves[0]!.id <= id) {
      const save = this.saves.shift()!;
      this.durable = Math.max(this.durable, save.lastIndex);
      this.savingBytes -= save.bytes;
    }
  }

  /** The last entry with which no more than `bytesMax` wait for the disk, but for a single save. */
  indexAhead(bytesMax: number): number {
    if (this.savingBytes <= bytesMax) return this.lastIndex;
    let bytes = 0;
    for (const save of this.saves) {
      bytes += save.bytes;
      if (bytes > bytesMax) return save.lastIndex;
    }
    return this.lastIndex;
  }

  /** Drops entries up to `index`, which a snapshot covers. */
  compact(index: number): void {
    invariant(index <= this.commit, () => `compaction at ${index} above commit ${this.commit}`);
    if (index < this.first) return;
    this.termBefore = this.term(index);
    this.recent = this.recent.slice(Math.max(0, index + 1 - this.recentFrom));
    this.packed.dropBefore(index + 1);
    this.first = index + 1;
    this.lastSlice = noSlice;
  }

  /** A snapshot replaces the whole log. */
  restore(snapshot: SnapshotMeta): void {
    invariant(snapshot.index > this.commit, () => `snapshot ${snapshot.index} moves back`);
    this.recent = [];
    this.packed.dropBefore(snapshot.index + 1);
    this.first = snapshot.index + 1;
    this.termBefore = snapshot.term;
    this.commit = snapshot.index;
    this.durable = snapshot.index;
    this.saving = snapshot.index;
    this.lastSlice = noSlice;
    for (const save of this.saves) save.lastIndex = 0;
  }

  /** Index of `recent[0]`. */
  private get recentFrom(): number {
    return this.packed.nextIndex;
  }

  private endOfSlice(from: number, entriesMax: number, bytesMax: number): number {
    const endMax = Math.min(from + entriesMax, this.lastIndex + 1);
    let bytes = 0;
    for (let index = from; index < endMax; index++) {
      bytes += this.bytesAt(index);
      if (bytes > bytesMax && index > from) return index;
    }
    return endMax;
  }

  private range(from: number, end: number): Entry[] {
    const { packed, recentFrom } = this;
    const recent = this.recent.slice(Math.max(0, from - recentFrom), Math.max(0, end - recentFrom));
    if (from >= recentFrom) return recent;
    return packed.entries(from, Math.min(end, recentFrom)).concat(recent);
  }

  /** Packs recent entries up to `index`. */
  private pack(index: number): void {
    const count = index + 1 - this.recentFrom;
    if (count <= 0) return;
    for (let place = 0; place < count; place++) this.packed.add(this.recent[place]!);
    this.recent = this.recent.slice(count);
  }
}
