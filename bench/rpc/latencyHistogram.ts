/** Steps in which a latency doubles: a bucket is 2 % wide. */
const stepsPerDoubling = 36;
const buckets = 40 * stepsPerDoubling;

/** Latencies in µs, from 0.1 µs to days, in buckets of equal relative width. */
export class LatencyHistogram {
  readonly #counts = new Uint32Array(buckets);
  #count = 0;

  add(us: number): void {
    const bucket = Math.floor(Math.log2(Math.max(us, 0.1) * 10) * stepsPerDoubling);
    this.#counts[Math.min(bucket, buckets - 1)]!++;
    this.#count++;
  }

  /** The latency that `share` (0 to 1) of all samples don't exceed; 0 without samples. */
  percentile(share: number): number {
    let rest = Math.ceil(this.#count * share);
    for (let bucket = 0; bucket < buckets && this.#count > 0; bucket++) {
      rest -= this.#counts[bucket]!;
      if (rest <= 0) return 2 ** ((bucket + 0.5) / stepsPerDoubling) / 10;
    }
    return 0;
  }
}
