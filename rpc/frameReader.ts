import { replyMark, type FrameHeader, type FrameLimits } from "./frameHeaders.js";
import { Gatherer } from "./gatherer.js";
import { readVarint, varintIncomplete, type VarintResult } from "./varint.js";

/** Where the frames of a stream go. */
export interface FrameSink<Header extends FrameHeader> {
  /**
   * A whole frame, its body `bytes[start..end)`, mostly a part of the chunk that it arrived in.
   * `header` is valid during the call; `bytes` never changes.
   */
  onFrame(header: Header, bytes: Buffer, start: number, end: number): void;
  /** A frame whose body is over the limit. It will be skipped, without being kept anywhere. */
  onOversized(header: Header): void;
  /** What arrives can't be told apart any more. Nothing further is read. */
  onGarbage(reason: string): void;
}

const found: VarintResult = { value: 0, next: 0 };

/**
 * Takes the frames out of a stream, in whatever pieces it arrives.
 *
 *     head ──── header complete ───► body ──── body complete ───► head
 *       │                             ▲ mostly all in one chunk, and then uncopied
 *       └── body over the limit ────► skip ── all of it passed ─► head
 */
export class FrameReader<Header extends FrameHeader> {
  readonly #header: Header;
  readonly #limits: FrameLimits;
  readonly #sink: FrameSink<Header>;
  /** Bytes before the header's length: the mark of a reply, or none. */
  readonly #markBytes: 0 | 1;

  #stage: "head" | "body" | "skip" = "head";
  readonly #head = new Gatherer();
  readonly #body = new Gatherer();
  /** Length of the head with everything before it, once known. */
  #headBytes = 0;
  #skipBytes = 0;
  #paused = false;
  #stopped = false;
  #held: Buffer | null = null;
  #framesRead = 0;

  constructor(header: Header, mark: boolean, limits: FrameLimits, sink: FrameSink<Header>) {
    this.#header = header;
    this.#markBytes = mark ? 1 : 0;
    this.#limits = limits;
    this.#sink = sink;
  }

  /** Frames passed on or skipped so far. */
  get framesRead(): number {
    return this.#framesRead;
  }

  /** Whether the stream is inside a frame. */
  get midFrame(): boolean {
    return this.#stage !== "head" || this.#head.length > 0;
  }

  get paused(): boolean {
    return this.#paused;
  }

  /** No frame is passed on until `resume`. */
  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    this.#paused = false;
    const held = this.#held;
    if (held === null) return;
    this.#held = null;
    this.push(held);
  }

  /** Ends it all: what is pushed from now on is dropped. */
  stop(): void {
    this.#stopped = true;
    this.#held = null;
    this.#head.take();
    this.#body.take();
  }

  push(chunk: Buffer): void {
    let position = 0;
    while (position < chunk.length && !this.#stopped) {
      if (this.#paused) {
        this.#hold(position === 0 ? chunk : chunk.subarray(position));
        return;
      }
      position = this.#read(chunk, position);
    }
  }

  #hold(rest: Buffer): void {
    this.#held = this.#held === null ? rest : Buffer.concat([this.#held, rest]);
  }

  /** Reads one part of a frame at most; returns where the next begins. */
  #read(chunk: Buffer, position: number): number {
    if (this.#stage === "body") return this.#readBody(chunk, position);
    if (this.#stage === "skip") return this.#skip(chunk, position);
    if (this.#head.length > 0) return this.#gatherHead(chunk, position);
    return this.#readHead(chunk, position);
  }

  /** The usual case: the head lies in this chunk as a whole. */
  #readHead(chunk: Buffer, position: number): number {
    const headEnd = this.#findHeadEnd(chunk, position);
    if (this.#stopped) return chunk.length;
    if (headEnd < 0 || headEnd > chunk.length) {
      this.#headBytes = headEnd < 0 ? 0 : headEnd - position;
      this.#head.append(chunk, position, chunk.length, this.#headBytes);
      return chunk.length;
    }
    return this.#enterBody(chunk, found.next, headEnd, chunk, headEnd);
  }

  /** Where the head that begins at `position` ends, -1 while that can't be told. */
  #findHeadEnd(bytes: Buffer, position: number): number {
    if (this.#markBytes === 1 && bytes[position] !== replyMark) {
      this.#fail("a reply begins without its mark");
      return -1;
    }
    readVarint(bytes, position + this.#markBytes, bytes.length, found);
    if (found.value >= 0 && found.value <= this.#limits.headerBytesMax) {
      return found.next + found.value;
    }
    if (found.value !== varintIncomplete) {
      this.#fail(`a header is larger than ${this.#limits.headerBytesMax} bytes`);
    }
    return -1;
  }

  /** The head began in an earlier chunk. */
  #gatherHead(chunk: Buffer, position: number): number {
    // Until its length is known it is taken byte by byte, so as not to take of what follows.
    const missing = this.#headBytes === 0 ? 1 : this.#headBytes - this.#head.length;
    const end = Math.min(position + missing, chunk.length);
    this.#head.append(chunk, position, end, this.#headBytes);
    const head = this.#head.view();
    const headEnd = this.#findHeadEnd(head, 0);
    if (this.#stopped) return chunk.length;
    this.#headBytes = Math.max(headEnd, 0);
    if (headEnd !== head.length) return end;
    return this.#enterBody(this.#head.take(), found.next, headEnd, chunk, end);
  }

  /** The header is `bytes[start..end)`; the body begins at `position` of `chunk`. */
  #enterBody(bytes: Buffer, start: number, end: number, chunk: Buffer, position: number): number {
    if (!this.#header.decode(bytes, start, end)) {
      this.#fail("a header can't be decoded");
      return chunk.length;
    }
    const { bodySize } = this.#header;
    if (bodySize > this.#limits.bodyBytesMax) {
      this.#stage = "skip";
      this.#skipBytes = bodySize;
      this.#sink.onOversized(this.#header);
      return position;
    }
    const bodyEnd = position + bodySize;
    if (bodyEnd <= chunk.length) {
      this.#framesRead++;
      this.#sink.onFrame(this.#header, chunk, position, bodyEnd);
      return bodyEnd;
    }
    this.#stage = "body";
    return position;
  }

  #readBody(chunk: Buffer, position: number): number {
    const { bodySize } = this.#header;
    const end = Math.min(position + bodySize - this.#body.length, chunk.length);
    this.#body.append(chunk, position, end, bodySize);
    if (this.#body.length === bodySize) {
      this.#stage = "head";
      this.#framesRead++;
      this.#sink.onFrame(this.#header, this.#body.take(), 0, bodySize);
    }
    return end;
  }

  #skip(chunk: Buffer, position: number): number {
    const end = Math.min(position + this.#skipBytes, chunk.length);
    this.#skipBytes -= end - position;
    if (this.#skipBytes === 0) {
      this.#stage = "head";
      this.#framesRead++;
    }
    return end;
  }

  #fail(reason: string): void {
    this.stop();
    this.#sink.onGarbage(reason);
  }
}
