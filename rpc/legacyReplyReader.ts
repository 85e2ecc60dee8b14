import { groupDepthMax, skipField } from "./fieldScan.js";
import { Gatherer } from "./gatherer.js";
import { readVarint, varintIncomplete, varintInvalid, type VarintResult } from "./varint.js";

const found: VarintResult = { value: 0, next: 0 };

/**
 * Puts a revision-1 reply together. Nothing tells how long it is: it counts as whole when it ends
 * where a field ends, outside of all groups. What was seen is not looked at again, however small the
 * pieces are.
 */
export class LegacyReplyReader {
  readonly #gathered = new Gatherer();
  /** Up to where all fields are whole, and the groups in `#open` have begun. */
  #scanned = 0;
  /** The tags of groups that have begun and not ended. */
  readonly #open: number[] = [];
  #bytesMin = 0;

  /** How long the reply that is on its way will be at least, as far as it says. */
  get bytesMin(): number {
    return this.#bytesMin;
  }

  /** The reply once it is whole, null while it is not; undefined when this is no message at all. */
  push(chunk: Buffer): Buffer | null | undefined {
    this.#gathered.append(chunk, 0, chunk.length, 0);
    const bytes = this.#gathered.view();
    this.#bytesMin = bytes.length;
    while (this.#scanned < bytes.length) {
      const next = this.#scanField(bytes);
      if (next === varintIncomplete) return null;
      if (next < 0) return undefined;
      this.#scanned = next;
    }
    if (this.#open.length > 0) return null;
    this.#scanned = 0;
    return this.#gathered.take();
  }

  /** Where the next field ends, or the beginning or end of a group. */
  #scanField(bytes: Buffer): number {
    readVarint(bytes, this.#scanned, bytes.length, found);
    const { value: tag, next } = found;
    if (tag >= 8 && (tag & 7) === 3)
      return this.#open.push(tag) > groupDepthMax ? varintInvalid : next;
    if (tag >= 8 && (tag & 7) === 4) return this.#open.pop() === tag - 1 ? next : varintInvalid;
    const end = skipField(bytes, this.#scanned, bytes.length);
    if (end === varintIncomplete && (tag & 7) === 2) this.#noteLength(bytes, next);
    return end;
  }

  #noteLength(bytes: Buffer, position: number): void {
    readVarint(bytes, position, bytes.length, found);
    if (found.value >= 0) this.#bytesMin = found.next + found.value;
  }
}
