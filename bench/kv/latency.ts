export interface Latency {
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
  readonly max: number;
}

const capacityMin = 65_536;

/** Latencies in ms, every one: a histogram would take longer, on the processor of those measured. */
export class LatencyRecorder {
  private samples = new Float64Array(capacityMin);
  private length = 0;

  add(ms: number): void {
    if (this.length === this.samples.length) this.grow();
    this.samples[this.length++] = ms;
  }

  reset(): void {
    this.length = 0;
  }

  get count(): number {
    return this.length;
  }

  summary(): Latency {
    const ascending = this.samples.slice(0, this.length).sort();
    const at = (share: number): number => ascending[Math.ceil(share * this.length) - 1] ?? 0;
    return { p50: at(0.5), p90: at(0.9), p99: at(0.99), max: at(1) };
  }

  private grow(): void {
    const larger = new Float64Array(this.samples.length * 2);
    larger.set(this.samples);
    this.samples = larger;
  }
}
