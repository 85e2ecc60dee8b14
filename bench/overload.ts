/**
 * A leader at more load than it can serve, for minutes: what it refuses, what it serves meanwhile,
 * and whether its memory, or anybody's, grows. Callers don't wait longer after a refusal.
 */
import { writeFile } from "node:fs/promises";
import { parseArgs } from "node:util";
import { Clerk } from "mprpc-raft/clerk";
import { kvServerRpc_Stub } from "mprpc-raft/proto";
import { MprpcChannel, RpcError, RpcStatus } from "mprpc-raft/rpc";
import { Cluster } from "../test/process/cluster.js";
import { residentBytes } from "./kv/processes.js";
import { markdownTable } from "./markdown.js";
import { median } from "./median.js";
import { orUsage } from "./usage.js";

const help = `usage: npm run bench:overload -- [options]

  --minutes N      how long (10)
  --callers N      writes in flight (16384)
  --value-bytes N  size of a value (8192)
  --keys N         different keys (2000)
  --out FILE       writes FILE.json`;

const values = orUsage(help, () =>
  parseArgs({
    options: {
      minutes: { type: "string", default: "10" },
      callers: { type: "string", default: "16384" },
      "value-bytes": { type: "string", default: "8192" },
      keys: { type: "string", default: "2000" },
      out: { type: "string" },
      help: { type: "boolean", short: "h", default: false },
    },
  }),
);
const callers = Number(values.callers);
const keys = Number(values.keys);
const value = Buffer.alloc(Number(values["value-bytes"]), "v");
const seconds = Number(values.minutes) * 60;
/** As many as a server takes on one connection. */
const callersOfChannel = 1_024;
const sampleMs = 10_000;
const samplesOfMinute = 6;
const callTimeoutMs = 30_000;
/** A caller that was refused asks again after this long. */
const refusedPauseMs = 20;
const MiB = 1024 * 1024;

const cluster = await Cluster.create(3);
cluster.startAll();
const clerk = new Clerk(cluster.nodes);
await clerk.put("warm", "up");
const states = await clerk.status();
const leader = states.findIndex(({ status }) => status?.Role === "leader");
const address = cluster.nodes[leader]!;

const counts = { done: 0, refused: 0, other: 0 };
/** How often what else came of a write. */
const others = new Map<string, number>();
const load = { running: true };

function countOther(what: string): void {
  counts.other++;
  others.set(what, (others.get(what) ?? 0) + 1);
}

async function put(stub: kvServerRpc_Stub, key: string): Promise<void> {
  const request = { Key: Buffer.from(key), Value: value, Op: Buffer.from("Put") };
  try {
    const { Err } = await stub.PutAppend(request, { timeoutMs: callTimeoutMs });
    const outcome = Buffer.from(Err).toString();
    if (outcome === "OK") counts.done++;
    else countOther(outcome);
  } catch (error) {
    if (!(error instanceof RpcError)) throw error;
    if (error.status === RpcStatus.RESOURCE_EXHAUSTED) counts.refused++;
    else countOther(error.message);
    await new Promise((resolve) => setTimeout(resolve, refusedPauseMs));
  }
}

async function call(stub: kvServerRpc_Stub, id: number): Promise<void> {
  for (let n = id; load.running; n += callers) await put(stub, `key${n % keys}`);
}

const channels: MprpcChannel[] = [];
const calling: Promise<void>[] = [];
for (let id = 0; id < callers; id++) {
  if (id % callersOfChannel === 0) channels.push(new MprpcChannel(address));
  calling.push(call(new kvServerRpc_Stub(channels.at(-1)!), id));
}

interface Sample {
  readonly seconds: number;
  /** MiB of each node, in the order of the node list. */
  readonly memory: readonly number[];
  /** Since the start. */
  readonly done: number;
  readonly refused: number;
}

const samples: Sample[] = [];
const gets: number[] = [];
const startedAt = performance.now();
while (performance.now() - startedAt < seconds * 1000) {
  await new Promise((resolve) => setTimeout(resolve, sampleMs));
  const before = performance.now();
  await clerk.get("warm");
  gets.push(performance.now() - before);
  const pids = [...cluster.processes.values()].map(({ child }) => child.pid!);
  const memory = pids.map((pid) => residentBytes(pid) / MiB);
  const at = (performance.now() - startedAt) / 1000;
  samples.push({ seconds: at, memory, done: counts.done, refused: counts.refused });
  const shown = memory.map((size) => size.toFixed(0));
  process.stderr.write(`${at.toFixed(0)} s: ${shown.join(", ")} MiB; ${JSON.stringify(counts)}\n`);
}
load.running = false;
await Promise.all(calling);
const after = await clerk.status();

/** The median of a fifth of the run: the second, and the last. */
function fifth(which: number, node: number): number {
  const from = Math.floor((which * samples.length) / 5);
  const to = Math.max(from + 1, Math.floor(((which + 1) * samples.length) / 5));
  return median(samples.slice(from, to).map(({ memory }) => memory[node]!));
}

const names = cluster.nodes.map((_, id) => (id === leader ? "leader" : `node ${id}`));

/** Of each minute the last sample, and what was done and refused since the one before. */
function minutes(): string[][] {
  const rows: string[][] = [];
  let before: Sample = { seconds: 0, memory: [], done: 0, refused: 0 };
  for (let i = samplesOfMinute - 1; i < samples.length; i += samplesOfMinute) {
    const sample = samples[i]!;
    const time = sample.seconds - before.seconds;
    const rates = [(sample.done - before.done) / time, (sample.refused - before.refused) / time];
    const figures = [...sample.memory, ...rates].map((figure) => figure.toFixed(0));
    rows.push([`${rows.length + 1}`, ...figures]);
    before = sample;
  }
  return rows;
}

const rows = cluster.nodes.map((_, id) => {
  const most = Math.max(...samples.map(({ memory }) => memory[id]!));
  const sizes = [fifth(1, id), fifth(4, id), most].map((size) => size.toFixed(0));
  return [names[id]!, ...sizes];
});
console.log(
  `${callers} writes of ${value.length} B in flight for ${values.minutes} min: ` +
    `${(counts.done / seconds).toFixed(0)} a second done, ` +
    `${(counts.refused / seconds).toFixed(0)} refused with RESOURCE_EXHAUSTED, ` +
    `${counts.other} ended in another way; a get meanwhile: median ${median(gets).toFixed(0)} ms; ` +
    `term ${states[leader]!.status?.Term} before, ${after[leader]!.status?.Term} after\n`,
);
console.log(markdownTable([["MiB", "second fifth", "last fifth", "most"], ...rows], 1));
console.log();
console.log(markdownTable([["minute", ...names, "done/s", "refused/s"], ...minutes()], 0));
if (values.out !== undefined)
  await writeFile(
    `${values.out}.json`,
    `${JSON.stringify({ values, counts, samples }, null, 1)}\n`,
  );
for (const [what, count] of others) console.log(`${count} times: ${what}`);
for (const channel of channels) channel.close();
await clerk.close();
await cluster.destroy();
