/** Whole drivers on disks that stand still, fail, or are full. */
import { afterEach, beforeEach, expect, it } from "vitest";
import { StorageError } from "../../raft/persister/storageError.js";
import { eventually } from "../eventually.js";
import { Prng } from "../sim/prng.js";
import { LocalCluster, takeSnapshot, type LocalNode } from "./localCluster.js";
import { TestDisk } from "./testDisk.js";

let cluster: LocalCluster;

beforeEach(async () => {
  cluster = await LocalCluster.create(3);
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

function diskOf(node: LocalNode): TestDisk {
  return cluster.disks[node.raft.id]!;
}

/** Proposed once: what another term overtakes may be lost. */
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

function others(node: LocalNode): LocalNode[] {
  return cluster.running().filter((one) => one !== node);
}

async function allHave(command: string): Promise<void> {
  for (const { raft, applied } of cluster.running())
    await eventually(`node ${raft.id} to have it`, async () => applied.includes(command));
  const [first, ...rest] = cluster.running();
  for (const { applied } of rest) expect(applied).toEqual(first!.applied);
}

it("a leader whose disk stands still steps down, and follows when it goes on", async () => {
  await commit("a");
  const old = await leaderOf();
  const { term } = old.raft.getState();
  diskOf(old).standStill();
  old.raft.start(Buffer.from("b"));
  await eventually("the disk to be waited for", async () => diskOf(old).isStandingStill);
  const next = await eventually("another leader", async () =>
    others(old).find(({ raft }) => raft.getState().isLeader),
  );
  expect(next.raft.getState().term).toBeGreaterThan(term);
  // The others had the entry on their disks; the old leader must not have said so by itself.
  await commit("c");
  expect(old.raft.getState().isLeader).toBe(false);
  diskOf(old).goOn();
  await allHave("c");
  expect(old.failure).toBeNull();
});

it("a follower whose disk stands still holds nobody up, and catches up", async () => {
  await commit("a");
  const leader = await leaderOf();
  const [slow] = others(leader);
  diskOf(slow!).standStill();
  for (let i = 0; i < 20; i++) await commit(`b${i}`);
  expect(slow!.failure).toBeNull();
  diskOf(slow!).goOn();
  await allHave("b19");
});

it("a leader whose sync fails ends, acknowledges nothing after it, and is replaced", async () => {
  await commit("a");
  const old = await leaderOf();
  diskOf(old).failing = true;
  for (const { raft } of others(old)) cluster.cut.add(raft.id);
  const { index } = old.raft.start(Buffer.from("b"));
  expect(index).toBeGreaterThan(0);
  const failure = await eventually("its end", async () => old.failure ?? false);
  expect(failure).toBeInstanceOf(StorageError);
  expect((failure as StorageError).code).toBe("IO");
  expect(old.raft.isRunning).toBe(false);
  expect(old.applied).not.toContain("b");
  expect(old.raft.start(Buffer.from("c"))).toMatchObject({ index: -1, isLeader: false });
  cluster.cut.clear();
  await eventually("another leader", async () =>
    others(old).some(({ raft }) => raft.getState().isLeader),
  );
});

it("a follower without room for the leader's snapshot lives on, and takes it later", async () => {
  await commit("a");
  const leader = await leaderOf();
  const [behind] = others(leader);
  const id = behind!.raft.id;
  await cluster.stop(id);
  for (let i = 0; i < 30; i++) await commit(`b${i}`);
  expect(await takeSnapshot(await leaderOf())).toBe(true);
  await commit("c");
  cluster.disks[id]!.freeBytes = 10;
  const back = await cluster.start(id);
  const warnings = await eventually("its complaint", async () =>
    cluster.warnings.includes("no room for a snapshot"),
  );
  expect(warnings).toBe(true);
  expect(back.failure).toBeNull();
  expect(back.applied).not.toContain("c");
  cluster.disks[id]!.has(1 << 30);
  await allHave("c");
});

/** Whether a leader confirms a read: without room, too. */
async function readsGoOn(): Promise<void> {
  await eventually("a read", async () => {
    const leader = cluster.leader();
    if (leader === undefined) return false;
    return await new Promise<boolean>((done) => leader.raft.readIndex((index) => done(index >= 0)));
  });
}

const much = 1 << 30;

it("the disk of whoever takes over becomes low meanwhile: the next one leads, or nobody writes", async () => {
  const prng = new Prng(1);
  await commit("a");
  const nodes = cluster.running();
  for (let round = 0; round < 6; round++) {
    // One after the other, at any moment of the hand-over that the one before set off.
    const from = prng.int(0, 2);
    const inTurn = nodes.map((_, i) => nodes[(from + i) % 3]!);
    for (const node of [await leaderOf(), ...inTurn]) {
      diskOf(node).has(0);
      await new Promise((resolve) => setTimeout(resolve, prng.int(0, 30)));
    }
    await eventually("a refusal for want of room", async () => {
      const started = cluster.leader()?.raft.start(Buffer.from("perhaps"));
      return started?.refusal === "diskIsLow";
    });
    for (const { raft } of nodes) raft.start(Buffer.from("refused"));
    await readsGoOn();
    const roomy = prng.pick(nodes);
    diskOf(roomy).has(much);
    await eventually("it to lead", async () => cluster.leader() === roomy);
    await commit(`b${round}`);
    for (const node of nodes) diskOf(node).has(much);
  }
  await allHave("b5");
  for (const { applied, failure } of nodes) {
    expect(failure).toBeNull();
    expect(applied).not.toContain("refused");
  }
});
