/** Real processes under load, killed again and again in the midst of whatever they do. */
import { afterEach, expect, test } from "vitest";
import { Clerk } from "../../clerk/index.js";
import { eventually } from "../eventually.js";
import { assertLinearizable, HistoryRecorder } from "../linearizability/index.js";
import { Prng } from "../sim/prng.js";
import { Cluster } from "./cluster.js";
import { Workload } from "./workload.js";

/** `npm run soak:kill` sets it. */
const kills = Number(process.env["KILLS"] ?? 6);
const seed = Number(process.env["KILL_SEED"] ?? 1);
const killMsMax = 60_000;

/** Small, so that kills meet segments and snapshots that are being made, and are gone. */
const options = ["snapshotLogBytes=300000", "trailingEntries=50", "segmentBytes=65536"];
/** After the kill of one node the others go on for so many operations, now and then. */
const operationsWithoutMax = 200;
const pauseMsMax = 300;

let cluster: Cluster;
const clerks: Clerk[] = [];

afterEach(async () => {
  for (const clerk of clerks.splice(0)) await clerk.close();
  await cluster.destroy();
});

function newClerk(): Clerk {
  const clerk = new Clerk(cluster.nodes, { timeoutMs: killMsMax });
  clerks.push(clerk);
  return clerk;
}

/** Appends numbers to a key of its own, and fills the log; resolves with what must be there. */
async function appendMarks(key: string, isOver: () => boolean): Promise<string> {
  const clerk = newClerk();
  const filling = Buffer.alloc(2_000, "f");
  let marks = "";
  for (let i = 0; !isOver(); i++) {
    await clerk.append(key, `${i};`);
    marks += `${i};`;
    await clerk.put(`filling ${key} ${i % 20}`, filling);
  }
  return marks;
}

async function leaderOf(clerk: Clerk): Promise<number> {
  return await eventually("a leader", async () => {
    const states = await clerk.status({ timeoutMs: 500 });
    const id = states.findIndex(({ status }) => status?.Role === "leader");
    return id === -1 ? undefined : id;
  });
}

/** Whom to kill: one, the leader, two, or all. */
async function victims(prng: Prng, clerk: Clerk): Promise<number[]> {
  switch (prng.int(0, 5)) {
    case 0:
      return [0, 1, 2];
    case 1: {
      const spared = prng.int(0, 2);
      return [0, 1, 2].filter((id) => id !== spared);
    }
    case 2:
    case 3:
      return [await leaderOf(clerk)];
    default:
      return [prng.int(0, 2)];
  }
}

function endedByThemselves(): string[] {
  return [...cluster.processes.values()]
    .filter(({ child }) => child.exitCode !== null || child.signalCode !== null)
    .map(({ id, output }) => `node ${id}: ${output.slice(-2_000)}`);
}

test(
  `nothing acknowledged is lost, or done twice, by ${kills} kills (seed ${seed})`,
  async () => {
    const prng = new Prng(seed);
    cluster = await Cluster.create(3, options);
    cluster.startAll();
    const clerk = newClerk();
    await clerk.put("x", "1");
    const over = { now: false };
    const keys = ["marks 0", "marks 1"];
    const appending = keys.map((key) => appendMarks(key, () => over.now));
    const recorder = new HistoryRecorder();
    const workload = new Workload(cluster, { clients: 4, keys: 5, recorder });
    let killed = 0;
    while (killed < kills) {
      await new Promise((resolve) => setTimeout(resolve, prng.between(0, pauseMsMax)));
      const ids = await victims(prng, clerk);
      expect(endedByThemselves()).toEqual([]);
      await Promise.all(ids.map((id) => cluster.stop(id, "SIGKILL")));
      killed += ids.length;
      if (ids.length === 1 && prng.chance(0.5)) {
        const goal = workload.completed + prng.int(1, operationsWithoutMax);
        await eventually("progress without", async () => workload.completed >= goal, killMsMax);
      }
      for (const id of ids) cluster.start(id);
      const goal = workload.completed + prng.int(1, 50);
      await eventually("progress with all", async () => workload.completed >= goal, killMsMax);
    }
    over.now = true;
    const marks = await Promise.all(appending);
    await workload.stop();
    for (const [i, key] of keys.entries()) expect(await clerk.getString(key)).toBe(marks[i]);
    assertLinearizable(recorder.operations(), { drawTo: `${cluster.dir}-history.html` });
    expect(endedByThemselves()).toEqual([]);
    const appends = marks.join("").split(";").length - 1;
    console.log(`${killed} kills, ${workload.completed} operations in order, ${appends} appends`);
  },
  60_000 + kills * 10_000,
);
