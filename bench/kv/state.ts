/**
 * What a state costs to hold and to come back from: memory of the nodes, and the time from the
 * start of a process until it serves all that it held, for this project and others in turn.
 */
import { cpus } from "node:os";
import { randomBytes } from "node:crypto";
import { parseArgs } from "node:util";
import { markdownTable } from "../markdown.js";
import { median } from "../median.js";
import { residentBytes } from "./processes.js";
import type { Target } from "./target.js";
import { note, targetOf } from "./targets.js";
import { orUsage } from "../usage.js";

const help = `usage: npm run bench:state -- [options]

  --keys N         keys that are there (200000)
  --value-bytes N  size of a value (256)
  --nodes N        size of the clusters; Redis is one process (3)
  --targets A,B    of mprpc-raft, etcd, redis (all)
  --restarts N     of one node, and of all at once; the median is shown (5)`;

const values = orUsage(help, () =>
  parseArgs({
    options: {
      keys: { type: "string", default: "200000" },
      "value-bytes": { type: "string", default: "256" },
      nodes: { type: "string", default: "3" },
      targets: { type: "string", default: "mprpc-raft,etcd,redis" },
      restarts: { type: "string", default: "5" },
      help: { type: "boolean", short: "h", default: false },
    },
  }),
);
const keys = Number(values.keys);
const nodes = Number(values.nodes);
const restarts = Number(values.restarts);
const value = randomBytes(Number(values["value-bytes"]));
const fillInFlight = 256;
/** What is only garbage, or not written back yet, has gone by then. */
const settleMs = 10_000;
const MiB = 1024 * 1024;

async function fill(target: Target): Promise<void> {
  const [caller] = await target.connect(1);
  let n = 0;
  const some = async (): Promise<void> => {
    while (n < keys) await caller!.put(`key-${String(n++).padStart(9, "0")}`, value);
  };
  await Promise.all(Array.from({ length: fillInFlight }, some));
  await caller!.close();
}

async function restartMs(target: Target, which: "one" | "all"): Promise<number> {
  const times: number[] = [];
  for (let i = 0; i < restarts; i++) {
    note(`${target.name}: restart ${i + 1} of ${which}`);
    await target.kill(which);
    const startedAt = performance.now();
    await target.revive();
    times.push(performance.now() - startedAt);
  }
  return median(times);
}

function memoryOf(pids: readonly number[]): string {
  const all = pids.map((pid) => residentBytes(pid) / MiB);
  if (all.length === 0) return "";
  return (all.reduce((a, b) => a + b) / all.length).toFixed(0);
}

async function row(target: Target): Promise<string[]> {
  await target.start();
  try {
    note(`${target.name}: writing ${keys} keys`);
    await fill(target);
    await new Promise((resolve) => setTimeout(resolve, settleMs));
    const { leader, followers } = await target.processes();
    const memory = [memoryOf([leader]), memoryOf(followers)];
    const one = await restartMs(target, "one");
    await new Promise((resolve) => setTimeout(resolve, settleMs));
    const all = await restartMs(target, "all");
    await new Promise((resolve) => setTimeout(resolve, settleMs));
    const after = await target.processes();
    memory.push(memoryOf([after.leader, ...after.followers]));
    return [target.name, ...memory, ...[one, all].map((ms) => (ms / 1000).toFixed(2))];
  } finally {
    await target.stop();
  }
}

const rows: string[][] = [];
for (const name of values.targets.split(",")) {
  const target = targetOf(name, nodes);
  if (target !== null) rows.push(await row(target));
}
note("");
const columns = ["leader MiB", "follower", "after restart", "one restarted s", "all"];
console.log(
  `${nodes} node(s), ${keys} keys of ${value.length} B, medians of ${restarts} restarts after ` +
    `kill -9; ${cpus().length} cores, Node ${process.versions.node}\n`,
);
console.log(markdownTable([["target", ...columns], ...rows], 1));
