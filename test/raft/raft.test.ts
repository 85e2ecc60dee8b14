import { afterEach, describe, expect, it } from "vitest";
import { eventually } from "../eventually.js";
import { LocalCluster, takeSnapshot, type LocalNode } from "./localCluster.js";

let cluster: LocalCluster;
afterEach(async () => {
  await cluster.destroy();
});

function leaderOf(): Promise<LocalNode> {
  return eventually("a leader", async () => cluster.leader());
}

/** Starts `command` on whoever leads until it is applied there; no other leader may lose it. */
async function commit(command: string): Promise<void> {
  await eventually(`${command} to be committed`, async () => {
    const leader = cluster.leader();
    if (leader === undefined || leader.applied.includes(command)) return leader !== undefined;
    const { index } = leader.raft.start(Buffer.from(command));
    if (index < 0) return false;
    await eventually(`index ${index}`, async () => leader.lastApplied >= index, 3_000).catch(
      () => {},
    );
    return leader.applied.includes(command);
  });
}

async function allHave(commands: readonly string[]): Promise<void> {
  for (const node of cluster.running())
    await eventually(
      `node ${node.raft.id} to have all`,
      async () => node.applied.length >= commands.length,
    );
  for (const node of cluster.running()) expect(node.applied).toEqual(commands);
}

function names(from: number, to: number): string[] {
  return Array.from({ length: to - from }, (_, i) => `c${from + i}`);
}

describe("Raft", () => {
  it("elects itself and works when it is alone", async () => {
    cluster = await LocalCluster.create(1);
    await cluster.startAll();
    await commit("a");
    await allHave(["a"]);
  });

  it("refuses a command on a node that does not lead", async () => {
    cluster = await LocalCluster.create(3);
    await cluster.start(0);
    expect(cluster.nodes[0]!.raft.start(Buffer.from("x"))).toMatchObject({
      index: -1,
      isLeader: false,
    });
  });

  it("applies the same commands everywhere, through changes of the leader", async () => {
    cluster = await LocalCluster.create(3);
    await cluster.startAll();
    for (const name of names(0, 20)) await commit(name);
    const first = await leaderOf();
    cluster.cut.add(first.raft.id);
    for (const name of names(20, 40)) await commit(name);
    cluster.cut.clear();
    for (const name of names(40, 50)) await commit(name);
    await allHave(names(0, 50));
  });

  it("remembers everything when all nodes restart", async () => {
    cluster = await LocalCluster.create(3);
    await cluster.startAll();
    for (const name of names(0, 10)) await commit(name);
    const { term } = (await leaderOf()).raft.getState();
    for (const id of [0, 1, 2]) await cluster.stop(id);
    await cluster.startAll();
    await commit("c10");
    await allHave(names(0, 11));
    expect((await leaderOf()).raft.getState().term).toBeGreaterThan(term);
  });

  it("brings a follower back with the log, or with a snapshot when that is gone", async () => {
    cluster = await LocalCluster.create(3, { snapshotChunkBytes: 100 });
    await cluster.startAll();
    await commit("c0");
    const leader = await leaderOf();
    const away = (leader.raft.id + 1) % 3;
    await cluster.stop(away);
    for (const name of names(1, 60)) await commit(name);
    await takeSnapshot(leader);
    expect(leader.raft.status().firstLogIndex).toBeGreaterThan(50);
    for (const name of names(60, 65)) await commit(name);
    await cluster.start(away);
    await allHave(names(0, 65));
    expect(cluster.nodes[away]!.raft.status().snapshotIndex).toBe(
      leader.raft.status().snapshotIndex,
    );
    // What came by snapshot is there after a restart, too.
    await cluster.stop(away);
    const back = await cluster.start(away);
    await eventually("the restarted node", async () => back.applied.length >= 65);
    expect(back.applied).toEqual(names(0, 65));
  });

  it("keeps a trailing window of the log before a snapshot", async () => {
    cluster = await LocalCluster.create(1);
    await cluster.startAll();
    for (const name of names(0, 30)) await commit(name);
    const leader = await leaderOf();
    expect(await takeSnapshot(leader, 10)).toBe(true);
    const { snapshotIndex, firstLogIndex } = leader.raft.status();
    expect(snapshotIndex - firstLogIndex + 1).toBe(10);
    expect(await takeSnapshot(leader)).toBe(false);
  });

  it("confirms a read on the leader only, and never on one that was cut off", async () => {
    cluster = await LocalCluster.create(3);
    await cluster.startAll();
    await commit("a");
    const leader = await leaderOf();
    const index = await new Promise<number>((resolve) => leader.raft.readIndex(resolve));
    expect(index).toBeGreaterThanOrEqual(leader.lastApplied);
    const follower = cluster.running().find((node) => node !== leader)!;
    expect(await new Promise((resolve) => follower.raft.readIndex(resolve))).toBe(-1);
    cluster.cut.add(leader.raft.id);
    expect(await new Promise((resolve) => leader.raft.readIndex(resolve))).toBe(-1);
  });

  it("hands leadership over when asked to", async () => {
    cluster = await LocalCluster.create(3);
    await cluster.startAll();
    await commit("a");
    const leader = await leaderOf();
    expect(leader.raft.transferLeadership()).toBe(true);
    const next = await eventually("another leader", async () => {
      const now = cluster.leader();
      return now !== undefined && now !== leader && now;
    });
    expect(next.raft.getState().term).toBe(leader.raft.getState().term);
    await commit("b");
    await allHave(["a", "b"]);
  });

  it("stops when its disk fails, and acknowledges nothing after it", async () => {
    cluster = await LocalCluster.create(1);
    await cluster.startAll();
    await commit("a");
    const node = cluster.nodes[0]!;
    node.persister.onFailure(new Error("injected: EIO"));
    expect(node.failure?.message).toContain("EIO");
    expect(node.raft.start(Buffer.from("b"))).toMatchObject({ index: -1, isLeader: false });
  });
});
