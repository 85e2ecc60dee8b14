import { afterAll, afterEach, describe, expect, it } from "vitest";
import { Clerk } from "../../clerk/index.js";
import { Cluster } from "../process/cluster.js";
import { eventually } from "../eventually.js";
import { leaderOf, PeerNode, readySoon } from "./peer.js";
import { Wiretap } from "./wiretap.js";

/** Our Clerk against a cluster of C++ nodes. */

let cluster: Cluster;
let peers: PeerNode[];
let tap: Wiretap;
const clerks: Clerk[] = [];

async function startPeers(): Promise<void> {
  cluster = await Cluster.create(3);
  peers = cluster.ports.map((_, id) => new PeerNode(cluster.nodesFile, id, readySoon));
  await leaderOf(peers);
  tap = await Wiretap.before(cluster.ports);
}

function newClerk(settings: ConstructorParameters<typeof Clerk>[1] = {}): Clerk {
  const clerk = new Clerk(tap.nodes, settings);
  clerks.push(clerk);
  return clerk;
}

const total = { requests: 0, failovers: 0 };

afterAll(() => {
  console.log(`L2: ${total.requests} requests, ${total.failovers} failover`);
});

afterEach(async () => {
  total.requests += tap.requests;
  await Promise.all(clerks.splice(0).map((clerk) => clerk.close()));
  await tap.close();
  await Promise.all(peers.map((peer) => peer.kill()));
  await cluster.destroy();
});

function unwantedEnds(nodes: readonly PeerNode[]): string[] {
  return nodes.flatMap(({ id, end }) => (end === null ? [] : [`${id}: ${JSON.stringify(end)}`]));
}

describe("our Clerk on a C++ cluster", () => {
  it("finds out by itself what they speak: puts, appends, gets, from many callers", async () => {
    await startPeers();
    const callers = [newClerk(), newClerk(), newClerk(), newClerk()];
    await Promise.all(
      callers.map(async (clerk, caller) => {
        const keys = Array.from({ length: 10 }, (_, i) => `${caller}.${i}`);
        await Promise.all(keys.map((key) => clerk.put(key, `value ${key}`)));
        const values = await Promise.all(keys.map((key) => clerk.getString(key)));
        expect(values).toEqual(keys.map((key) => `value ${key}`));
      }),
    );
    const [clerk] = callers as [Clerk];
    expect(await clerk.get("no such key")).toBeUndefined();
    // Theirs replaces.
    await clerk.append("0.0", "tail");
    expect(await clerk.getString("0.0")).toBe("tail");
    expect(tap.violations).toEqual([]);
    expect(unwantedEnds(peers)).toEqual([]);
  });

  it("carries every byte, and as much as they can take", async () => {
    await startPeers();
    // Not through the tap, which might pass on in two pieces what they take only in one.
    const clerk = new Clerk(cluster.nodes);
    clerks.push(clerk);
    const bytes = Buffer.from(Array.from({ length: 256 }, (_, i) => i));
    const large = Buffer.alloc(59_000, bytes);
    await clerk.put(bytes, bytes);
    await clerk.put("large", large);
    expect((await clerk.get(bytes))?.equals(bytes)).toBe(true);
    expect((await clerk.get("large"))?.equals(large)).toBe(true);
    await expect(clerk.put("larger", Buffer.alloc(60_000))).rejects.toMatchObject({
      code: "TOO_LARGE",
      mayHaveHappened: false,
    });
    await clerk.put("small", "still served");
    expect(unwantedEnds(peers)).toEqual([]);
  });

  it("fails over when their leader is killed, and loses nothing that was acknowledged", async () => {
    await startPeers();
    const clerk = newClerk();
    const leader = await leaderOf(peers);
    let written = 0;
    const stopping = new AbortController();
    const load = (async () => {
      for (; !stopping.signal.aborted; written++) await clerk.put(`key ${written}`, `${written}`);
    })();
    await eventually("writes", async () => written >= 20);
    await leader.kill();
    const before = written;
    await eventually("writes after the failover", async () => written >= before + 20);
    total.failovers++;
    stopping.abort();
    await load;
    const keys = Array.from({ length: written }, (_, i) => `key ${i}`);
    const values = await Promise.all(keys.map((key) => clerk.getString(key)));
    expect(values).toEqual(keys.map((_, i) => `${i}`));
    expect(unwantedEnds(peers.filter((peer) => peer !== leader))).toEqual([]);
    expect(tap.violations).toEqual([]);
  });

  it("gives a connection up with the call that timed out on it: no reply reaches another", async () => {
    await startPeers();
    const clerk = newClerk({ attemptTimeoutMs: 300, timeoutMs: 1_000 });
    const leader = await leaderOf(peers);
    const keys = Array.from({ length: 20 }, (_, i) => `key ${i}`);
    for (const key of keys) await clerk.put(key, `value of ${key}`);
    tap.hold(leader.id, true);
    const lost = await Promise.allSettled(keys.map((key) => clerk.get(key)));
    expect(lost.map(({ status }) => status)).toEqual(keys.map(() => "rejected"));
    expect(tap.abandoned).toBeGreaterThan(0);
    tap.hold(leader.id, false);
    const values = await Promise.all(keys.map((key) => clerk.getString(key)));
    expect(values).toEqual(keys.map((key) => `value of ${key}`));
    expect(tap.violations).toEqual([]);
    expect(unwantedEnds(peers)).toEqual([]);
  });

  it("ends a call at its own deadline while no C++ node leads", async () => {
    await startPeers();
    const clerk = newClerk();
    await clerk.put("x", "1");
    const leader = await leaderOf(peers);
    const [first] = peers.filter((peer) => peer !== leader);
    await Promise.all([leader.kill(), first!.kill()]);
    await expect(clerk.get("x", { timeoutMs: 500 })).rejects.toMatchObject({ code: "TIMEOUT" });
  });
});
