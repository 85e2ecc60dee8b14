import { performance } from "node:perf_hooks";
import { LatencyRecorder, type Latency } from "./latency.js";

export interface LoadResult extends Latency {
  readonly opsPerSecond: number;
  readonly failures: number;
}

/** One call; `n` counts the calls of a run, to choose a key and a caller by. */
export type Operation = (n: number) => Promise<unknown>;

export interface LoadTimes {
  /** Before anything is counted. */
  readonly warmUpMs: number;
  readonly measureMs: number;
}

class Meter {
  private readonly recorder = new LatencyRecorder();
  private readonly from: number;
  readonly until: number;
  private failures = 0;

  constructor({ warmUpMs, measureMs }: LoadTimes) {
    this.from = performance.now() + warmUpMs;
    this.until = this.from + measureMs;
  }

  /** A call that was, or should have been, sent at `startedAt` has ended. */
  ended(startedAt: number, failed: boolean): void {
    const now = performance.now();
    if (now < this.from || now >= this.until) return;
    if (failed) this.failures++;
    else this.recorder.add(now - startedAt);
  }

  result(): LoadResult {
    const seconds = (this.until - this.from) / 1000;
    return {
      opsPerSecond: this.recorder.count / seconds,
      failures: this.failures,
      ...this.recorder.summary(),
    };
  }
}

/** `inFlight` callers, each of which sends its next call when the last one was answered. */
export async function closedLoop(
  operation: Operation,
  inFlight: number,
  times: LoadTimes,
): Promise<LoadResult> {
  const meter = new Meter(times);
  let n = 0;
  const caller = async (): Promise<void> => {
    for (let now = performance.now(); now < meter.until; now = performance.now()) {
      let failed = false;
      try {
        await operation(n++);
      } catch {
        failed = true;
      }
      meter.ended(now, failed);
    }
  };
  await Promise.all(Array.from({ length: inFlight }, caller));
  return meter.result();
}

/**
 * Calls at a fixed rate, whatever the answers do. A latency counts from when the call was meant to
 * be sent, so a stall is seen by all the calls that it held up and not by one alone (coordinated
 * omission).
 */
export async function openLoop(
  operation: Operation,
  callsPerSecond: number,
  times: LoadTimes,
): Promise<LoadResult> {
  const meter = new Meter(times);
  const startedAt = performance.now();
  const calls: Promise<void>[] = [];
  let n = 0;
  const call = (due: number): Promise<void> =>
    operation(n++).then(
      () => meter.ended(due, false),
      () => meter.ended(due, true),
    );
  const everyMs = 1000 / callsPerSecond;
  for (let due = startedAt; due < meter.until;) {
    for (; due <= performance.now() && due < meter.until; due = startedAt + n * everyMs)
      calls.push(call(due));
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  await Promise.all(calls);
  return meter.result();
}
