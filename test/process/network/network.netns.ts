/** Real nodes whose machines vanish, or hear only some of the others. Run by `network.test.ts`. */
import { afterEach, describe, expect, it } from "vitest";
import { Clerk, ClerkError } from "../../../clerk/index.js";
import { eventually } from "../../eventually.js";
import { assertLinearizable, HistoryRecorder } from "../../linearizability/index.js";
import { Prng } from "../../sim/prng.js";
import { Workload } from "../workload.js";
import { NetCluster } from "./netCluster.js";

/** `npm run soak:network` sets them. */
const faults = Number(process.env["NETWORK_FAULTS"] ?? 8);
const seed = Number(process.env["NETWORK_SEED"] ?? 1);
const faultMsMax = 2_500;
const waitMsMax = 60_000;
const ids = [0, 1, 2];

let cluster: NetCluster;
let clerk: Clerk;
let recorder: HistoryRecorder;
let workload: Workload;

async function start(options: readonly string[] = []): Promise<void> {
  cluster = await NetCluster.create(ids.length, options);
  await cluster.bootAll();
  clerk = new Clerk(cluster.nodes, { timeoutMs: waitMsMax });
  await clerk.put("x", "0");
  recorder = new HistoryRecorder();
  workload = new Workload(cluster, { clients: 5, keys: 4, recorder });
}

afterEach(async () => {
  await clerk.close();
  await cluster.destroy();
});

async function leader(): Promise<number> {
  return await eventually("a leader", async () => {
    const states = await clerk.status({ timeoutMs: 500 });
    const found = states.find(({ status }) => status?.Role === "leader");
    return found === undefined ? false : found.id + 1;
  }).then((id) => id - 1);
}

async function operations(what: string, count: number): Promise<void> {
  const goal = workload.completed + count;
  await eventually(what, async () => workload.completed >= goal, waitMsMax);
}

async function expectAllInOrder(): Promise<void> {
  await workload.stop();
  assertLinearizable(recorder.operations(), { drawTo: `${cluster.dir}-history.html` });
  const ended = [...cluster.processes.values()].filter(({ child }) => child.exitCode !== null);
  expect(ended.map(({ id, output }) => `node ${id}: ${output}`)).toEqual([]);
}

it("the network of the test loses what it is told to", async () => {
  await start();
  await workload.stop();
  cluster.cut(0, 1);
  cluster.isolate(2);
  expect(await cluster.reaches(0, 1)).toBe(false);
  expect(await cluster.reaches(2, 0)).toBe(false);
  await expect(clerk.get("x", { timeoutMs: 1_000 })).rejects.toThrow(ClerkError);
  cluster.heal();
  expect(await cluster.reaches(0, 1)).toBe(true);
  expect(await cluster.reaches(2, 0)).toBe(true);
  expect(await clerk.getString("x")).toBe("0");
});

describe("machines that nothing comes from any more, not even a reset", () => {
  it("the leader's: others go on without it, and it follows when it is back", async () => {
    await start();
    for (let round = 0; round < 2; round++) {
      await operations("operations", 100);
      const gone = await leader();
      cluster.isolate(gone);
      await operations("operations without the leader", 50);
      expect(await leader()).not.toBe(gone);
      cluster.heal();
      await eventually("the old leader to follow", async () => {
        const states = await clerk.status({ timeoutMs: 500 });
        return states[gone]?.status?.Role === "follower";
      });
    }
    await expectAllInOrder();
  });

  it("one that is killed while it is cut off comes back with all that it acknowledged", async () => {
    await start(["snapshotLogBytes=200000", "trailingEntries=20", "segmentBytes=65536"]);
    await operations("operations", 100);
    const gone = await leader();
    cluster.isolate(gone);
    await operations("operations without it", 50);
    await cluster.stop(gone, "SIGKILL");
    await cluster.boot(gone);
    await operations("more operations without it", 50);
    cluster.heal();
    await eventually("the node to catch up", async () => {
      const states = await clerk.status({ timeoutMs: 500 });
      const commit = Math.max(...states.map(({ status }) => status?.CommitIndex ?? 0));
      return (states[gone]?.status?.LastApplied ?? -1) >= commit - 100;
    });
    await expectAllInOrder();
  });
});

/** What is done to the network; returns how to tell of it, for a run that fails. */
async function strike(prng: Prng): Promise<string> {
  const [a, b, c] = shuffled(prng);
  switch (prng.int(0, 5)) {
    case 0: {
      const gone = await leader();
      cluster.isolate(gone);
      return `leader ${gone} gone`;
    }
    case 1:
      cluster.isolate(a);
      return `node ${a} gone`;
    case 2:
      cluster.cut(a, b);
      return `${a} does not reach ${b}`;
    case 3:
      cluster.cut(a, b);
      cluster.cut(b, a);
      return `${a} and ${b} only by way of ${c}`;
    case 4:
      cluster.cut(a, b);
      cluster.cut(b, c);
      cluster.cut(c, a);
      return `${a}, ${c}, ${b} in a ring, one way`;
    default:
      cluster.isolate(a);
      cluster.isolate(b);
      return `only ${c} is there`;
  }
}

function shuffled(prng: Prng): [number, number, number] {
  const a = prng.int(0, 2);
  const b = (a + prng.int(1, 2)) % 3;
  return [a, b, 3 - a - b];
}

it(
  `stays linearizable through ${faults} faults of the network (seed ${seed})`,
  async () => {
    const prng = new Prng(seed);
    await start(["snapshotLogBytes=300000", "trailingEntries=50", "segmentBytes=65536"]);
    const told: string[] = [];
    for (let fault = 0; fault < faults; fault++) {
      told.push(await strike(prng));
      await new Promise((resolve) => setTimeout(resolve, prng.between(0, faultMsMax)));
      if (prng.chance(0.3)) {
        const victim = prng.int(0, 2);
        await cluster.stop(victim, "SIGKILL");
        await cluster.boot(victim);
        told.push(`node ${victim} killed`);
      }
      cluster.heal();
      await operations(`operations after: ${told.join(", ")}`, prng.int(1, 100));
    }
    await expectAllInOrder();
    console.log(`${told.length} faults, ${workload.completed} operations in order`);
  },
  60_000 + faults * 15_000,
);
