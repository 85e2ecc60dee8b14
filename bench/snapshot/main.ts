/**
 * What a snapshot does to those who write meanwhile: the delay of the nodes' event loops, and the
 * latency of puts at a fixed rate, before, during and after snapshots of many keys.
 */
import { fork, type ChildProcess } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { cpus } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { Clerk } from "mprpc-raft/clerk";
import { Cluster } from "../../test/process/cluster.js";
import { openLoop, type LoadResult } from "../kv/load.js";
import { markdownTable } from "../markdown.js";
import type { Order, Report } from "./messages.js";
import { orUsage } from "../usage.js";

const help = `usage: npm run bench:snapshot -- [options]

  --keys N         keys that are there (1000000)
  --value-bytes N  size of a value (256)
  --nodes N        size of the cluster; all take snapshots at once (1)
  --rate N         puts a second (2000)
  --seconds S      of each of the three parts (20)`;

const values = orUsage(help, () =>
  parseArgs({
    options: {
      keys: { type: "string", default: "1000000" },
      "value-bytes": { type: "string", default: "256" },
      nodes: { type: "string", default: "1" },
      rate: { type: "string", default: "2000" },
      seconds: { type: "string", default: "20" },
      help: { type: "boolean", short: "h", default: false },
    },
  }),
);
const keys = Number(values.keys);
const size = Number(values.nodes);
const rate = Number(values.rate);
const times = { warmUpMs: 1_000, measureMs: Number(values.seconds) * 1000 };
const value = randomBytes(Number(values["value-bytes"]));
const fillInFlight = 256;
/** Odd, and no multiple of five: keys are visited in an order without locality. */
const stride = 618_033;

const script = fileURLToPath(new URL("node.js", import.meta.url));
// Snapshots come when they are asked for, and not by themselves.
const cluster = await Cluster.create(size, ["snapshotLogBytes=-1"]);
const nodes = Array.from({ length: size }, (_, id) =>
  fork(script, [cluster.nodesFile, `${id}`, path.join(cluster.dir, "data")]),
);
const clerk = new Clerk(cluster.nodes);

function tell(order: Order): void {
  for (const node of nodes) node.send(order);
}

async function reportOf(node: ChildProcess): Promise<Report> {
  const answer = once(node, "message");
  node.send({ kind: "report" } satisfies Order);
  const [report] = (await answer) as [Report];
  return report;
}

const keyOf = (n: number): string => `key-${String(n).padStart(9, "0")}`;

async function fill(): Promise<void> {
  let n = 0;
  const some = async (): Promise<void> => {
    while (n < keys) await clerk.put(keyOf((n++ * stride) % keys), value);
  };
  await Promise.all(Array.from({ length: fillInFlight }, some));
}

async function compacted(): Promise<void> {
  for (;;) {
    const all = await clerk.status();
    if (all.every(({ status }) => (status?.SnapshotIndex ?? 0) > 0)) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

let written = 0;

interface Part {
  readonly name: string;
  readonly load: LoadResult;
  readonly reports: readonly Report[];
}

function putNext(): Promise<void> {
  return clerk.put(keyOf((written++ * stride) % keys), value);
}

async function measure(name: string): Promise<Part> {
  console.error(name);
  tell({ kind: "reset" });
  const load = await openLoop(putNext, rate, times);
  return { name, load, reports: await Promise.all(nodes.map(reportOf)) };
}

function ms(time: number): string {
  return time.toFixed(1);
}

/** The node that leads, then the worst of the others. */
function row({ name, load, reports }: Part, leader: number): string[] {
  const others = reports.filter((_, id) => id !== leader);
  const { delayP50, delayP99, delayMax, gcMax, snapshots, snapshotMs } = reports[leader]!;
  const worst = Math.max(0, ...others.map((report) => report.delayMax));
  return [
    name,
    ...[delayP50, delayP99, delayMax].map(ms),
    ms(gcMax),
    size > 1 ? ms(worst) : "",
    ...[load.p50, load.p99, load.max].map(ms),
    snapshots > 0 ? `${snapshots} of ${(snapshotMs / 1000).toFixed(1)} s` : "",
  ];
}

console.error(`writing ${keys} keys`);
await fill();
// The first one drops the log of all that was written, which is far longer than a node's ever is.
tell({ kind: "snapshots", on: true });
tell({ kind: "snapshots", on: false });
await compacted();
const parts: Part[] = [];
parts.push(await measure("before"));
tell({ kind: "snapshots", on: true });
parts.push(await measure("during"));
tell({ kind: "snapshots", on: false });
await new Promise((resolve) => setTimeout(resolve, 5_000));
parts.push(await measure("after"));
const states = await clerk.status();
const leader = states.findIndex(({ status }) => status?.Role === "leader");
const delays = ["delay p50", "p99", "max", "gc max", "others' max"];
const columns = ["snapshots", ...delays, "put p50", "p99", "max ms", "taken"];
console.log(
  `${size} node(s), ${keys} keys of ${value.length} B, ${rate} puts/s, ` +
    `${times.measureMs / 1000} s each; ${cpus().length} cores, Node ${process.versions.node}\n`,
);
console.log(markdownTable([columns, ...parts.map((part) => row(part, leader))], 1));
await clerk.close();
for (const node of nodes) node.kill("SIGKILL");
await cluster.destroy();
