/**
 * Puts and linearizable gets, as callers see them, of this project and of others on the same
 * machine, in turn: real processes, real sockets, a sync before every acknowledgement.
 */
import { writeFile } from "node:fs/promises";
import { cpus } from "node:os";
import { Bench, type Cell } from "./cell.js";
import { planOf, type Plan } from "./plan.js";
import { plot } from "./plot.js";
import { medians, table } from "./report.js";
import type { Target } from "./target.js";
import { note, targetOf } from "./targets.js";

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
  .map((name) => targetOf(name, plan.nodes))
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
