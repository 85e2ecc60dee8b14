import { afterEach, describe, expect, it } from "vitest";
import { Clerk } from "../../clerk/index.js";
import { eventually } from "../eventually.js";
import { assertLinearizable, HistoryRecorder } from "../linearizability/index.js";
import { Cluster } from "./cluster.js";
import { Workload } from "./workload.js";

/** Real processes, killed and paused under load. */

let cluster: Cluster;
let clerk: Clerk;

async function start(size: number, options: readonly string[] = []): Promise<void> {
  cluster = await Cluster.create(size, options);
  cluster.startAll();
  clerk = new Clerk(cluster.nodes, { timeoutMs: 20_000 });
  await leader();
}

afterEach(async () => {
  await clerk.close();
  await cluster.destroy();
});

/** The node that a majority of the nodes calls leader. */
function leader(): Promise<number> {
  return eventually("a leader", async () => {
    const states = await clerk.status({ timeoutMs: 500 });
    const found = states.find(({ status }) => status?.Role === "leader");
    return found === undefined ? false : found.id + 1;
  }).then((id) => id - 1);
}

function expectLinearizable(recorder: HistoryRecorder): void {
  assertLinearizable(recorder.operations(), { drawTo: `${cluster.dir}-history.html` });
}

describe("a cluster of processes", () => {
  it("keeps every acknowledged write, once, when the leader and then all are killed", async () => {
    await start(3);
    const acknowledged: string[] = [];
    const append = async (from: number, to: number): Promise<void> => {
      for (let i = from; i < to; i++) {
        await clerk.append("log", `${i},`);
        await clerk.put(`key${i}`, `${i}`);
        acknowledged.push(`${i},`);
      }
    };
    await append(0, 50);
    const first = await leader();
    await cluster.stop(first, "SIGKILL");
    await append(50, 100);
    cluster.start(first);
    await append(100, 120);
    for (const id of [0, 1, 2]) await cluster.stop(id, "SIGKILL");
    cluster.startAll();
    await append(120, 130);
    expect(await clerk.getString("log")).toBe(acknowledged.join(""));
    for (let i = 0; i < 130; i++) expect(await clerk.getString(`key${i}`)).toBe(`${i}`);
  });

  it("stays linearizable under load while leaders are killed", async () => {
    await start(3);
    const recorder = new HistoryRecorder();
    const workload = new Workload(cluster, { clients: 6, keys: 3, recorder });
    for (let round = 0; round < 4; round++) {
      const before = workload.completed;
      await eventually("operations", async () => workload.completed > before + 150);
      const victim = await leader();
      await cluster.stop(victim, "SIGKILL");
      const killed = workload.completed;
      await eventually(
        "operations without the victim",
        async () => workload.completed > killed + 50,
      );
      cluster.start(victim);
    }
    await workload.stop();
    expectLinearizable(recorder);
  });

  it.each(["readIndex", "lease"])(
    "serves no stale read by %s when a paused leader goes on",
    async (mode) => {
      await start(3, [`readMode=${mode}`]);
      const recorder = new HistoryRecorder();
      const workload = new Workload(cluster, { clients: 4, keys: 2, recorder });
      for (let round = 0; round < 2; round++) {
        const victim = await leader();
        const { child } = cluster.processes.get(victim)!;
        child.kill("SIGSTOP");
        const before = workload.completed;
        await eventually(
          "operations without the paused",
          async () => workload.completed > before + 50,
        );
        child.kill("SIGCONT");
        const after = workload.completed;
        await eventually("operations with all", async () => workload.completed > after + 50);
      }
      await workload.stop();
      expectLinearizable(recorder);
    },
  );

  it("brings a follower back that fell behind the compacted log", async () => {
    await start(3, ["snapshotLogBytes=200000", "trailingEntries=20", "segmentBytes=65536"]);
    const away = ((await leader()) + 1) % 3;
    await cluster.stop(away, "SIGKILL");
    const recorder = new HistoryRecorder();
    const workload = new Workload(cluster, { clients: 2, keys: 2, recorder });
    const value = Buffer.alloc(2_000, "v");
    for (let i = 0; i < 40; i++)
      await Promise.all(Array.from({ length: 10 }, (_, j) => clerk.put(`k${i}.${j}`, value)));
    cluster.start(away);
    await workload.stop();
    expectLinearizable(recorder);
    const caughtUp = await eventually("the follower to catch up", async () => {
      const states = await clerk.status({ timeoutMs: 1_000 });
      const target = Math.max(...states.map(({ status }) => status?.CommitIndex ?? 0));
      const status = states[away]!.status;
      return status !== null && status.LastApplied >= target && status.Keys === 402 && status;
    });
    expect(caughtUp.SnapshotIndex).toBeGreaterThan(0);
    expect(cluster.processes.get(away)!.output).toContain("snapshot installed");
  });

  it("hands leadership over when the leader is asked to stop", async () => {
    await start(3);
    const recorder = new HistoryRecorder();
    const workload = new Workload(cluster, { clients: 4, keys: 2, recorder });
    await eventually("operations", async () => workload.completed > 100);
    await clerk.put("x", "1");
    const old = await leader();
    const { child, exited } = cluster.processes.get(old)!;
    child.kill("SIGTERM");
    expect(await exited).toMatchObject({ code: 0 });
    cluster.processes.delete(old);
    await clerk.put("x", "2");
    expect(await clerk.getString("x")).toBe("2");
    const after = workload.completed;
    await eventually("operations without the old", async () => workload.completed > after + 50);
    await workload.stop();
    expectLinearizable(recorder);
  });

  it("works alone", async () => {
    await start(1);
    await clerk.put("x", "1");
    await cluster.stop(0, "SIGKILL");
    cluster.start(0);
    expect(await clerk.getString("x")).toBe("1");
  });
});
