/**
 *     npm run sim -- --seed 17 [--trace]     one run, replayed byte for byte
 *     npm run sim -- --seeds 1..5000         many
 *     npm run sim -- --seconds 100000        as many as it takes for so much simulated time
 *     npm run sim -- ... --core              clusters of cores alone
 *
 * SIGINT or SIGTERM ends it after the run that is under way, with the summary.
 */
import { parseArgs } from "node:util";
import { CoreCluster, type CoreRunResult } from "../coreCluster.js";
import { FullCluster, type FullRunResult } from "./fullCluster.js";
import { Totals } from "./totals.js";

/** Between two progress lines. */
const progressMs = 5_000;

function range(text: string): { first: number; last: number } {
  const [first = NaN, last = first] = text.split("..").map(Number);
  if (Number.isSafeInteger(first) && Number.isSafeInteger(last) && first <= last)
    return { first, last };
  throw new RangeError(`--seeds is not first..last: ${text}`);
}

function seconds(text: string): number {
  const value = Number(text);
  if (value > 0) return value;
  throw new RangeError(`--seconds is not a number above 0: ${text}`);
}

const { values } = parseArgs({
  options: {
    seed: { type: "string" },
    seeds: { type: "string" },
    seconds: { type: "string" },
    core: { type: "boolean", default: false },
    trace: { type: "boolean", default: false },
  },
});
const msMax = values.seconds === undefined ? Infinity : 1_000 * seconds(values.seconds);
const endless = `1..${Number.MAX_SAFE_INTEGER}`;
const { first, last } = range(
  values.seed ?? values.seeds ?? (msMax === Infinity ? "1..1000" : endless),
);
const totals = new Totals();

function run(seed: number): FullRunResult | CoreRunResult | Promise<FullRunResult> {
  const options = { printTrace: values.trace };
  return values.core ? new CoreCluster(seed, options).run() : new FullCluster(seed, options).run();
}

const stopping = new AbortController();
for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => stopping.abort());

let toldAt = performance.now();
for (let seed = first; seed <= last && totals.simulatedMs < msMax; seed++) {
  if (stopping.signal.aborted) break;
  try {
    const result = await run(seed);
    totals.add(result);
    if (first === last) console.log(`seed ${seed}, trace hash ${result.traceHash}`);
  } catch (error) {
    totals.failed(seed);
    console.log((error as Error).message);
  }
  if (performance.now() - toldAt < progressMs) continue;
  toldAt = performance.now();
  console.log(`up to seed ${seed}: ${totals.line()}`);
}
console.log(totals.summary());
if (totals.failedSeeds.length > 0) process.exitCode = 1;
