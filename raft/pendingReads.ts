interface PendingRead {
  readonly round: number;
  readonly done: (index: number) => void;
}

/** Reads that wait until a majority confirmed that this node still leads. */
export class PendingReads {
  private reads: PendingRead[] = [];

  /** Rounds come in ascending order. */
  add(round: number, done: (index: number) => void): void {
    this.reads.push({ round, done });
  }

  /** The reads of `round`, and of all before it, may be served at `index`. */
  confirm(round: number, index: number): void {
    let count = 0;
    while (count < this.reads.length && this.reads[count]!.round <= round) count++;
    for (const read of this.reads.splice(0, count)) read.done(index);
  }

  /** None of them can be confirmed any more. */
  fail(): void {
    const reads = this.reads;
    this.reads = [];
    for (const read of reads) read.done(-1);
  }
}
