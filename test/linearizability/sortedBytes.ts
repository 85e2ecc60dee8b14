/** Byte strings in order, each once; where a string stands is its rank. */
export interface SortedBytes {
  readonly sorted: readonly Buffer[];
  /** Of each string given: its rank. */
  readonly ranks: Int32Array;
}

/** The strings are kept, not copied. */
export function sortBytes(strings: readonly Uint8Array[]): SortedBytes {
  const views = strings.map((bytes) => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length));
  const order = [...views.keys()].sort((a, b) => views[a]!.compare(views[b]!));
  const sorted: Buffer[] = [];
  const ranks = new Int32Array(strings.length);
  for (const index of order) {
    const view = views[index]!;
    if (!sorted.at(-1)?.equals(view)) sorted.push(view);
    ranks[index] = sorted.length - 1;
  }
  return { sorted, ranks };
}

/** Finds which of some strings others begin with. */
export class PrefixIndex {
  readonly lengthMax: number;
  private readonly sorted: readonly Buffer[];
  /** Of each string: the rank of the longest other one that it begins with, or -1. */
  private readonly parents: Int32Array;

  constructor(sorted: readonly Buffer[]) {
    this.sorted = sorted;
    this.lengthMax = sorted.reduce((max, { length }) => Math.max(max, length), 0);
    this.parents = new Int32Array(sorted.length);
    for (const [rank, bytes] of sorted.entries()) {
      // Whatever a string begins with, its predecessor is that or begins with it as well.
      this.parents[rank] = this.longestPrefix(rank - 1, bytes, 0);
    }
  }

  parentOf(rank: number): number {
    return this.parents[rank]!;
  }

  /** The ranks of all strings that stand in `bytes` at `offset`, the longest first. */
  prefixesAt(bytes: Buffer, offset: number): number[] {
    let low = 0;
    let high = this.sorted.length;
    const end = Math.min(offset + this.lengthMax, bytes.length);
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.sorted[middle]!.compare(bytes, offset, end) <= 0) low = middle + 1;
      else high = middle;
    }
    const found: number[] = [];
    let rank = this.longestPrefix(low - 1, bytes, offset);
    for (; rank >= 0; rank = this.parents[rank]!) found.push(rank);
    return found;
  }

  /** `from` or the longest string that it begins with, such that `bytes` begin with that. */
  private longestPrefix(from: number, bytes: Buffer, offset: number): number {
    let rank = from;
    while (rank >= 0 && !standsAt(this.sorted[rank]!, bytes, offset)) rank = this.parents[rank]!;
    return rank;
  }
}

function standsAt(part: Buffer, whole: Buffer, offset: number): boolean {
  const end = offset + part.length;
  return end <= whole.length && part.compare(whole, offset, end) === 0;
}
