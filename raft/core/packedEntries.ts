import type { Entry } from "./types.js";

/** Commands are copied together into blocks of this size. */
const blockBytes = 256 * 1024;
/** Larger commands stay where they are: the copy would cost more than it saves. */
const copiedBytesMax = 16 * 1024;
/**
 * Blocks that are free and wait to be filled again, for each new one brings the next full collection
 * nearer: about what goes with one snapshot.
 */
const spareBlocksMax = 64;

/** Memory that the commands of consecutive entries lie in. */
interface Block {
  readonly firstIndex: number;
  readonly bytes: Uint8Array;
  /** Of each entry, where its command ends; it begins where the one before it ends. */
  readonly ends: number[];
  /** It is filled by copies, and again once all in it was dropped. */
  readonly isOurs: boolean;
}

/** Entries from `firstIndex` on have this term, up to the next run. */
interface TermRun {
  readonly firstIndex: number;
  readonly term: number;
}

/**
 * Consecutive entries that nothing changes any more, without an object for each: the collector
 * copies what is new twice and walks all that is old, and a log holds a hundred thousand entries.
 * An `Entry` is made when one is asked for.
 */
export class PackedEntries {
  private blocks: Block[] = [];
  private readonly spare: Uint8Array[] = [];
  private runs: TermRun[] = [];
  private first: number;
  private next: number;

  constructor(firstIndex: number) {
    this.first = firstIndex;
    this.next = firstIndex;
  }

  /** One past the last entry. */
  get nextIndex(): number {
    return this.next;
  }

  has(index: number): boolean {
    return index >= this.first && index < this.next;
  }

  /** Adds the entry at `nextIndex`. */
  add({ term, command }: Entry): void {
    if (this.runs.at(-1)?.term !== term) this.runs.push({ firstIndex: this.next, term });
    const { length } = command;
    if (length > copiedBytesMax) {
      this.blocks.push({ firstIndex: this.next, bytes: command, ends: [length], isOurs: false });
    } else {
      const block = this.blockWithRoom(length);
      const at = block.ends.at(-1) ?? 0;
      block.bytes.set(command, at);
      block.ends.push(at + length);
    }
    this.next++;
  }

  /** `has` must hold for `index`, here and below. The command is the caller's. */
  entry(index: number): Entry {
    return this.entries(index, index + 1)[0]!;
  }

  /** From `from` up to, not including, `end`. */
  entries(from: number, end: number): Entry[] {
    const entries: Entry[] = [];
    while (from + entries.length < end) this.takeFromBlock(from + entries.length, end, entries);
    return entries;
  }

  commandBytes(index: number): number {
    const block = lastAtOrBefore(this.blocks, index);
    const at = index - block.firstIndex;
    return block.ends[at]! - startOf(block, at);
  }

  term(index: number): number {
    return lastAtOrBefore(this.runs, index).term;
  }

  /** Drops entries before `index`; their memory is free once that of a whole block is. */
  dropBefore(index: number): void {
    const blocks = index < this.next ? placeOf(this.blocks, index) : this.blocks.length;
    for (const { bytes, isOurs } of this.blocks.splice(0, blocks))
      if (isOurs && this.spare.length < spareBlocksMax) this.spare.push(bytes);
    if (index < this.next) this.runs.splice(0, placeOf(this.runs, index));
    else {
      this.runs = [];
      this.next = index;
    }
    this.first = index;
  }

  /** Adds to `entries` those from `from` on that lie in its block, up to `end`. */
  private takeFromBlock(from: number, end: number, entries: Entry[]): void {
    const block = lastAtOrBefore(this.blocks, from);
    const first = from - block.firstIndex;
    const last = Math.min(end - block.firstIndex, block.ends.length) - 1;
    const start = startOf(block, first);
    // The block may be filled again while they are in use.
    const bytes = block.isOurs ? block.bytes.slice(start, block.ends[last]) : block.bytes;
    for (let at = first; at <= last; at++) {
      const index = block.firstIndex + at;
      const command = bytes.subarray(startOf(block, at) - start, block.ends[at]! - start);
      entries.push({ index, term: this.term(index), command });
    }
  }

  private blockWithRoom(bytes: number): Block {
    const last = this.blocks.at(-1);
    const used = last?.ends.at(-1) ?? 0;
    if (last?.isOurs === true && used + bytes <= last.bytes.length) return last;
    const memory = this.spare.pop() ?? new Uint8Array(blockBytes);
    const block: Block = { firstIndex: this.next, bytes: memory, ends: [], isOurs: true };
    this.blocks.push(block);
    return block;
  }
}

function startOf({ ends }: Block, at: number): number {
  return at === 0 ? 0 : ends[at - 1]!;
}

function lastAtOrBefore<T extends { readonly firstIndex: number }>(
  items: readonly T[],
  index: number,
): T {
  return items[placeOf(items, index)]!;
}

/** Place of the last item that begins at or before `index`; those asked for are mostly near the end. */
function placeOf(items: readonly { readonly firstIndex: number }[], index: number): number {
  let low = 0;
  let high = items.length - 1;
  if (items[high]!.firstIndex <= index) return high;
  while (low < high) {
    const middle = (low + high + 1) >>> 1;
    if (items[middle]!.firstIndex <= index) low = middle;
    else high = middle - 1;
  }
  return low;
}
