import { describe, expect, test } from "vitest";
import { seedsOf } from "../seeds.js";
import { electionMs, RaftLab } from "./raftLab.js";

/* The Raft lab of MIT 6.5840, part D: snapshots. Each test has its name there. */

const snapshotEntries = 10;
const rounds = 30;

type Loss = "none" | "disconnect" | "crash";

/** Again and again a server misses more than the log keeps, and catches up by a snapshot. */
function checkCatchingUp(seed: number, loss: Loss, unreliable: boolean): void {
  const lab = new RaftLab(3, seed, { snapshotEntries, unreliable });
  lab.one(3);
  let leader = lab.oneLeader();
  for (let round = 0; round < rounds; round++) {
    const [victim, sender] =
      round % 3 === 1 ? [leader, lab.after(leader, 1)] : [lab.after(leader, 1), leader];
    if (loss === "disconnect") lab.disconnect(victim);
    if (loss === "crash") lab.crash(victim);
    if (loss !== "none") lab.one(2);
    lab.proposeMany(sender, lab.prng.int(snapshotEntries / 2, 1.5 * snapshotEntries));
    lab.one(loss === "none" ? 3 : 2);
    lab.one(loss === "none" ? 3 : 2);
    lab.sleep(50);
    for (const { core } of lab.reachable())
      expect(core!.log.lastIndex - core!.log.firstIndex).toBeLessThan(3 * snapshotEntries);
    lab.start(victim);
    lab.connect(victim);
    if (loss !== "none") lab.one(3);
    leader = lab.oneLeader();
  }
  const compacted = lab.nodes.map(({ core }) => core!.log.firstIndex);
  expect(Math.min(...compacted)).toBeGreaterThan(rounds * (snapshotEntries / 2));
}

describe.each(seedsOf(2))("seed %s", (seed) => {
  test("TestSnapshotBasic3D: the log stays short", () => {
    checkCatchingUp(seed, "none", false);
  });

  test("TestSnapshotInstall3D: a server that was cut off gets the snapshot", () => {
    checkCatchingUp(seed, "disconnect", false);
  });

  test("TestSnapshotInstallUnreliable3D: the same, though a tenth of all is lost", () => {
    checkCatchingUp(seed, "disconnect", true);
  });

  test("TestSnapshotInstallCrash3D: a server that crashed gets the snapshot", () => {
    checkCatchingUp(seed, "crash", false);
  });

  test("TestSnapshotInstallUnCrash3D: the same, though a tenth of all is lost", () => {
    checkCatchingUp(seed, "crash", true);
  });

  test("TestSnapshotAllCrash3D: all servers start from their snapshots", () => {
    const lab = new RaftLab(3, seed, { snapshotEntries });
    let index = lab.one(3);
    for (let round = 0; round < 5; round++) {
      lab.proposeMany(lab.oneLeader(), lab.prng.int(1, 2 * snapshotEntries));
      const before = lab.one(3);
      expect(before).toBeGreaterThan(index);
      lab.crash(...lab.nodes);
      lab.start(...lab.nodes);
      index = lab.one(3);
      expect(index).toBeGreaterThan(before);
    }
  });

  test("TestSnapshotInit3D: a second start still knows the snapshot of the first", () => {
    const lab = new RaftLab(3, seed, { snapshotEntries });
    for (let done = 0; done < snapshotEntries + 2; done++) lab.one(3);
    lab.sleep(electionMs);
    const bases = lab.nodes.map(({ core }) => core!.log.firstIndex);
    expect(Math.min(...bases)).toBeGreaterThan(1);
    for (let restart = 0; restart < 3; restart++) {
      lab.crash(...lab.nodes);
      lab.start(...lab.nodes);
      for (const { core, id } of lab.nodes)
        expect(core!.log.firstIndex).toBeGreaterThanOrEqual(bases[id]!);
      // One command puts something in the log; the state behind it is checked at every index.
      lab.one(3);
    }
  });
});
