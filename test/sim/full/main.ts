/**
 * Runs seeds of whole clusters, or of cores alone. SIGINT or SIGTERM ends it after the run that is
 * under way, with the summary.
 */
import { parseArgs } from "node:util";
import { CoreCluster, type CoreRunResult } from "../coreCluster.js";
import { FullCluster, type FullRunResult } from "./fullCluster.js";
import { Totals } from "./totals.js";

/** Between two progress lines. */
const progressMs = 5_000;
const usage = `usage: npm run sim -- [--seed N [--trace] | --seeds FIRST..LAST | --seconds S] [--core]

  --seed N            one run, replayed byte for byte; --trace prints its events
  --seeds FIRST..LAST many (1..1000)
  --seconds S         as many as it takes for so much simulated time
  --core              clusters of cores alone`;

interface Plan {
  readonly first: number;
  readonly last: number;
  readonly msMax: number;
  readonly core: boolean;
  readonly printTrace: boolean;
}

function range(text: string): { first: number; last: number } {
  const [first = NaN, last = first] = text.split("..").map(Number);
  if (Number.isSafeInteger(first) && Number.isSafeInteger(last) && first <= last)
    return { first, last };
  throw new RangeError(`${text} is neither a seed nor FIRST..LAST`);
}

function seconds(text: string): number {
  const value = Number(text);
  if (value > 0) return value;
  throw new RangeError(`--seconds ${text} is not a number above 0`);
}

function planOf(args: string[]): Plan | null {
  const { values } = parseArgs({
    args,
    options: {
      seed: { type: "string" },
      seeds: { type: "string" },
      seconds: { type: "string" },
      core: { type: "boolean", default: false },
      trace: { type: "boolean", default: false },
      help: { type: "boolean", short: "h", default: false },
    },
  });
  if (values.help) return null;
  const msMax = values.seconds === undefined ? Infinity : 1_000 * seconds(values.seconds);
  const all = msMax === Infinity ? "1..1000" : `1..${Number.MAX_SAFE_INTEGER}`;
  const seeds = range(values.seed ?? values.seeds ?? all);
  return { ...seeds, msMax, core: values.core, printTrace: values.trace };
}

/** Ends the process for what can't be run, and for --help. */
function planOrEnd(args: string[]): Plan {
  try {
    const plan = planOf(args);
    if (plan !== null) return plan;
    console.log(usage);
  } catch (error) {
    console.error(`${(error as Error).message}\n${usage}`);
    return process.exit(2);
  }
  return process.exit(0);
}

const { first, last, msMax, core, printTrace } = planOrEnd(process.argv.slice(2));
const totals = new Totals();

function run(seed: number): FullRunResult | CoreRunResult | Promise<FullRunResult> {
  const options = { printTrace };
  return core ? new CoreCluster(seed, options).run() : new FullCluster(seed, options).run();
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
