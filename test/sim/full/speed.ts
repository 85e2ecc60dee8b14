/**
 *     npm run sim:speed      simulated seconds that one real second does, for a usual cluster
 */
import { calmNetwork } from "../network.js";
import { FullCluster } from "./fullCluster.js";
import { calmDisk, type FullTuning } from "./fullTuning.js";

const runs = 10;
const runMs = 60_000;

/** Five nodes as they are set by default, three clients, and a fault every two seconds or so. */
const usual: Partial<FullTuning> = {
  nodes: 5,
  runMs,
  raft: {},
  kv: { snapshotLogBytes: 50_000 },
  segmentBytes: 65_536,
  network: calmNetwork,
  disk: calmDisk,
  clockDriftMax: 0.01,
  turnMsMax: 0,
  minorityLostChance: 0,
  faults: {
    intervalMsMax: 3_000,
    durationMsMax: 500,
    stableMsMin: 500,
    kinds: ["crash", "crash leader", "isolate leader", "split", "pause", "stall disk"],
  },
  client: {
    clients: 3,
    thinkMsMax: 200,
    keys: 3,
    readChance: 0.5,
    appendChance: 0.2,
    valueBytesMax: 8,
    timeoutMs: 3_000,
  },
};

/** Simulated seconds, by the wall's clock and by what the processor gave this process. */
interface Rates {
  readonly real: number;
  readonly processor: number;
}

async function measure(seed: number): Promise<Rates> {
  const startedAt = performance.now();
  const before = process.cpuUsage();
  const { simulatedMs, events, operations } = await new FullCluster(seed, { tuning: usual }).run();
  const { user, system } = process.cpuUsage(before);
  const rates = {
    real: simulatedMs / (performance.now() - startedAt),
    processor: simulatedMs / ((user + system) / 1_000),
  };
  console.log(
    `seed ${seed}: ${(simulatedMs / 1_000).toFixed(0)} simulated s, ${events} events, ` +
      `${operations} operations: ${told(rates)}`,
  );
  return rates;
}

function told({ real, processor }: Rates): string {
  return `${real.toFixed(0)} a real s, ${processor.toFixed(0)} a processor s`;
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[values.length >> 1]!;
}

const rates: Rates[] = [];
for (let seed = 1; seed <= runs; seed++) rates.push(await measure(seed));
const medians = {
  real: median(rates.map(({ real }) => real)),
  processor: median(rates.map(({ processor }) => processor)),
};
console.log(`median: ${told(medians)}`);
