/** Nodes whose disks get full while they run: real processes, small real file systems. */
import { mkdir, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { afterEach, expect, it } from "vitest";
import { Clerk, ClerkError, type NodeStatus } from "../../clerk/index.js";
import { eventually } from "../eventually.js";
import { Tmpfs } from "../tmpfs.js";
import { Cluster } from "./cluster.js";

const KiB = 1024;
const diskKiB = 4_096;
const reserveKiB = 1_024;
const options = [`segmentBytes=${64 * KiB}`, `diskReserveBytes=${reserveKiB * KiB}`];
/** Leaves less than the reserve, and more than the nodes write in the test. */
const ballast = Buffer.alloc(3_300 * KiB);

let cluster: Cluster;
let clerk: Clerk;
const disks: Tmpfs[] = [];

afterEach(async () => {
  await clerk.close();
  await Promise.all([...cluster.processes.keys()].map((id) => cluster.stop(id, "SIGKILL")));
  for (const disk of disks.splice(0)) await disk.unmount();
  await cluster.destroy();
});

/** Why it can't be done here, or null. */
async function startOnSmallDisks(size: number): Promise<string | null> {
  cluster = await Cluster.create(size, options);
  clerk = new Clerk(cluster.nodes, { timeoutMs: 20_000 });
  for (let id = 0; id < size; id++) {
    await mkdir(folder(id), { recursive: true });
    const mounted = await Tmpfs.mount(folder(id), diskKiB);
    if (typeof mounted === "string") return mounted;
    disks.push(mounted);
  }
  cluster.startAll();
  return null;
}

function folder(id: number): string {
  return path.join(cluster.dataDir, `node${id}`);
}

function ballastOf(id: number): string {
  return path.join(folder(id), "ballast");
}

async function leader(): Promise<NodeStatus> {
  return await eventually("a leader", async () => {
    const all = await clerk.status({ timeoutMs: 2_000 });
    return all.find(({ status }) => status?.Role === "leader");
  });
}

async function lowDisks(): Promise<number[]> {
  const all = await clerk.status({ timeoutMs: 2_000 });
  return all.flatMap(({ id, status }) => (status?.DiskIsLow === true ? [id] : []));
}

it("a leader hands over to a node that has room; where none has, reads go on", async () => {
  const why = await startOnSmallDisks(3);
  if (why !== null) {
    console.log(`not tried: ${why}`);
    return;
  }
  await clerk.put("x", "1");
  const first = await leader();
  await writeFile(ballastOf(first.id), ballast);
  await eventually("another leads", async () => (await leader()).id !== first.id);
  await clerk.put("x", "2");
  expect(await lowDisks()).toEqual([first.id]);

  for (const id of [0, 1, 2]) await writeFile(ballastOf(id), ballast);
  await eventually("all are low", async () => (await lowDisks()).length === 3);
  const failure = clerk.put("x", "3", { timeoutMs: 1_500 });
  await expect(failure).rejects.toBeInstanceOf(ClerkError);
  await expect(failure).rejects.toMatchObject({
    mayHaveHappened: false,
    message: expect.stringMatching(/the disk of node \d is nearly full: .*diskReserveBytes/),
  });
  expect(await clerk.getString("x")).toBe("2");

  const writing = clerk.put("x", "4");
  await rm(ballastOf(first.id));
  await writing;
  expect(await clerk.getString("x")).toBe("4");
  expect((await leader()).id).toBe(first.id);
  expect(cluster.processes.size).toBe(3);
}, 60_000);
