import { randomInt } from "node:crypto";
import { replicated } from "../config/options.js";

/** Of a revision-1 client: an id in decimal digits, as the original's clerk makes one. */
const revision1IdDigits = 39;
/** Of the id of a session that is opened. */
export const sessionIdBytes = 16;

/**
 * The ids of one client's writes, and which of them are finished: answered for good, or given up.
 *
 *     1 ........ firstUnfinished ........ nextId
 *     finished   some finished, some not  not given out;  the distance never passes windowMax
 *
 * A given-up write counts as finished: once a write that carries a higher mark is applied, a late
 * copy of the given-up one has no effect any more.
 */
export class Session {
  readonly clientId: Uint8Array;
  /** Whether its writes carry the mark, and so may be in flight together. */
  readonly marked: boolean;
  private readonly windowMax: number;
  /** Whether the id at `id % windowMax` is finished, for the ids from the mark on. */
  private readonly finished: Uint8Array;
  private nextId = 1;
  private unfinished = 1;

  private constructor(clientId: Uint8Array, marked: boolean, windowMax: number) {
    this.clientId = clientId;
    this.marked = marked;
    this.windowMax = windowMax;
    this.finished = new Uint8Array(windowMax);
  }

  /** The session that an OpenSession of `clientId` opened. */
  static opened(clientId: Uint8Array, windowMax: number = replicated.sessionWindowMax): Session {
    return new Session(clientId, true, windowMax);
  }

  /** For nodes that know no sessions: they keep one last id a client, so one write at a time. */
  static ofRevision1(): Session {
    return new Session(revision1ClientId(), false, 1);
  }

  get hasRoom(): boolean {
    return this.nextId - this.unfinished < this.windowMax;
  }

  /** What a write carries as FirstUnfinished. */
  get firstUnfinished(): number {
    return this.marked ? this.unfinished : 0;
  }

  /** The id of the next write; only while there is room. */
  begin(): number {
    const id = this.nextId++;
    this.finished[id % this.windowMax] = 0;
    return id;
  }

  finish(id: number): void {
    this.finished[id % this.windowMax] = 1;
    while (this.unfinished < this.nextId && this.finished[this.unfinished % this.windowMax] === 1) {
      this.unfinished++;
    }
  }
}

/** Never the same in two processes, unlike the original's (an unseeded generator). */
export function revision1ClientId(): Uint8Array {
  const digits = Array.from({ length: revision1IdDigits }, (_, position) =>
    position === 0 ? randomInt(1, 10) : randomInt(10),
  );
  return Buffer.from(digits.join(""), "latin1");
}
