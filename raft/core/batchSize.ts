/**
 * How many bytes of entries go to one follower at once. A node of the original takes a request only
 * if a single read brings all of it, and drops it otherwise without a word: how much that is depends
 * on the network, and on how far the connection's window has opened. So this begins with what
 * certainly passes, doubles with each batch that is taken, and after one that was lost begins again,
 * to double up to half of that one and to go on from there in small steps.
 */
export class BatchSize {
  private readonly safeBytes: number;
  private readonly bytesMax: number;
  private current: number;
  /** Up to here it doubles. */
  private threshold: number;

  constructor(safeBytes: number, bytesMax: number) {
    this.safeBytes = safeBytes;
    this.bytesMax = bytesMax;
    this.current = Math.min(safeBytes, bytesMax);
    this.threshold = bytesMax;
  }

  get bytes(): number {
    return this.current;
  }

  /** Only what came close to the size tells that a larger one may pass. */
  taken(bytes: number): void {
    if (2 * bytes < this.current) return;
    const step = this.current < this.threshold ? this.current : this.safeBytes;
    this.current = Math.min(this.current + step, this.bytesMax);
  }

  lost(bytes: number): void {
    if (bytes > this.safeBytes) this.threshold = bytes / 2;
    this.current = Math.min(this.safeBytes, this.bytesMax);
  }
}
