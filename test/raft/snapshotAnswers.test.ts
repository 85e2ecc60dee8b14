/**
 * The answer to the last chunk of a snapshot is lost: the leader finds out that the follower has
 * it, and the follower installs it once.
 */
import { readdir } from "node:fs/promises";
import path from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { eventually } from "../eventually.js";
import { LocalCluster, takeSnapshot, type LocalNode } from "./localCluster.js";
import { TestDisk } from "./testDisk.js";

/** So small that a snapshot has many. */
const snapshotChunkBytes = 100;

let cluster: LocalCluster;

beforeEach(async () => {
  cluster = await LocalCluster.create(3, { snapshotChunkBytes });
  for (let id = 0; id < 3; id++) cluster.disks.push(new TestDisk());
  await cluster.startAll();
});

afterEach(async () => {
  for (const disk of cluster.disks) disk.goOn();
  await cluster.destroy();
});

function leaderOf(): Promise<LocalNode> {
  return eventually("a leader", async () => cluster.leader());
}

/** Proposed again where another term overtakes it. */
async function commit(command: string): Promise<void> {
  await eventually(`${command} to be committed`, async () => {
    const leader = cluster.leader();
    if (leader === undefined) return false;
    const { index } = leader.raft.start(Buffer.from(command));
    if (index < 0) return false;
    const applied = async (): Promise<boolean> => leader.lastApplied >= index;
    await eventually(`index ${index}`, applied, 3_000).catch(() => {});
    return leader.applied.includes(command);
  });
}

/** A follower that has to get a snapshot, and is not there. */
async function leaveOneBehind(): Promise<number> {
  await commit("first");
  const id = ((await leaderOf()).raft.id + 1) % 3;
  await cluster.stop(id);
  for (let i = 0; i < 50; i++) await commit(`command ${i}`);
  for (const node of cluster.running()) {
    await eventually("all of it", async () => node.applied.includes("command 49"));
    expect(await takeSnapshot(node)).toBe(true);
  }
  return id;
}

async function catchesUp(node: LocalNode): Promise<void> {
  await commit("last");
  await eventually("it to have all", async () => node.applied.includes("last"));
  expect(node.applied).toEqual((await leaderOf()).applied);
  await eventually("the leader to know", async () => {
    const leader = await leaderOf();
    const { followers, lastLogIndex } = leader.raft.status();
    const follower = followers.find(({ id }) => id === node.raft.id);
    const known = follower?.state === "replicate" && follower.matchIndex === lastLogIndex;
    return leader === node || known;
  });
  expect(node.installed).toBe(1);
  expect(node.failure).toBeNull();
}

async function unfinished(id: number): Promise<string[]> {
  const names = await readdir(path.join(cluster.dir, `node${id}`));
  return names.filter((name) => name.startsWith("snapshot-") && name.endsWith(".tmp"));
}

function bytesSent(): number {
  return cluster.chunks.reduce((sum, { request }) => sum + request.data.length, 0);
}

it.each([
  ["once", 1],
  ["as often as one transfer asks", 5],
  ["in two transfers", 7],
])("%s", async (_, times) => {
  const id = await leaveOneBehind();
  let lost = 0;
  cluster.losesAnswer = ({ request }) => request.done && ++lost <= times;
  await catchesUp(await cluster.start(id));
  expect(lost).toBeGreaterThanOrEqual(times);
  expect(await unfinished(id)).toEqual([]);
  // What is asked again is the last chunk, and what a new transfer asks first has no data.
  const { totalSize } = cluster.chunks[0]!.request;
  expect(bytesSent()).toBeLessThanOrEqual(totalSize + times * snapshotChunkBytes);
});

it("while the follower still stores it: what comes again behind it is not taken for another", async () => {
  const id = await leaveOneBehind();
  let isDone = false;
  cluster.losesAnswer = ({ request }) => {
    if (!request.done || isDone) return false;
    isDone = true;
    cluster.disks[id]!.standStill();
    return true;
  };
  const back = await cluster.start(id);
  const asked = (): number => cluster.chunks.filter(({ request }) => request.done).length;
  await eventually("the last chunk to be sent again", async () => asked() >= 2);
  cluster.disks[id]!.goOn();
  await catchesUp(back);
  expect(await unfinished(id)).toEqual([]);
  const { totalSize } = cluster.chunks[0]!.request;
  expect(bytesSent()).toBeLessThanOrEqual(totalSize + 2 * snapshotChunkBytes);
});

it("and the leader with it: the next one sends none", async () => {
  const id = await leaveOneBehind();
  const old = await leaderOf();
  cluster.losesAnswer = ({ request }) => request.done;
  const back = await cluster.start(id);
  await eventually("it to be installed", async () => back.installed === 1);
  cluster.cut.add(old.raft.id);
  await eventually("another leader", async () => cluster.leader() !== undefined);
  cluster.losesAnswer = () => false;
  await catchesUp(back);
  expect(cluster.chunks.filter(({ request }) => request.from !== old.raft.id)).toEqual([]);
});

it("and the chunk comes once more, long after", async () => {
  const id = await leaveOneBehind();
  const back = await cluster.start(id);
  await catchesUp(back);
  await commit("later");
  await eventually("it", async () => back.applied.includes("later"));
  const before = [...back.applied];
  for (const { request } of cluster.chunks) {
    const reply = await back.raft.installSnapshot(request);
    expect(reply).toMatchObject({ accepted: true, nextOffset: request.totalSize });
  }
  await commit("at last");
  await eventually("one more", async () => back.applied.includes("at last"));
  expect(back.applied).toEqual([...before, "at last"]);
  expect(back.installed).toBe(1);
  expect(await unfinished(id)).toEqual([]);
});
