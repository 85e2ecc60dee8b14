import { afterEach, describe, expect, it } from "vitest";
import { missingPuts, oursLead, theirsLead } from "./leadership.js";
import { Load, OurWriter, PeerWriter } from "./load.js";
import { MixedCluster, type Kind } from "./mixedCluster.js";

/** Nodes of both kinds in one cluster, written to by clerks of both kinds: L3 and L4. */

let cluster: MixedCluster;
let load: Load;
let theirClerk: PeerWriter;

afterEach(async () => {
  await load.close();
  await cluster.destroy();
});

async function start(...kinds: readonly Kind[]): Promise<void> {
  cluster = await MixedCluster.of(kinds);
  cluster.bootAll();
  await cluster.leader();
  theirClerk = new PeerWriter("theirs", cluster.nodesFile);
  load = new Load([
    ...OurWriter.together(["a", "b", "c"], cluster.nodes),
    ...OurWriter.together(["d"], cluster.nodes),
    theirClerk,
  ]);
  await load.more(30);
}

/** One of ours that does not lead. */
async function followerOfOurs(): Promise<number> {
  const leader = await cluster.leader();
  return cluster.idsOf("ours").find((id) => id !== leader)!;
}

/** What went wrong: puts that are missing, processes that ended. */
async function finish(what: string): Promise<string[]> {
  const missing = await missingPuts(cluster, load);
  const { failovers, restarts, kills, freezes } = cluster.counts;
  console.log(
    `${what}: ${load.acknowledged} puts (${theirClerk.acknowledged} of theirs), ${failovers} failovers, ` +
      `${restarts} restarts, ${kills} ends by the test, ${freezes} pauses, ` +
      `${cluster.lateEnds} C++ leaders ended by a late put, ${theirClerk.finEnds} C++ clerks by a FIN`,
  );
  return [...missing, ...cluster.unwantedEnds, theirClerk.badEnd].filter((text) => text !== "");
}

describe("one node of theirs and two of ours", () => {
  it("pass the lead between them, and keep every put", async () => {
    await start("cpp", "ours", "ours");
    await theirsLead(cluster, load);
    await load.more(50);
    // L3: followers of ours come and go under a leader of theirs.
    const follower = await followerOfOurs();
    for (const signal of ["SIGTERM", "SIGKILL"] as const) {
      await cluster.restart(follower, signal);
      await load.more(50);
    }
    cluster.freeze(follower);
    await load.more(20);
    cluster.thaw(follower);
    await load.more(50);
    // L4: theirs follows, and comes back from nothing.
    await oursLead(cluster, load);
    await load.more(100);
    for (const signal of ["SIGTERM", "SIGKILL"] as const) {
      await cluster.restart(await cluster.leader(), signal);
      await oursLead(cluster, load);
      await load.more(100);
    }
    await cluster.restart(0);
    await oursLead(cluster, load);
    await load.more(100);
    await theirsLead(cluster, load);
    await load.more(50);
    expect(await finish("1 C++ and 2 ours")).toEqual([]);
  });
});

describe("two nodes of theirs and one of ours", () => {
  it("pass the lead between them, and keep every put", async () => {
    await start("cpp", "cpp", "ours");
    for (let round = 0; round < 2; round++) {
      await theirsLead(cluster, load);
      await load.more(50);
      for (const signal of ["SIGTERM", "SIGKILL"] as const) {
        await cluster.restart(2, signal);
        await load.more(50);
      }
      cluster.freeze(2);
      await load.more(20);
      cluster.thaw(2);
      await load.more(50);
      const leader = await oursLead(cluster, load);
      expect(leader).toBe(2);
      await load.more(100);
      // One of theirs at a time, under a leader that waits for it.
      await cluster.restart(round);
      await oursLead(cluster, load);
      await load.more(100);
    }
    expect(await finish("2 C++ and 1 ours")).toEqual([]);
  });
});
