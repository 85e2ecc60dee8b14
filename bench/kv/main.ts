/**
 * Puts and linearizable gets, as callers see them, of this project and of others on the same
 * machine, in turn: real processes, real sockets, a sync before every acknowledgement.
 */
import { writeFile } from "node:fs/promises";
import { cpus } from "node:os";
import { Bench, type Cell } from "./cell.js";
import { EtcdCluster } from "./etcdCluster.js";
import { MprpcCluster } from "./mprpcCluster.js";
import { planOf, type Plan } from "./plan.js";
import { plot } from "./plot.js";
import { findProgram } from "./processes.js";
import { RedisNode } from "./redisNode.js";
import { medians, table } from "./report.js";
import type { Target } from "./target.js";

function note(text: string): void {
  process.stderr.write(process.stderr.isTTY ? `\r\x1b[K${text}` : `${text}\n`);
}

/** A program of Debian's, or null with a line that says what is missing. */
function debianProgram(program: string, packageName: string): string | null {
  const file = findProgram(program);
  if (file === null)
    note(`${program} is not on PATH: left out (Debian's package ${packageName} has it)\n`);
  return file;
}

function targetOf(name: string, plan: Plan): Target | null {
  switch (name) {
    case "mprpc-raft":
      return new MprpcCluster(plan.nodes);
    case "etcd": {
      const file = debianProgram("etcd", "etcd-server");
      return file === null ? null : new EtcdCluster(file, plan.nodes);
    }
    case "redis": {
      const file = debianProgram("redis-server", "redis-server");
      return file === null ? null : new RedisNode(file);
    }
    default:
      throw new Error(`there is no target ${name}`);
  }
}

async function measure(target: Target, plan: Plan, round: number): Promise<Cell[]> {
  const cells: Cell[] = [];
  const loop = plan.rates.length > 0 ? "open" : "closed";
  const loads = loop === "open" ? plan.rates : plan.inFlight;
  await target.start();
  try {
    const bench = new Bench(target, plan);
    note(`round ${round}: ${target.name}, writing ${plan.keys} keys`);
    await bench.fill();
    for (const work of plan.work)
      for (const load of loads) {
        note(`round ${round}: ${target.name}, ${work}, ${load}${loop === "open" ? "/s" : ""}`);
        cells.push(await bench.measure(work, load, loop));
      }
  } finally {
    await target.stop();
  }
  return cells;
}

const plan = planOf(process.argv.slice(2));
const targets = plan.targets
  .map((name) => targetOf(name, plan))
  .filter((target) => target !== null);
const cells: Cell[] = [];
for (let round = 1; round <= plan.rounds; round++)
  for (const target of targets) cells.push(...(await measure(target, plan, round)));
note("");

const shown = medians(cells);
const sockets = plan.ownConnections ? "one a caller" : `${plan.connections}`;
console.log(
  `${plan.nodes} nodes, ${plan.valueBytes} B values, ${plan.keys} keys, client sockets: ${sockets}, ` +
    `${plan.measureMs / 1000} s each, medians of ${plan.rounds}; ` +
    `${cpus().length} cores, Node ${process.versions.node}\n`,
);
console.log(table(shown));
if (plan.out !== null) {
  await writeFile(`${plan.out}.json`, `${JSON.stringify({ plan, cells }, null, 1)}\n`);
  for (const work of plan.work) await writeFile(`${plan.out}-${work}.svg`, plot(work, shown));
}
