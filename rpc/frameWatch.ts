/** What a `FrameWatch` asks a `FrameReader`. */
export interface FrameProgress {
  readonly framesRead: number;
  readonly midFrame: boolean;
  readonly paused: boolean;
}

/**
 * Tells of a frame that never becomes whole: a peer that sends a byte a minute would hold its memory
 * and its place for ever. One timer, and only while a frame is in pieces.
 */
export class FrameWatch {
  readonly #reader: FrameProgress;
  readonly #timeoutMs: number;
  readonly #onStuck: () => void;
  #timer: NodeJS.Timeout | null = null;

  constructor(reader: FrameProgress, timeoutMs: number, onStuck: () => void) {
    this.#reader = reader;
    this.#timeoutMs = timeoutMs;
    this.#onStuck = onStuck;
  }

  /** After each chunk. */
  onChunk(): void {
    if (this.#timer === null && this.#reader.midFrame) this.#watch();
  }

  stop(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
  }

  #watch(): void {
    const { framesRead } = this.#reader;
    this.#timer = setTimeout(() => {
      this.#timer = null;
      const { midFrame, paused } = this.#reader;
      if (!midFrame) return;
      if (this.#reader.framesRead > framesRead || paused) this.#watch();
      else this.#onStuck();
    }, this.#timeoutMs);
    this.#timer.unref();
  }
}
