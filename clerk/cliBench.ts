import { createHistogram, type RecordableHistogram } from "node:perf_hooks";
import type { Clerk } from "./clerk.js";
import type { BenchPlan } from "./cliArgs.js";

/** How far a phase has come: for a progress line. */
export interface BenchProgress {
  readonly phase: string;
  readonly done: number;
  readonly total: number;
}

export interface BenchPhase {
  readonly phase: string;
  readonly seconds: number;
  readonly failures: number;
  /** What the first failure said. */
  readonly firstFailure: string | null;
  /** In microseconds, of the calls that succeeded. */
  readonly latency: RecordableHistogram;
}

/**
 * What the original's caller does: puts, then gets of the same keys, here with any number in
 * flight. A failed call is counted and the next one made.
 */
export async function runBench(
  clerk: Clerk,
  plan: BenchPlan,
  onProgress: (progress: BenchProgress) => void,
): Promise<BenchPhase[]> {
  const value = Buffer.alloc(plan.valueBytes, "v");
  const keys = benchKeys(Math.min(plan.keyCount, plan.count));
  const put = (index: number): Promise<unknown> => clerk.put(keys[index % keys.length]!, value);
  const get = (index: number): Promise<unknown> => clerk.get(keys[index % keys.length]!);
  return [
    await runPhase("put", plan, put, onProgress),
    await runPhase("get", plan, get, onProgress),
  ];
}

/** Two lines for each phase: rate, and latency. */
export function formatBench(phases: readonly BenchPhase[]): string {
  return phases.map(formatPhase).join("");
}

function benchKeys(count: number): Buffer[] {
  return Array.from({ length: count }, (_, index) => Buffer.from(`bench-${index}`));
}

async function runPhase(
  phase: string,
  plan: BenchPlan,
  call: (index: number) => Promise<unknown>,
  onProgress: (progress: BenchProgress) => void,
): Promise<BenchPhase> {
  const latency = createHistogram();
  let started = 0;
  let done = 0;
  let failures = 0;
  let firstFailure: string | null = null;
  const caller = async (): Promise<void> => {
    while (started < plan.count) {
      const startedAt = performance.now();
      try {
        await call(started++);
        latency.record(Math.max(1, Math.round((performance.now() - startedAt) * 1_000)));
      } catch (error) {
        failures++;
        firstFailure ??= error instanceof Error ? error.message : String(error);
      }
      done++;
      onProgress({ phase, done, total: plan.count });
    }
  };
  const startedAt = performance.now();
  const callers = Math.min(plan.concurrency, plan.count);
  await Promise.all(Array.from({ length: callers }, caller));
  const seconds = (performance.now() - startedAt) / 1_000;
  return { phase, seconds, failures, firstFailure, latency };
}

function formatPhase({ phase, seconds, failures, firstFailure, latency }: BenchPhase): string {
  const succeeded = latency.count;
  const rate = Math.round(succeeded / seconds).toLocaleString("en-US");
  const lines = [`${phase}: ${rate} ops/s (${succeeded} in ${seconds.toFixed(2)} s)`];
  if (succeeded > 0) {
    const percentiles = [50, 90, 99].map((p) => `p${p} ${milliseconds(latency.percentile(p))}`);
    lines.push(`     latency ms: ${percentiles.join("  ")}  max ${milliseconds(latency.max)}`);
  }
  if (failures > 0) lines.push(`     ${failures} failed; the first: ${firstFailure}`);
  return lines.map((line) => `${line}\n`).join("");
}

function milliseconds(microseconds: number): string {
  return (microseconds / 1_000).toFixed(2);
}
