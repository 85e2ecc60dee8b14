import { rpcLimits } from "../config/options.js";

const empty = Buffer.alloc(0);

/**
 * Puts together what arrives in pieces. Its memory follows what really arrived, whatever size was
 * announced, and each byte is copied at most about twice, however small the pieces are.
 */
export class Gatherer {
  #bytes: Buffer = empty;
  #length = 0;

  get length(): number {
    return this.#length;
  }

  /** What has been gathered: a view that lasts until the next call. */
  view(): Buffer {
    return this.#bytes.subarray(0, this.#length);
  }

  /** Adds `chunk[start..end)`; `expected` is how long the whole is known to become, or 0. */
  append(chunk: Uint8Array, start: number, end: number, expected: number): void {
    const length = this.#length + end - start;
    if (length > this.#bytes.length) this.#grow(length, expected);
    this.#bytes.set(chunk.subarray(start, end), this.#length);
    this.#length = length;
  }

  /** Hands over what was gathered, and starts anew. */
  take(): Buffer {
    const taken = this.view();
    this.#bytes = empty;
    this.#length = 0;
    return taken;
  }

  #grow(length: number, expected: number): void {
    const { gatherBytesMin, gatherAheadMax } = rpcLimits;
    const roomy = Math.max(gatherBytesMin, length * (expected > 0 ? gatherAheadMax : 2));
    const capacity = expected > 0 ? Math.max(length, Math.min(expected, roomy)) : roomy;
    const grown = Buffer.allocUnsafeSlow(capacity);
    this.#bytes.copy(grown, 0, 0, this.#length);
    this.#bytes = grown;
  }
}
