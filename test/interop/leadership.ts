import { eventually } from "../eventually.js";
import type { Load } from "./load.js";
import type { MixedCluster } from "./mixedCluster.js";

/** Puts after which whoever had to acknowledge them has all that was acknowledged before. */
const catchUpPuts = 20;
const attemptsMax = 10;

/**
 * A node of ours comes to lead: nodes of theirs that lead are killed, and started again under it,
 * which is the only place where they can be. What a killed one had is elsewhere: the puts under its
 * lead needed another node, and those that follow need ours.
 */
export async function oursLead(cluster: MixedCluster, load: Load): Promise<number> {
  const { kinds } = cluster;
  const isMajority = (): boolean => 2 * (kinds.length - cluster.missing.length) > kinds.length;
  for (const id of cluster.missing) if (!isMajority()) cluster.boot(id);
  let leader = await cluster.leader();
  while (kinds[leader] === "cpp") {
    await load.more(catchUpPuts);
    await cluster.end(leader);
    // Ours alone has no majority, and everything that counts.
    if (!isMajority()) cluster.boot(cluster.missing[0]!);
    leader = await cluster.leader();
  }
  const bootMissing = (): void => {
    for (const id of cluster.missing) {
      cluster.boot(id);
      cluster.counts.restarts++;
    }
  };
  // Also one that comes to lead once more meanwhile, and ends of a put that waited too long.
  await allHaveIt(cluster, bootMissing);
  return cluster.leader();
}

/** A node of theirs comes to lead, because the leader of ours stands still for a while. */
export async function theirsLead(cluster: MixedCluster, load: Load): Promise<number> {
  for (let attempt = 0; attempt < attemptsMax; attempt++) {
    const leader = await cluster.leader();
    if (cluster.kinds[leader] === "cpp") return leader;
    cluster.freeze(leader);
    await cluster.leader((id) => id !== leader);
    cluster.thaw(leader);
    await load.more(catchUpPuts);
  }
  throw new Error(`no node of theirs came to lead in ${attemptsMax} attempts`);
}

/**
 * Every node has what the leader, one of ours, has committed by now. `underOurs` is called again and
 * again while such a one leads.
 */
export async function allHaveIt(cluster: MixedCluster, underOurs?: () => void): Promise<void> {
  const leader = await cluster.leader(cluster.leads("ours"));
  const commit = (await cluster.statusOf(leader))?.CommitIndex ?? Infinity;
  let seen = "";
  await eventually("all nodes have everything", async () => {
    const status = await cluster.statusOf(await cluster.leader(cluster.leads("ours")));
    underOurs?.();
    seen = JSON.stringify([commit, status]);
    const { Peers = [] } = status ?? {};
    const has = Peers.filter(({ MatchIndex }) => MatchIndex >= commit);
    return has.length === cluster.kinds.length - 1;
  }).catch((error: unknown) => {
    throw new Error(`${cluster.describe()}\n${seen}`, { cause: error });
  });
}

/**
 * Stops the load, and wants every acknowledged put: at each node of ours when it leads, by a read, and
 * in the store of each of theirs.
 * @returns what is missing, and where.
 */
export async function missingPuts(cluster: MixedCluster, load: Load): Promise<string[]> {
  await oursLead(cluster, load);
  await load.stop();
  await allHaveIt(cluster);
  const { keys } = load;
  const missing: string[] = [];
  const read = new Set<number>();
  while (read.size < cluster.idsOf("ours").length) {
    const leader = await cluster.leader(cluster.leads("ours"));
    if (!read.has(leader)) missing.push(...(await notRead(cluster, keys, leader)));
    read.add(leader);
    // Another one of ours takes over, and this one is there for the next.
    if (cluster.idsOf("ours").length > 1) await cluster.restart(leader, "SIGTERM");
    await oursLead(cluster, load);
  }
  for (const id of cluster.idsOf("cpp")) {
    const lacks = (held: Map<string, string>): string[] =>
      keys.filter((key) => held.get(key) !== key);
    await eventually(`C++ node ${id} has all`, async () => {
      return lacks(await cluster.peer(id).pairs()).length === 0;
    }).catch(() => {});
    const held = await cluster.peer(id).pairs();
    missing.push(...lacks(held).map((key) => `${key} at C++ node ${id}`));
  }
  return missing;
}

async function notRead(
  cluster: MixedCluster,
  keys: readonly string[],
  leader: number,
): Promise<string[]> {
  const values = await Promise.all(keys.map((key) => cluster.clerk.getString(key)));
  return keys
    .filter((key, i) => values[i] !== key)
    .map((key) => `${key} at node ${leader} of ours`);
}
