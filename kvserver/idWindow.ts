/** A set of request ids that lie close together: one bit for each id from `floor` on, in a ring. */
export class IdWindow {
  /** Ids in the set. */
  size = 0;
  /** The capture of the sessions before which this window is not to be changed: see `Sessions`. */
  readonly epoch: number;
  private floor: number;
  private readonly span: number;
  private readonly bits: Uint32Array;

  /** @param span how many ids, from `floor` on, have a bit. */
  constructor(
    floor: number,
    span: number,
    epoch: number,
    bits = new Uint32Array((span + 31) >> 5),
  ) {
    this.floor = floor;
    this.span = span;
    this.epoch = epoch;
    this.bits = bits;
  }

  clone(epoch: number): IdWindow {
    const copy = new IdWindow(this.floor, this.span, epoch, this.bits.slice());
    copy.size = this.size;
    return copy;
  }

  has(id: number): boolean {
    if (id < this.floor || id >= this.floor + this.span) return false;
    const bit = this.bitOf(id);
    return (this.bits[bit >> 5]! & (1 << (bit & 31))) !== 0;
  }

  /** Adds an id from `floor` to less than `floor + span`. */
  add(id: number): void {
    if (this.has(id)) return;
    const bit = this.bitOf(id);
    this.bits[bit >> 5]! |= 1 << (bit & 31);
    this.size++;
  }

  /** Forgets the ids below `floor`, and makes room for as many above. */
  raise(floor: number): void {
    const end = Math.min(floor, this.floor + this.span);
    for (let id = this.floor; id < end && this.size > 0; id++) {
      if (!this.has(id)) continue;
      const bit = this.bitOf(id);
      this.bits[bit >> 5]! &= ~(1 << (bit & 31));
      this.size--;
    }
    this.floor = Math.max(floor, this.floor);
  }

  /** The ids, ascending. */
  ids(): number[] {
    const ids = [];
    for (let id = this.floor; ids.length < this.size; id++) if (this.has(id)) ids.push(id);
    return ids;
  }

  /** An id of the original's kind may be negative. */
  private bitOf(id: number): number {
    const rest = id % this.span;
    return rest < 0 ? rest + this.span : rest;
  }
}
