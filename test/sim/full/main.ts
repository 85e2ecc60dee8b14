/**
 *     npm run sim -- --seed 17 [--trace]     one run, replayed byte for byte
 *     npm run sim -- --seeds 1..5000         many
 *     npm run sim -- ... --core              clusters of cores alone
 */
import { parseArgs } from "node:util";
import { CoreCluster } from "../coreCluster.js";
import { FullCluster } from "./fullCluster.js";

interface Totals {
  seeds: number;
  simulatedMs: number;
  operations: number;
  committed: number;
  faults: number;
  events: number;
  violations: number;
}

/** Between two progress lines. */
const progressMs = 5_000;

function range(text: string): { first: number; last: number } {
  const [first = NaN, last = first] = text.split("..").map(Number);
  if (Number.isSafeInteger(first) && Number.isSafeInteger(last) && first <= last)
    return { first, last };
  throw new RangeError(`--seeds is not first..last: ${text}`);
}

function line(totals: Totals, startedAt: number): string {
  const seconds = (performance.now() - startedAt) / 1_000;
  const simulated = totals.simulatedMs / 1_000;
  return (
    `${totals.seeds} seeds (${(totals.seeds / seconds).toFixed(1)}/s), ` +
    `${simulated.toFixed(0)} simulated s (${(simulated / seconds).toFixed(0)} a real s), ` +
    `${totals.operations} client operations, ${totals.committed} entries committed, ` +
    `${totals.faults} faults, ${totals.events} events, ${totals.violations} violations`
  );
}

async function runSeed(
  seed: number,
  isCore: boolean,
  printTrace: boolean,
): Promise<Totals & { readonly hash: string }> {
  if (isCore) {
    const { events, committed, simulatedMs, traceHash } = new CoreCluster(seed, {
      printTrace,
    }).run();
    return {
      seeds: 1,
      simulatedMs,
      operations: 0,
      committed,
      faults: 0,
      events,
      violations: 0,
      hash: traceHash,
    };
  }
  const { traceHash, ...result } = await new FullCluster(seed, { printTrace }).run();
  return { ...result, seeds: 1, violations: 0, hash: traceHash };
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      seed: { type: "string" },
      seeds: { type: "string", default: "1..1000" },
      core: { type: "boolean", default: false },
      trace: { type: "boolean", default: false },
    },
  });
  const { first, last } = range(values.seed ?? values.seeds);
  const totals: Totals = {
    seeds: 0,
    simulatedMs: 0,
    operations: 0,
    committed: 0,
    faults: 0,
    events: 0,
    violations: 0,
  };
  const startedAt = performance.now();
  let toldAt = startedAt;
  for (let seed = first; seed <= last; seed++) {
    totals.seeds++;
    try {
      const run = await runSeed(seed, values.core, values.trace);
      totals.simulatedMs += run.simulatedMs;
      totals.operations += run.operations;
      totals.committed += run.committed;
      totals.faults += run.faults;
      totals.events += run.events;
      if (first === last) console.log(`seed ${seed}, trace hash ${run.hash}`);
    } catch (error) {
      totals.violations++;
      console.log((error as Error).message);
    }
    if (performance.now() - toldAt < progressMs) continue;
    toldAt = performance.now();
    console.log(`up to seed ${seed}: ${line(totals, startedAt)}`);
  }
  console.log(`seeds ${first}..${last}: ${line(totals, startedAt)}`);
  if (totals.violations > 0) process.exitCode = 1;
}

await main();
