/**
 * How long three nodes serve nobody when their leader is killed with -9 under load, and that nothing
 * acknowledged is lost by it. Real processes, real syncs, everything on this machine.
 */
import { Clerk } from "mprpc-raft/clerk";
import { Cluster } from "../test/process/cluster.js";

const rounds = Number(process.argv[2] ?? 10);
const writers = 8;
/** Between two kills, and from a kill to the search for the gap that it tore. */
const calmMs = 2_000;

const cluster = await Cluster.create(3);
cluster.startAll();
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

async function killLeader(): Promise<number> {
  const states = await clerk.status({ timeoutMs: 1_000 });
  const leader = states.findIndex(({ status }) => status?.Role === "leader");
  const last = acknowledgedAt.length - 1;
  await cluster.stop(leader, "SIGKILL");
  await sleep(calmMs);
  const times = acknowledgedAt.slice(last);
  cluster.start(leader);
  return Math.max(...times.slice(1).map((time, i) => time - times[i]!));
}

const writing = Promise.all(Array.from({ length: writers }, (_, id) => write(id)));
const gaps: number[] = [];
for (let round = 1; round <= rounds; round++) {
  await sleep(calmMs);
  gaps.push(await killLeader());
  process.stderr.write(`round ${round} of ${rounds}: ${gaps.at(-1)!.toFixed(0)} ms\n`);
}
load.running = false;
const written = await writing;
for (const [id, marks] of written.entries())
  if ((await clerk.getString(`key${id}`)) !== marks.join("")) throw new Error(`key${id} is wrong`);

const sorted = gaps.toSorted((a, b) => a - b);
const [least, median, most] = [0, sorted.length >> 1, sorted.length - 1].map((i) => sorted[i]!);
console.log(
  `leader killed ${rounds} times: unavailable for ${least!.toFixed(0)} to ${most!.toFixed(0)} ms, ` +
    `median ${median!.toFixed(0)} ms; ${acknowledgedAt.length} acknowledged appends, each there once`,
);
await clerk.close();
await cluster.destroy();
