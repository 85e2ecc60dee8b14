/**
 * How long to wait before the next attempt: exponential with full jitter, so that the clients of a
 * server that comes back do not arrive all at once.
 */
export class Backoff {
  readonly #msMin: number;
  readonly #msMax: number;
  readonly #random: () => number;
  #failures = 0;

  /** `random` gives numbers in [0, 1). */
  constructor(msMin: number, msMax: number, random: () => number = Math.random) {
    this.#msMin = msMin;
    this.#msMax = msMax;
    this.#random = random;
  }

  /** The wait after one more failure, in ms: between the two bounds. */
  next(): number {
    const top = Math.min(this.#msMax, this.#msMin * 2 ** (this.#failures + 1));
    if (top < this.#msMax) this.#failures++;
    return this.#msMin + this.#random() * (top - this.#msMin);
  }

  /** After a success. */
  reset(): void {
    this.#failures = 0;
  }
}
