/** What a `FrameWatch` asks a `FrameReader`. */
export interface FrameProgress {
  readonly framesRead: number;
  readonly midFrame: boolean;
  readonly paused: boolean;
}

/**
 * Looks a time. A process that was stopped for long sees one of them late, and the frame that lies
 * unread in its socket still has the others to become whole.
 */
const looks = 4;

/**
 * Tells of a frame that never becomes whole: a peer that sends a byte a minute would hold its memory
 * and its place for ever. One timer, and only while a frame is in pieces.
 */
export class FrameWatch {
  readonly #reader: FrameProgress;
  readonly #timeoutMs: number;
  readonly #onStuck: () => void;
  #timer: NodeJS.Timeout | null = null;
  #framesRead = 0;
  #stuckLooks = 0;

  constructor(reader: FrameProgress, timeoutMs: number, onStuck: () => void) {
    this.#reader = reader;
    this.#timeoutMs = timeoutMs;
    this.#onStuck = onStuck;
  }

  /** After each chunk. */
  onChunk(): void {
    if (this.#timer !== null || !this.#reader.midFrame) return;
    this.#stuckLooks = 0;
    this.#wait();
  }

  stop(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
  }

  #wait(): void {
    this.#framesRead = this.#reader.framesRead;
    this.#timer = setTimeout(this.#look, Math.max(1, this.#timeoutMs / looks));
    this.#timer.unref();
  }

  readonly #look = (): void => {
    this.#timer = null;
    const { midFrame, paused, framesRead } = this.#reader;
    if (!midFrame) return;
    const stuck = framesRead === this.#framesRead && !paused;
    this.#stuckLooks = stuck ? this.#stuckLooks + 1 : 0;
    if (this.#stuckLooks < looks) this.#wait();
    else this.#onStuck();
  };
}
