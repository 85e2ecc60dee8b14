import { performance } from "node:perf_hooks";
import { LatencyHistogram } from "./latencyHistogram.js";
import type { Caller } from "./peer.js";

export interface LoadResult {
  readonly callsPerSecond: number;
  readonly p50Us: number;
  readonly p99Us: number;
  /** This process's CPU time, user and system, over the calls made. */
  readonly cpuUsPerCall: number;
  readonly calls: number;
}

/** A clock reading costs as much as a tenth of the fastest call: one call in so many is timed. */
const sampleEvery = 8;

/** Keeps `inFlight` calls out for `durationMs`: each reply starts the next call. */
export function load(caller: Caller, inFlight: number, durationMs: number): Promise<LoadResult> {
  return new Promise((resolve) => {
    const latencies = new LatencyHistogram();
    const end = performance.now() + durationMs;
    const started = performance.now();
    const cpu = process.cpuUsage();
    let calls = 0;
    let running = inFlight;
    let over = false;

    const finish = (): void => {
      const seconds = (performance.now() - started) / 1000;
      const { user, system } = process.cpuUsage(cpu);
      resolve({
        callsPerSecond: calls / seconds,
        p50Us: latencies.percentile(0.5),
        p99Us: latencies.percentile(0.99),
        cpuUsPerCall: (user + system) / calls,
        calls,
      });
    };
    const lane = (offset: number): void => {
      let count = offset;
      let since = 0;
      const next = (): void => {
        if (count % sampleEvery === 0) since = performance.now();
        caller.call(done);
      };
      const done = (): void => {
        calls++;
        if (count++ % sampleEvery === 0) {
          const now = performance.now();
          latencies.add((now - since) * 1000);
          if (now > end) over = true;
        }
        if (!over) next();
        else if (--running === 0) finish();
      };
      next();
    };
    for (let index = 0; index < inFlight; index++) lane(index);
  });
}
