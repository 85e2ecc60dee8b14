/** Two buffers take turns: one gathers while the other is on its way to the disk. */

const buffersKept = 2;
const bytesMin = 64 * 1024;

export class BufferPool {
  private readonly free: Uint8Array[] = [];
  private readonly bytesKept: number;

  /** @param bytesKept A buffer that a burst made larger is not kept. */
  constructor(bytesKept: number) {
    this.bytesKept = bytesKept;
  }

  /** A buffer of some size, with rubbish in it. */
  take(): Uint8Array {
    return this.free.pop() ?? Buffer.allocUnsafeSlow(bytesMin);
  }

  /** A larger buffer that begins with the first `used` bytes of this one. */
  grow(buffer: Uint8Array, used: number, needed: number): Uint8Array {
    const larger = Buffer.allocUnsafeSlow(Math.max(needed, buffer.length * 2));
    larger.set(buffer.subarray(0, used));
    return larger;
  }

  give(buffer: Uint8Array): void {
    if (this.free.length < buffersKept && buffer.length <= this.bytesKept) this.free.push(buffer);
  }
}
