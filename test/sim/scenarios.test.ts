import { describe, expect, test } from "vitest";
import { CoreCluster } from "./coreCluster.js";
import type { CoreNode } from "./coreNode.js";
import { steadyTuning } from "./steadyTuning.js";

/*
 * Availability: what no invariant can tell, for a cluster that does nothing is safe. Each scenario
 * runs for several seeds, with a fault that lasts.
 */

const { electionTimeoutMsMax } = steadyTuning.node;

/** A cluster with a leader that all follow. */
function settled(seed: number, clusterSize: number): { cluster: CoreCluster; leader: CoreNode } {
  const cluster = new CoreCluster(seed, { tuning: { ...steadyTuning, clusterSize } });
  cluster.start();
  const isSettled = (): boolean =>
    cluster.leader !== undefined &&
    cluster.nodes.every(({ core }) => core?.currentLeader === cluster.leader?.id);
  expect(cluster.runFor(10 * electionTimeoutMsMax, isSettled)).toBe(true);
  return { cluster, leader: cluster.leader! };
}

/** Runs until a command that is proposed from now on is committed. */
function commits(cluster: CoreCluster, withinMs: number, except?: CoreNode): boolean {
  let index = 0;
  return cluster.runFor(withinMs, () => {
    const { leader } = cluster;
    if (leader !== undefined && leader !== except && index === 0) index = cluster.propose(leader);
    return index !== 0 && cluster.invariants.commitIndex >= index;
  });
}

describe.each([1, 2, 3, 4, 5])("seed %s", (seed) => {
  test("a leader that hears nobody gives way, though all hear it", () => {
    const { cluster, leader } = settled(seed, 5);
    for (const { id } of cluster.nodes) if (id !== leader.id) cluster.network.block(id, leader.id);
    expect(commits(cluster, 6 * electionTimeoutMsMax, leader)).toBe(true);
  });

  test("a leader that nobody hears gives way", () => {
    const { cluster, leader } = settled(seed, 5);
    for (const { id } of cluster.nodes) if (id !== leader.id) cluster.network.block(leader.id, id);
    expect(commits(cluster, 6 * electionTimeoutMsMax, leader)).toBe(true);
  });

  test("a leader whose disk stalls gives way", () => {
    const { cluster, leader } = settled(seed, 3);
    leader.disk.stallFor(1_000_000);
    cluster.propose(leader);
    expect(commits(cluster, 6 * electionTimeoutMsMax, leader)).toBe(true);
    expect(cluster.leader).not.toBe(leader);
  });

  test("a node that was cut off for long comes back without an election", () => {
    const { cluster, leader } = settled(seed, 3);
    const { term } = leader.core!;
    const other = cluster.nodes.find((node) => node !== leader)!;
    cluster.network.split(new Set([other.id]));
    cluster.runFor(20 * electionTimeoutMsMax);
    cluster.network.heal();
    const isBack = (): boolean => other.core?.currentLeader === leader.id;
    expect(cluster.runFor(2 * electionTimeoutMsMax, isBack)).toBe(true);
    cluster.runFor(4 * electionTimeoutMsMax);
    expect([cluster.leader?.id, cluster.leader?.core?.term]).toEqual([leader.id, term]);
  });

  test("one that the leader can't reach, but others can, deposes nobody", () => {
    const { cluster, leader } = settled(seed, 3);
    const { term } = leader.core!;
    const other = cluster.nodes.find((node) => node !== leader)!;
    cluster.network.block(leader.id, other.id);
    cluster.runFor(10 * electionTimeoutMsMax);
    expect([cluster.leader?.id, cluster.leader?.core?.term]).toEqual([leader.id, term]);
    expect(commits(cluster, electionTimeoutMsMax)).toBe(true);
  });

  test("a crashed leader is succeeded", () => {
    const { cluster, leader } = settled(seed, 3);
    leader.crash();
    expect(commits(cluster, 6 * electionTimeoutMsMax)).toBe(true);
  });

  test("leadership moves without a pause of an election timeout", () => {
    const { cluster, leader } = settled(seed, 3);
    const target = cluster.nodes.find((node) => node !== leader)!;
    leader.transfer(target.id);
    expect(cluster.runFor(100, () => cluster.leader === target)).toBe(true);
    expect(commits(cluster, electionTimeoutMsMax)).toBe(true);
  });

  test("a follower that lost touch gets a snapshot, and all that follows it", () => {
    const { cluster, leader } = settled(seed, 3);
    const other = cluster.nodes.find((node) => node !== leader)!;
    other.crash();
    for (let count = 0; count < 200; count++) commits(cluster, electionTimeoutMsMax);
    expect(leader.core!.log.firstIndex).toBeGreaterThan(100);
    other.start();
    const hasAll = (): boolean => other.machine.index === cluster.invariants.commitIndex;
    expect(cluster.runFor(4 * electionTimeoutMsMax, hasAll)).toBe(true);
    expect(other.machine.hash).toBe(leader.machine.hash);
  });
});
