import { skipField } from "./fieldScan.js";
import { Gatherer } from "./gatherer.js";
import { varintIncomplete } from "./varint.js";

/**
 * Puts a revision-1 reply together. Nothing tells how long it is: it counts as whole when it ends
 * where a field ends. Fields that were seen are not looked at again.
 */
export class LegacyReplyReader {
  readonly #gathered = new Gatherer();
  /** Up to where all fields are whole. */
  #scanned = 0;

  get length(): number {
    return this.#gathered.length;
  }

  /** The reply once it is whole, null while it is not; undefined when this is no message at all. */
  push(chunk: Buffer): Buffer | null | undefined {
    this.#gathered.append(chunk, 0, chunk.length, 0);
    const bytes = this.#gathered.view();
    while (this.#scanned < bytes.length) {
      const next = skipField(bytes, this.#scanned, bytes.length);
      if (next === varintIncomplete) return null;
      if (next < 0) return undefined;
      this.#scanned = next;
    }
    this.#scanned = 0;
    return this.#gathered.take();
  }
}
