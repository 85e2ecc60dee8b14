/**
 *     npm run fuzz:rpc                                 a million inputs for a provider
 *     npm run fuzz:rpc -- --inputs 20000 --seed 7      fewer, others
 *     npm run fuzz:rpc -- --seed 7 --input 1234        one again, with its bytes
 *     npm run fuzz:rpc -- --record                     the real streams anew
 */
import { parseArgs } from "node:util";
import { readCorpus, record } from "./corpus.js";
import { mutate } from "./mutate.js";
import { fuzzProvider, inputPrng, type FuzzReport } from "./providerFuzz.js";
import { ForkedTarget } from "./target.js";

/** Between two progress lines. */
const progressMs = 10_000;
const MiB = 1024 * 1024;

const { values } = parseArgs({
  options: {
    seed: { type: "string", default: String(Date.now() % 1_000_000) },
    inputs: { type: "string", default: "1000000" },
    input: { type: "string" },
    record: { type: "boolean", default: false },
  },
});

function count(name: string, text: string): number {
  const value = Number(text);
  if (Number.isSafeInteger(value) && value >= 0) return value;
  throw new RangeError(`--${name}: ${text} is no count`);
}

function line({ inputs, frames, endings, errors, calls, ...rest }: FuzzReport): string {
  const { answered, ended, left } = endings;
  return [
    `${inputs} inputs with ${frames} whole frames: ${answered} answered, ${ended} ended by the provider, ${left} left`,
    `${errors} faults of callers told, ${calls} ordinary calls, slowest ${rest.slowestCallMs.toFixed(0)} ms`,
    `heap ${mib(rest.heapBytesFirst)} at first, ${mib(rest.heapBytesMax)} at most, RSS ${mib(rest.rssBytesMax)}`,
  ].join("; ");
}

function mib(bytes: number): string {
  return `${(bytes / MiB).toFixed(1)} MiB`;
}

async function fuzz(seed: number, first: number, end: number): Promise<void> {
  const target = await ForkedTarget.start();
  let toldAt = performance.now();
  const onBatch = (report: FuzzReport): void => {
    if (performance.now() - toldAt < progressMs) return;
    toldAt = performance.now();
    console.log(line(report));
  };
  try {
    const report = await fuzzProvider(target, { seed, first, end, onBatch });
    console.log(line(report));
    console.log([...report.mutations].map(([kind, times]) => `${kind} ${times}`).join(", "));
  } catch (error) {
    console.log((error as Error).message);
    process.exitCode = 1;
  }
  await target.stop();
}

const seed = count("seed", values.seed);
if (values.record) {
  await record();
} else if (values.input !== undefined) {
  const index = count("input", values.input);
  const { kinds, pieces } = mutate(readCorpus().requests, inputPrng(seed, index));
  console.log(`seed ${seed}, input ${index}: ${kinds.join(", ")}`);
  for (const piece of pieces) console.log(piece.toString("hex"));
  await fuzz(seed, index, index + 1);
} else {
  console.log(`seed ${seed}`);
  await fuzz(seed, 0, count("inputs", values.inputs));
}
