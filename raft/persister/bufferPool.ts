/** Two buffers take turns: one gathers while the other is on its way to the disk. */

const buffersKept = 2;
const bytesMin = 64 * 1024;

export class BufferPool {
  private readonly free: Uint8Array[] = [];
  private readonly bytesKept: number;
  private lent = 0;

  /** @param bytesKept A buffer that a burst made larger is not kept. */
  constructor(bytesKept: number) {
    this.bytesKept = bytesKept;
  }

  /** A buffer of some size, with rubbish in it. */
  take(): Uint8Array {
    // While the disk is behind, batches become large: this one need not be copied as it grows.
    const bytes = this.lent++ < buffersKept ? bytesMin : Math.max(bytesMin, this.bytesKept);
    return this.free.pop() ?? Buffer.allocUnsafeSlow(bytes);
  }

  /** A larger buffer that begins with the first `used` bytes of this one. */
  grow(buffer: Uint8Array, used: number, needed: number): Uint8Array {
    const doubled = buffer.length * 2;
    // Up to what is kept, and not beyond by more than is needed.
    const roomy = buffer.length < this.bytesKept ? Math.min(doubled, this.bytesKept) : doubled;
    const larger = Buffer.allocUnsafeSlow(Math.max(needed, roomy));
    larger.set(buffer.subarray(0, used));
    return larger;
  }

  give(buffer: Uint8Array): void {
    this.lent--;
    if (this.free.length < buffersKept && buffer.length <= this.bytesKept) this.free.push(buffer);
  }
}
