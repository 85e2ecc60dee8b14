/**
 * What a follower that stands still, or runs a tenth of the time, does to those who write meanwhile,
 * and how long it takes it to catch up.
 */
import { writeFile } from "node:fs/promises";
import { cpus } from "node:os";
import { parseArgs } from "node:util";
import { markdownTable } from "../markdown.js";
import { orUsage } from "../usage.js";
import { Bench, type Cell } from "./cell.js";
import { MprpcCluster } from "./mprpcCluster.js";
import type { Setup } from "./plan.js";
import { eventually, residentBytes } from "./processes.js";
import { inMs, whole } from "./report.js";
import { note } from "./targets.js";

const help = `usage: npm run bench:slow -- [options]

  --in-flight LIST  puts in flight (16,64)
  --faults LIST     of stopped, slow: a follower does nothing, or runs a tenth of the time
                    (stopped,slow)
  --nodes N         size of the cluster (3)
  --keys N          different keys (10000)
  --value-bytes N   size of a value (256)
  --seconds S       of each of the three parts (10)
  --out FILE        writes FILE.json`;

const faults = ["stopped", "slow"] as const;
type Fault = (typeof faults)[number];

const values = orUsage(help, () => {
  const parsed = parseArgs({
    options: {
      "in-flight": { type: "string", default: "16,64" },
      faults: { type: "string", default: faults.join(",") },
      nodes: { type: "string", default: "3" },
      keys: { type: "string", default: "10000" },
      "value-bytes": { type: "string", default: "256" },
      seconds: { type: "string", default: "10" },
      out: { type: "string" },
      help: { type: "boolean", short: "h", default: false },
    },
  });
  for (const fault of parsed.values.faults.split(","))
    if (!faults.some((known) => known === fault)) throw new Error(`--faults: there is no ${fault}`);
  return parsed;
});
const loads = values["in-flight"].split(",").map(Number);
const wanted = values.faults.split(",") as Fault[];
const nodes = Number(values.nodes);
const MiB = 1024 * 1024;
const settleMs = 5_000;
/** Of a slow follower: how long it stands still, and then runs. */
const stillMs = 90;
const runsMs = 10;
const catchUpMsMax = 120_000;
const catchUpPollMs = 10;

const setup: Setup = {
  connections: 1,
  ownConnections: false,
  keys: Number(values.keys),
  valueBytes: Number(values["value-bytes"]),
  warmUpMs: 0,
  measureMs: Number(values.seconds) * 1000,
};

interface Part {
  readonly name: "before" | "during" | "after";
  readonly cell: Cell;
  readonly leaderBytes: number;
}

interface Run {
  readonly fault: Fault;
  readonly load: number;
  readonly parts: readonly Part[];
  /** Entries that the follower had not when it was let run again. */
  readonly behind: number;
  readonly caughtUpMs: number;
  /** How often there was a new leader. */
  readonly elections: number;
}

/** Returns what ends it. */
function begin(fault: Fault, pid: number): () => void {
  process.kill(pid, "SIGSTOP");
  if (fault === "stopped") return () => process.kill(pid, "SIGCONT");
  let timer: NodeJS.Timeout;
  const still = (): void => {
    process.kill(pid, "SIGSTOP");
    timer = setTimeout(runs, stillMs);
  };
  const runs = (): void => {
    process.kill(pid, "SIGCONT");
    timer = setTimeout(still, runsMs);
  };
  still();
  return () => {
    clearTimeout(timer);
    process.kill(pid, "SIGCONT");
  };
}

interface Lag {
  readonly term: number;
  readonly follower: number;
  readonly entries: number;
}

/** Of `follower`, or of the first one, behind what is committed. */
async function lagOf(target: MprpcCluster, follower?: number): Promise<Lag> {
  const status = await target.leaderStatus();
  const peer = status?.Peers.find(({ NodeId }) => follower === undefined || NodeId === follower);
  if (status === null || peer === undefined) throw new Error("no node leads");
  const entries = Math.max(0, status.CommitIndex - peer.MatchIndex);
  return { term: status.Term, follower: peer.NodeId, entries };
}

/** When it has all but what is on its way to it. */
async function caughtUp(target: MprpcCluster, follower: number, load: number): Promise<number> {
  const startedAt = performance.now();
  await eventually(
    async () => {
      if ((await lagOf(target, follower)).entries > 2 * load) throw new Error("it is behind");
    },
    catchUpMsMax,
    catchUpPollMs,
  );
  return performance.now() - startedAt;
}

async function run(target: MprpcCluster, fault: Fault, load: number): Promise<Run> {
  const bench = new Bench(target, setup);
  const callers = await target.connect(1);
  const { leader } = await target.processes();
  const parts: Part[] = [];
  const measure = async (name: Part["name"]): Promise<void> => {
    note(`${load} in flight, a follower ${fault}: ${name}`);
    const cell = await bench.drive(callers, "put", load);
    parts.push({ name, cell, leaderBytes: residentBytes(leader) });
  };
  await new Promise((resolve) => setTimeout(resolve, settleMs));
  const { term, follower } = await lagOf(target);
  await measure("before");
  const end = begin(fault, target.pidOf(follower));
  await measure("during");
  const { entries: behind } = await lagOf(target, follower);
  end();
  const catchingUp = caughtUp(target, follower, load);
  await measure("after");
  const caughtUpMs = await catchingUp;
  const elections = (await lagOf(target, follower)).term - term;
  await Promise.all(callers.map((caller) => caller.close()));
  return { fault, load, parts, behind, caughtUpMs, elections };
}

const target = new MprpcCluster(nodes);
const runs: Run[] = [];
await target.start();
try {
  await new Bench(target, setup).fill();
  for (const fault of wanted) for (const load of loads) runs.push(await run(target, fault, load));
} finally {
  await target.stop();
}
note("");

console.log(
  `${nodes} nodes, ${setup.valueBytes} B values, ${setup.keys} keys, ${values.seconds} s each; ` +
    `${cpus().length} cores, Node ${process.versions.node}\n`,
);
const columns = ["puts/s", "p50", "p99", "max ms", "leader MiB", "behind", "caught up s"];
const rows = runs.flatMap(({ fault, load, parts, behind, caughtUpMs }) =>
  parts.map(({ name, cell, leaderBytes }) => [
    fault,
    `${load}`,
    name,
    whole(cell.opsPerSecond) + (cell.failures === 0 ? "" : ` (${cell.failures} failed)`),
    ...[cell.p50, cell.p99, cell.max].map(inMs),
    (leaderBytes / MiB).toFixed(0),
    name === "during" ? whole(behind) : "",
    name === "after" ? (caughtUpMs / 1000).toFixed(2) : "",
  ]),
);
console.log(markdownTable([["a follower", "in flight", "part", ...columns], ...rows], 3));
console.log(`\nnew leaders: ${runs.reduce((sum, { elections }) => sum + elections, 0)}`);
if (values.out !== undefined)
  await writeFile(`${values.out}.json`, `${JSON.stringify({ values, runs }, null, 1)}\n`);
