import { createHistogram } from "node:perf_hooks";

export interface Latency {
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
  readonly max: number;
}

/** Latencies in ms, kept to three digits. */
export class LatencyRecorder {
  private readonly histogram = createHistogram({ figures: 3 });

  add(ms: number): void {
    this.histogram.record(Math.max(1, Math.round(ms * 1e6)));
  }

  reset(): void {
    this.histogram.reset();
  }

  get count(): number {
    return this.histogram.count;
  }

  summary(): Latency {
    const at = (percent: number): number => this.histogram.percentile(percent) / 1e6;
    return { p50: at(50), p90: at(90), p99: at(99), max: this.histogram.max / 1e6 };
  }
}
