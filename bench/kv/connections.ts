/**
 * What many connections cost: all made at once, then idle but for a few, then all taking turns.
 * One process holds them all, each with a client of its own.
 */
import { writeFile } from "node:fs/promises";
import { cpus } from "node:os";
import { parseArgs } from "node:util";
import { openFilesMax } from "../../kvserver/openFiles.js";
import { markdownTable } from "../markdown.js";
import { orUsage } from "../usage.js";
import { Bench, type Cell } from "./cell.js";
import type { Setup, Work } from "./plan.js";
import { cpuSeconds, openFiles, residentBytes } from "./processes.js";
import { inMs, percent, whole } from "./report.js";
import type { Caller, Target } from "./target.js";
import { note, targetOf } from "./targets.js";

const help = `usage: npm run bench:connections -- [options]

  --connections LIST  open at once, ascending (64,1000,10000)
  --targets LIST      of mprpc-raft, etcd (mprpc-raft,etcd)
  --active N          calls in flight, and connections in use while the others are idle (64)
  --nodes N           size of a cluster (3)
  --keys N            different keys (10000)
  --value-bytes N     size of a value (256)
  --seconds S         that are counted, of each kind of work (4)
  --out FILE          writes FILE.json`;

const values = orUsage(help, () =>
  parseArgs({
    options: {
      connections: { type: "string", default: "64,1000,10000" },
      targets: { type: "string", default: "mprpc-raft,etcd" },
      active: { type: "string", default: "64" },
      nodes: { type: "string", default: "3" },
      keys: { type: "string", default: "10000" },
      "value-bytes": { type: "string", default: "256" },
      seconds: { type: "string", default: "4" },
      out: { type: "string" },
      help: { type: "boolean", short: "h", default: false },
    },
  }),
);
const counts = values.connections.split(",").map(Number);
const active = Number(values.active);
const nodes = Number(values.nodes);
const works: readonly Work[] = ["put", "get"];
/** Files that a process has open beside its connections, or a margin over that. */
const otherFiles = 200;
/** What is only garbage has gone by then; twice as long, and all idle connections were pinged. */
const settleMs = 5_000;
const KiB = 1024;

const setup: Setup = {
  connections: 1,
  ownConnections: true,
  keys: Number(values.keys),
  valueBytes: Number(values["value-bytes"]),
  warmUpMs: 1_000,
  measureMs: Number(values.seconds) * 1000,
};

interface Row {
  readonly target: string;
  readonly connections: number;
  /** Sockets more that the leader holds than before. */
  readonly open: number;
  readonly connectSeconds: number;
  /** Of the leader's memory, each. */
  readonly kibEach: number;
  /** Of the leader, while nobody calls. */
  readonly idleCpu: number;
  /** Another one leads after all of it. */
  readonly leaderLost: boolean;
  /** Some of them in use, then all in turn. */
  readonly cells: readonly { readonly used: number; readonly cell: Cell }[];
}

async function sleep(ms: number): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, ms));
}

/** All at once; each has made a put and a get when it counts as connected. */
async function connect(target: Target, count: number): Promise<Caller[]> {
  const callers = await target.connect(count);
  await Promise.all(callers.map((caller) => caller.get("warm")));
  return callers;
}

async function measure(target: Target, bench: Bench, count: number): Promise<Row> {
  const { leader } = await target.processes();
  await sleep(settleMs);
  const [filesBefore, bytesBefore] = [openFiles(leader), residentBytes(leader)];
  note(`${target.name}: making ${count} connections`);
  const startedAt = performance.now();
  const callers = await connect(target, count);
  const connectSeconds = (performance.now() - startedAt) / 1000;
  await sleep(settleMs);
  const kibEach = (residentBytes(leader) - bytesBefore) / KiB / count;
  const cpuBefore = cpuSeconds(leader);
  await sleep(settleMs);
  const idleCpu = (cpuSeconds(leader) - cpuBefore) / (settleMs / 1000);
  const open = openFiles(leader) - filesBefore;
  const cells = [];
  for (const used of count > active ? [active, count] : [count])
    for (const work of works) {
      note(`${target.name}: ${count} connections, ${work} over ${used}`);
      const cell = await bench.drive(callers.slice(0, used), work, active);
      cells.push({ used, cell });
    }
  const leaderLost = (await target.processes()).leader !== leader;
  await Promise.all(callers.map((caller) => caller.close()));
  const cost = { open, connectSeconds, kibEach, idleCpu, leaderLost };
  return { target: target.name, connections: count, ...cost, cells };
}

/** What a target can't do is left out, with a line that says why. */
async function measureAll(target: Target): Promise<Row[]> {
  const rows: Row[] = [];
  await target.start();
  try {
    const bench = new Bench(target, setup);
    await bench.fill();
    for (const count of counts) rows.push(await measure(target, bench, count));
  } catch (error) {
    note(`${target.name}: given up: ${(error as Error).message}\n`);
  } finally {
    await target.stop();
  }
  return rows;
}

const needed = Math.max(...counts) + otherFiles;
if (openFilesMax() < needed) {
  console.error(`ulimit -n is ${openFilesMax()}, and ${needed} files are needed: raise it`);
  process.exit(2);
}
const rows: Row[] = [];
for (const name of values.targets.split(",")) {
  const target = targetOf(name, nodes);
  if (target !== null) rows.push(...(await measureAll(target)));
}
note("");

console.log(
  `${nodes} nodes, ${setup.valueBytes} B values, ${setup.keys} keys, ${active} calls in flight, ` +
    `${values.seconds} s each; ${cpus().length} cores, Node ${process.versions.node}\n`,
);
const head = ["target", "connections", "at the leader", "connected s", "KiB each", "idle leader"];
const connecting = rows.map((row) => [
  row.target,
  whole(row.connections),
  whole(row.open),
  row.connectSeconds.toFixed(2),
  row.connections > active ? row.kibEach.toFixed(1) : "",
  percent(row.idleCpu),
]);
console.log(`${markdownTable([head, ...connecting], 1)}\n`);
const columns = ["work", "target", "connections", "in use", "ops/s", "p50", "p99", "max ms"];
const working = works.flatMap((work) =>
  rows.flatMap(({ target, connections, cells }) =>
    cells
      .filter(({ cell }) => cell.work === work)
      .map(({ used, cell }) => [
        work,
        target,
        whole(connections),
        used === connections ? "all" : `${used}`,
        whole(cell.opsPerSecond) + (cell.failures === 0 ? "" : ` (${cell.failures} failed)`),
        ...[cell.p50, cell.p99, cell.max].map(inMs),
      ]),
  ),
);
console.log(markdownTable([columns, ...working], 2));
console.log(`\nnew leaders: ${rows.filter(({ leaderLost }) => leaderLost).length}`);
if (values.out !== undefined)
  await writeFile(`${values.out}.json`, `${JSON.stringify({ values, rows }, null, 1)}\n`);
