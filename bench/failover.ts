/**
 * How long three nodes serve nobody when their leader is ended, stands still, or is cut off, under load,
 * and that nothing acknowledged is lost by it. Real processes, real syncs, everything on this machine.
 */
import { parseArgs } from "node:util";
import { Clerk } from "mprpc-raft/clerk";
import { Cluster } from "../test/process/cluster.js";
import { NetCluster } from "../test/process/network/netCluster.js";
import { median } from "./median.js";
import { orUsage } from "./usage.js";

const signals = ["SIGKILL", "SIGTERM", "SIGSTOP", "VANISH"] as const;
const help = `usage: npm run bench:failover -- [options]

  --signal S   what becomes of the leader (SIGKILL): SIGKILL, SIGTERM, SIGSTOP, or VANISH: its
               machine leaves the network, without a FIN or a reset. VANISH needs root, and is
               started by: unshare --net npm run bench:failover -- --signal VANISH
  --rounds N   how often (10)
  --writers N  writes in flight (8)`;

const values = orUsage(help, () => {
  const parsed = parseArgs({
    options: {
      signal: { type: "string", default: "SIGKILL" },
      rounds: { type: "string", default: "10" },
      writers: { type: "string", default: "8" },
      help: { type: "boolean", short: "h", default: false },
    },
  });
  if (!signals.some((each) => each === parsed.values.signal))
    throw new Error(`--signal ${parsed.values.signal}: not one of ${signals.join(", ")}`);
  return parsed;
});
const { signal } = values;
const rounds = Number(values.rounds);
const writers = Number(values.writers);
/** Before an end, and from an end to the search for the gap that it tore. */
const calmMs = 2_000;
/** A gap that begins later after an end than this is none of its doing: a disk stalls now and then. */
const beginsWithinMs = 100;

const network = signal === "VANISH" ? await NetCluster.create(3) : null;
const cluster = network ?? (await Cluster.create(3));
if (network === null) cluster.startAll();
else await network.bootAll();
const clerk = new Clerk(cluster.nodes);
await clerk.put("warm", "up");

const load = { running: true };
/** When each append was acknowledged, in ms. */
const acknowledgedAt: number[] = [];

/** Appends numbered marks to a key of its own, one after the other; returns them all. */
async function write(id: number): Promise<string[]> {
  const marks: string[] = [];
  while (load.running) {
    const mark = `${marks.length};`;
    await clerk.append(`key${id}`, mark);
    marks.push(mark);
    acknowledgedAt.push(performance.now());
  }
  return marks;
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/**
 * The longest time without an acknowledgement that began at `from` or soon after, with the one it
 * fell into.
 */
function longestGap(from: number): number {
  let longest = 0;
  let i = acknowledgedAt.findLastIndex((at) => at < from) + 1;
  for (; i < acknowledgedAt.length; i++) {
    const before = acknowledgedAt[i - 1] ?? from;
    if (before > from + beginsWithinMs) break;
    longest = Math.max(longest, acknowledgedAt[i]! - before);
  }
  return longest;
}

interface Round {
  /** As long, while nothing happened: what the machine itself does to them. */
  readonly calm: number;
  readonly gap: number;
}

/** Returns what brings the node back. */
function end(node: number): () => Promise<void> {
  if (signal === "SIGSTOP") {
    const { child } = cluster.processes.get(node)!;
    child.kill("SIGSTOP");
    return async () => void child.kill("SIGCONT");
  }
  if (network !== null) {
    network.isolate(node);
    return async () => network.heal();
  }
  const ended = cluster.stop(node, signal as NodeJS.Signals);
  return async () => {
    await ended;
    cluster.start(node);
  };
}

/** A busy node may not answer in time. */
async function leaderNow(): Promise<number> {
  for (;;) {
    const nodes = await clerk.status({ timeoutMs: 1_000 });
    const leader = nodes.find(({ status }) => status?.Role === "leader");
    if (leader !== undefined) return leader.id;
  }
}

async function endLeader(): Promise<Round> {
  const begin = performance.now();
  await sleep(calmMs);
  const calm = longestGap(begin);
  const leader = await leaderNow();
  const endedAt = performance.now();
  const revive = end(leader);
  await sleep(calmMs);
  const gap = longestGap(endedAt);
  await revive();
  await sleep(calmMs);
  return { calm, gap };
}

function range(gaps: readonly number[]): string {
  const [least, most] = [Math.min(...gaps), Math.max(...gaps)];
  return `${least.toFixed(1)} to ${most.toFixed(1)} ms, median ${median(gaps).toFixed(1)} ms`;
}

const writing = Promise.all(Array.from({ length: writers }, (_, id) => write(id)));
const results: Round[] = [];
for (let round = 1; round <= rounds; round++) {
  const result = await endLeader();
  results.push(result);
  const shown = `${result.gap.toFixed(1)} ms, calm ${result.calm.toFixed(1)} ms`;
  process.stderr.write(`round ${round} of ${rounds}: ${shown}\n`);
}
load.running = false;
const written = await writing;
for (const [id, marks] of written.entries())
  if ((await clerk.getString(`key${id}`)) !== marks.join("")) throw new Error(`key${id} is wrong`);

console.log(
  `longest time between two acknowledged writes, of ${writers} writers, begun within ${beginsWithinMs} ms`,
);
console.log(
  `  leader ended by ${signal}, ${rounds} times: ${range(results.map((one) => one.gap))}`,
);
console.log(`  while nothing happened:          ${range(results.map((one) => one.calm))}`);
console.log(`  ${acknowledgedAt.length} acknowledged appends, each there once`);
await clerk.close();
await cluster.destroy();
