/**
 * What a put and a get cost as the data grows: in a cluster, without snapshots and with them, and in
 * the state machine alone.
 */
import { randomBytes } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { cpus } from "node:os";
import { parseArgs } from "node:util";
import { markdownTable } from "../markdown.js";
import { orUsage } from "../usage.js";
import { Bench, type Cell } from "./cell.js";
import { MprpcCluster } from "./mprpcCluster.js";
import type { Setup, Work } from "./plan.js";
import { cpuMicros, inMs, whole } from "./report.js";
import { stepTimes } from "./steps.js";
import { note } from "./targets.js";

const help = `usage: npm run bench:growth -- [options]

  --keys LIST      numbers of keys, ascending (1000,10000,100000,1000000)
  --value-bytes N  size of a value (256)
  --in-flight N    calls in flight (64)
  --nodes N        size of the cluster (3)
  --seconds S      that are counted, of each kind of work at each size (15)
  --passes LIST    of off, on: without snapshots, and with them as by default (off,on)
  --out FILE       writes FILE.json`;

const values = orUsage(help, () =>
  parseArgs({
    options: {
      keys: { type: "string", default: "1000,10000,100000,1000000" },
      "value-bytes": { type: "string", default: "256" },
      "in-flight": { type: "string", default: "64" },
      nodes: { type: "string", default: "3" },
      seconds: { type: "string", default: "15" },
      passes: { type: "string", default: "off,on" },
      out: { type: "string" },
      help: { type: "boolean", short: "h", default: false },
    },
  }),
);
const sizes = values.keys.split(",").map(Number);
const inFlight = Number(values["in-flight"]);
const nodes = Number(values.nodes);
const valueBytes = Number(values["value-bytes"]);
const passes = values.passes.split(",").filter((pass) => pass !== "");
const works: readonly Work[] = ["put", "get"];
/** Until snapshots and collections that the writing of the keys began have ended. */
const settleMs = 5_000;

interface Row {
  readonly snapshots: string;
  readonly keys: number;
  readonly cell: Cell;
  /** The leader finished a snapshot meanwhile. */
  readonly compacted: boolean;
}

function setupOf(keys: number): Setup {
  return {
    connections: 1,
    ownConnections: false,
    keys,
    valueBytes,
    warmUpMs: 1_000,
    measureMs: Number(values.seconds) * 1000,
  };
}

async function measure(pass: string): Promise<Row[]> {
  const options = pass === "off" ? ["snapshotLogBytes=-1"] : [];
  const target = new MprpcCluster(nodes, options);
  const rows: Row[] = [];
  await target.start();
  try {
    let written = 0;
    for (const keys of sizes) {
      const bench = new Bench(target, setupOf(keys));
      note(`snapshots ${pass}: writing ${keys} keys`);
      await bench.fill(written);
      written = keys;
      await new Promise((resolve) => setTimeout(resolve, settleMs));
      for (const work of works) {
        note(`snapshots ${pass}: ${keys} keys, ${work}`);
        const before = await target.leaderStatus();
        const cell = await bench.measure(work, inFlight, "closed");
        const after = await target.leaderStatus();
        const compacted = (after?.SnapshotIndex ?? 0) > (before?.SnapshotIndex ?? 0);
        rows.push({ snapshots: pass, keys, cell, compacted });
      }
    }
  } finally {
    await target.stop();
  }
  return rows;
}

const rows: Row[] = [];
for (const pass of passes) rows.push(...(await measure(pass)));
const value = randomBytes(valueBytes);
note("the state machine alone");
// Once for the compiler.
stepTimes(sizes[0]!, value);
const steps = sizes.map((keys) => ({ keys, ...stepTimes(keys, value) }));
note("");

console.log(
  `${nodes} node(s), ${valueBytes} B values, ${inFlight} in flight, ${values.seconds} s each; ` +
    `${cpus().length} cores, Node ${process.versions.node}\n`,
);
const columns = ["ops/s", "p50", "p99", "max ms", "leader us", "follower us"];
const shown = rows.map(({ snapshots, keys, cell, compacted }) => [
  cell.work,
  compacted ? `${snapshots}, taken` : snapshots,
  whole(keys),
  whole(cell.opsPerSecond),
  ...[cell.p50, cell.p99, cell.max].map(inMs),
  ...[cell.leaderCpu, cell.followerCpu].map((cpu) => cpuMicros(cpu, cell)),
]);
console.log(markdownTable([["work", "snapshots", "keys", ...columns], ...shown], 2));
console.log("\nthe state machine alone, us a step\n");
const alone = steps.map(({ keys, put, newKey, get }) => [
  whole(keys),
  ...[put, newKey, get].map(inMs),
]);
console.log(markdownTable([["keys", "put", "put of a new key", "get"], ...alone], 0));
if (values.out !== undefined)
  await writeFile(`${values.out}.json`, `${JSON.stringify({ values, rows, steps }, null, 1)}\n`);
