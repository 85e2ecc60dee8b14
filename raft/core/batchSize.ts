/**
 * How many bytes of entries go to one follower at once. A node of the original takes a request only
 * if a single read brings all of it, and drops it otherwise without a word: how much that is depends
 * on the network, and on how far the connection's window has opened. So this begins with what
 * certainly passes, doubles with each batch that is taken, and begins again after one that was lost.
 * Where that one was larger than any before it, its size may be the reason: from half of it on there
 * are only small steps.
 */
export class BatchSize {
  private readonly safeBytes: number;
  private readonly bytesMax: number;
  private current: number;
  /** Up to here it doubles. */
  private threshold: number;
  /** So much was taken at once. */
  private passed = 0;

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
    this.passed = Math.max(this.passed, bytes);
    if (2 * bytes < this.current) return;
    const step = this.current < this.threshold ? this.current : this.safeBytes;
    this.current = Math.min(this.current + step, this.bytesMax);
  }

  lost(bytes: number): void {
    if (bytes > this.passed) this.threshold = Math.max(bytes / 2, this.safeBytes);
    // On another connection it has to show anew.
    else this.passed = 0;
    this.current = Math.min(this.safeBytes, this.bytesMax);
  }
}
