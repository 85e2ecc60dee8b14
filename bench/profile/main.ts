/**
 * Where the processor's time of an operation goes, by layer, on the leader and on a follower: nodes
 * that run under Node's sampling profiler, while the Clerk keeps a number of calls in flight.
 */
import { randomBytes } from "node:crypto";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { parseArgs } from "node:util";
import { Clerk } from "mprpc-raft/clerk";
import { Cluster } from "../../test/process/cluster.js";
import { closedLoop, type Operation } from "../kv/load.js";
import { markdownTable } from "../markdown.js";
import { orUsage } from "../usage.js";
import { layerTimes, type LayerTimes } from "./cpuProfile.js";
import { layers } from "./layers.js";

const help = `usage: npm run bench:profile -- [options]

  --work W         put or get (put)
  --in-flight N    calls in flight (256)
  --value-bytes N  size of a value (256)
  --keys N         different keys, all written before (10000)
  --seconds S      seconds that are looked at (5)`;

const values = orUsage(help, () => {
  const parsed = parseArgs({
    options: {
      work: { type: "string", default: "put" },
      "in-flight": { type: "string", default: "256" },
      "value-bytes": { type: "string", default: "256" },
      keys: { type: "string", default: "10000" },
      seconds: { type: "string", default: "5" },
      help: { type: "boolean", short: "h", default: false },
    },
  });
  const { work } = parsed.values;
  if (work !== "put" && work !== "get") throw new Error(`--work ${work}: not one of put, get`);
  return parsed;
});
const inFlight = Number(values["in-flight"]);
const keys = Number(values.keys);
const measureMs = Number(values.seconds) * 1000;
const value = randomBytes(Number(values["value-bytes"]));
/** Before anything counts: what runs often is compiled by then. */
const warmUpMs = 3_000;
const sampleUs = 200;
const keyOf = (n: number): string => `key-${String(n % keys).padStart(9, "0")}`;

/** Of the monotonic clock, as a profile has it. */
function nowUs(): number {
  return Number(process.hrtime.bigint() / 1000n);
}

interface Run {
  readonly leader: number;
  readonly fromUs: number;
  readonly toUs: number;
  readonly operations: number;
}

async function load(cluster: Cluster): Promise<Run> {
  const clerk = new Clerk(cluster.nodes);
  const put: Operation = (n) => clerk.put(keyOf(n), value);
  let n = 0;
  const fill = async (): Promise<void> => {
    while (n < keys) await put(n++);
  };
  await Promise.all(Array.from({ length: inFlight }, fill));
  const operation: Operation = values.work === "put" ? put : (each) => clerk.get(keyOf(each));
  await closedLoop(operation, inFlight, { warmUpMs: 0, measureMs: warmUpMs });
  const states = await clerk.status();
  const leader = states.findIndex(({ status }) => status?.Role === "leader");
  const fromUs = nowUs();
  const { opsPerSecond } = await closedLoop(operation, inFlight, { warmUpMs: 0, measureMs });
  const toUs = nowUs();
  await clerk.close();
  return { leader, fromUs, toUs, operations: (opsPerSecond * measureMs) / 1000 };
}

/** Ends node after node, the leader last, so that each writes its profile; by node. */
async function profilesOf(cluster: Cluster, folder: string, run: Run): Promise<LayerTimes[]> {
  const ids = [...cluster.processes.keys()].toSorted(
    (a, b) => Number(a === run.leader) - Number(b === run.leader),
  );
  const pids = ids.map((id) => cluster.processes.get(id)!.child.pid!);
  for (const id of ids) await cluster.stop(id, "SIGTERM");
  const files = await readdir(folder);
  return Promise.all(
    pids.map((pid) => {
      const file = files.find((name) => name.split(".").includes(`${pid}`));
      if (file === undefined) throw new Error(`node ${pid} left no profile`);
      return layerTimes(path.join(folder, file), run.fromUs, run.toUs);
    }),
  );
}

function sum(numbers: Iterable<number>): number {
  let all = 0;
  for (const number of numbers) all += number;
  return all;
}

function table({ operations }: Run, nodes: readonly LayerTimes[]): string {
  const each = (usOf: (times: LayerTimes) => number): string[] =>
    nodes.map((times) => (usOf(times) / operations).toFixed(2));
  const rows = layers.map((layer) => [layer, ...each(({ busy }) => busy.get(layer) ?? 0)]);
  rows.push(["all", ...each(({ busy }) => sum(busy.values()))]);
  return markdownTable([["layer", "leader us", "follower us"], ...rows], 1);
}

const folder = await mkdtemp(path.join(tmpdir(), "kv-profile-"));
const cluster = await Cluster.create(3);
cluster.nodeFlags = ["--cpu-prof", `--cpu-prof-dir=${folder}`, `--cpu-prof-interval=${sampleUs}`];
try {
  cluster.startAll();
  const run = await load(cluster);
  const times = await profilesOf(cluster, folder, run);
  const perSecond = Math.round((run.operations / measureMs) * 1000);
  console.log(
    `${values.work}, ${inFlight} in flight, ${value.length} B values: ${perSecond}/s while profiled; ` +
      `Node ${process.versions.node}\n`,
  );
  console.log(table(run, [times.at(-1)!, times[0]!]));
} finally {
  await cluster.destroy();
  await rm(folder, { recursive: true, force: true });
}
