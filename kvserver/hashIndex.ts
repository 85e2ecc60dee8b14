const segmentCount = 256;
const slotsMin = 8;

/** One growing part of the table: pairs of hash and id, id 0 for an empty slot. */
interface Segment {
  pairs: Int32Array;
  count: number;
}

/**
 * From a hash to the ids that were stored under it, in memory that the collector need not trace:
 * open addressing with linear probing in typed arrays.
 *
 * The table is cut into segments by the hash's upper bits, each growing on its own: moving a
 * million ids at once would stall the event loop, moving four thousand does not.
 */
export class HashIndex {
  private readonly segments: Segment[] = [];
  private probeSegment: Segment;
  private probeHash = 0;
  private probeSlot = 0;

  constructor() {
    for (let i = 0; i < segmentCount; i++) {
      this.segments.push({ pairs: new Int32Array(2 * slotsMin), count: 0 });
    }
    this.probeSegment = this.segments[0]!;
  }

  /** Starts a search: the first id that may be meant, or 0. The caller compares and goes on. */
  first(hash: number): number {
    this.probeSegment = this.segments[hash >>> 24]!;
    this.probeHash = hash;
    this.probeSlot = homeSlot(this.probeSegment, hash) - 1;
    return this.next();
  }

  /** The next id under the hash that `first` was given, or 0. */
  next(): number {
    const { pairs } = this.probeSegment;
    const mask = (pairs.length >> 1) - 1;
    for (;;) {
      this.probeSlot = (this.probeSlot + 1) & mask;
      const id = pairs[2 * this.probeSlot + 1]!;
      if (id === 0 || pairs[2 * this.probeSlot] === this.probeHash) return id;
    }
  }

  /** Adds `id` (not 0), which must not be there yet. */
  add(hash: number, id: number): void {
    const segment = this.segments[hash >>> 24]!;
    // Three of four slots at most: probes stay short.
    if ((segment.count + 1) * 4 > (segment.pairs.length >> 1) * 3) grow(segment);
    insert(segment, hash, id);
    segment.count++;
  }

  /** Removes `id`, which must be there. */
  remove(hash: number, id: number): void {
    const segment = this.segments[hash >>> 24]!;
    const { pairs } = segment;
    const mask = (pairs.length >> 1) - 1;
    let slot = homeSlot(segment, hash);
    while (pairs[2 * slot + 1] !== id) slot = (slot + 1) & mask;
    closeGap(segment, slot);
    segment.count--;
  }
}

/** Where the search for `hash` begins: the top byte chose the segment, so the others choose this. */
function homeSlot(segment: Segment, hash: number): number {
  return hash & ((segment.pairs.length >> 1) - 1);
}

function insert(segment: Segment, hash: number, id: number): void {
  const { pairs } = segment;
  const mask = (pairs.length >> 1) - 1;
  let slot = homeSlot(segment, hash);
  while (pairs[2 * slot + 1] !== 0) slot = (slot + 1) & mask;
  pairs[2 * slot] = hash;
  pairs[2 * slot + 1] = id;
}

function grow(segment: Segment): void {
  const { pairs } = segment;
  segment.pairs = new Int32Array(pairs.length * 2);
  for (let at = 0; at < pairs.length; at += 2) {
    if (pairs[at + 1] !== 0) insert(segment, pairs[at]!, pairs[at + 1]!);
  }
}

/** Moves back whatever a search would no longer reach across the hole at `gap`. */
function closeGap(segment: Segment, gap: number): void {
  const { pairs } = segment;
  const mask = (pairs.length >> 1) - 1;
  let hole = gap;
  for (let slot = (gap + 1) & mask; pairs[2 * slot + 1] !== 0; slot = (slot + 1) & mask) {
    const home = homeSlot(segment, pairs[2 * slot]!);
    // Its search starts after the hole: it stays where it is.
    if (((slot - home) & mask) < ((slot - hole) & mask)) continue;
    pairs[2 * hole] = pairs[2 * slot]!;
    pairs[2 * hole + 1] = pairs[2 * slot + 1]!;
    hole = slot;
  }
  pairs[2 * hole] = 0;
  pairs[2 * hole + 1] = 0;
}
