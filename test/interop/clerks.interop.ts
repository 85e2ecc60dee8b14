import { afterAll, afterEach, beforeEach, describe, expect, it } from "vitest";
import { Clerk } from "../../clerk/index.js";
import { eventually } from "../eventually.js";
import { Cluster } from "../process/cluster.js";
import { PeerClerk } from "./peer.js";

/** Several C++ clerk processes on our cluster: all have one client id and count from 1. */

let cluster: Cluster;
let ours: Clerk;
const clerks: PeerClerk[] = [];

beforeEach(async () => {
  cluster = await Cluster.create(3);
  cluster.startAll();
  ours = new Clerk(cluster.nodes);
  await leaderId();
});

const total = { operations: 0, restarts: 0, processes: 0 };

afterAll(() => {
  const { operations, restarts, processes } = total;
  console.log(`L1: ${processes} clerk processes, ${operations} operations, ${restarts} restarts`);
});

afterEach(async () => {
  total.processes += clerks.length;
  for (const clerk of clerks) total.operations += clerk.operations;
  await Promise.all(clerks.splice(0).map((clerk) => clerk.kill()));
  await ours.close();
  await cluster.destroy();
});

async function leaderId(): Promise<number> {
  const id = await eventually("a leader of ours", async () => {
    const states = await ours.status({ timeoutMs: 500 });
    const found = states.findIndex(({ status }) => status?.Role === "leader");
    return found >= 0 && `${found}`;
  });
  return Number(id);
}

function newClerk(): PeerClerk {
  const clerk = new PeerClerk(cluster.nodesFile);
  clerks.push(clerk);
  return clerk;
}

async function append(clerk: PeerClerk, ...values: readonly string[]): Promise<void> {
  for (const value of values) await clerk.append("log", value);
}

describe("C++ clerk processes", () => {
  it("one after the other: the first writes of each are done, be they the same", async () => {
    for (let process = 0; process < 3; process++) {
      const clerk = newClerk();
      await append(clerk, "a;", "b;");
      await clerk.finish();
    }
    expect(await ours.getString("log")).toBe("a;b;a;b;a;b;");
  });

  it("side by side, while leaders go: every write is done once", async () => {
    const pair = [newClerk(), newClerk()];
    const marks = Array.from({ length: 60 }, (_, i) => `${i}`);
    const writing = Promise.all(
      pair.map((clerk, who) => append(clerk, ...marks.map((mark) => `${who}:${mark};`))),
    );
    for (const least of [20, 60]) {
      await eventually("more writes", async () => {
        const log = await ours.getString("log");
        return (log ?? "").split(";").length > least;
      });
      const gone = await leaderId();
      // A killed process sends a FIN, which ends the original's clerk; one that is told to stop does not.
      total.restarts++;
      await cluster.stop(gone, "SIGTERM");
      cluster.start(gone);
    }
    await writing;
    const done = ((await ours.getString("log")) ?? "").split(";").slice(0, -1);
    for (const who of [0, 1])
      expect(done.filter((mark) => mark.startsWith(`${who}:`))).toEqual(
        marks.map((mark) => `${who}:${mark}`),
      );
    expect(done).toHaveLength(120);
    expect(pair.map(({ end }) => end)).toEqual([null, null]);
  });
});
