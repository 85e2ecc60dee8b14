import { afterEach, describe, expect, it } from "vitest";
import { Clerk } from "../../clerk/index.js";
import { rpcDefaults } from "../../config/index.js";
import { AppendEntriesReplyCodec } from "../../proto/index.js";
import { eventually } from "../eventually.js";
import { allHaveIt, oursLead, theirsLead } from "./leadership.js";
import { Load, OurWriter } from "./load.js";
import { MixedCluster } from "./mixedCluster.js";
import type { SeenRequest } from "./seenRequests.js";

/** What passes between nodes of both kinds, held against what one of the original can take. */

let cluster: MixedCluster;
let load = new Load([]);

afterEach(async () => {
  await load.close();
  load = new Load([]);
  await cluster.destroy();
});

const archive = Buffer.from("22 serialization::archive ");

/** What is wrong with a request to a node of theirs. */
function wrongWith({ method, append, vote, bytes }: SeenRequest): string[] {
  const wrong: string[] = [];
  if (bytes > 60_000) wrong.push(`${method} of ${bytes} bytes`);
  if (method === "InstallSnapshot") wrong.push("a snapshot");
  if (method === "TimeoutNow" && vote!.Term !== 0) wrong.push("TimeoutNow, and no greeting");
  if (method === "RequestVote" && vote!.PreVote && vote!.Term !== 0) wrong.push("a pre-vote");
  if (append === null) return wrong;
  const { PrevLogIndex, Entries, LeaderCommit } = append;
  const commands = Entries.map(({ Command }) => Buffer.from(Command ?? []));
  const size = commands.reduce((sum, { length }) => sum + length, 0);
  if (size > 50_000 && Entries.length > 1) wrong.push(`a batch of ${size} bytes`);
  if (LeaderCommit > PrevLogIndex + Entries.length) wrong.push(`commit ${LeaderCommit}`);
  for (const command of commands)
    if (!command.subarray(0, archive.length).equals(archive)) wrong.push("no archive");
  return wrong;
}

describe("what our nodes send to one of theirs", () => {
  it("is no Raft request before it can take one, with the original's own start", async () => {
    // Our defaults, for a peer that takes as long as the original.
    cluster = await MixedCluster.of(["cpp", "ours", "ours"], [], { stateBytesMax: -1 });
    const tap = await cluster.tapAll([]);
    const before: string[] = [];
    let after = 0;
    tap.onRequest = (id, request) => {
      if (id !== 0) return;
      const { method, term } = request;
      if (cluster.peer(0).role === "starting") before.push(`${method} in term ${term}`);
      else after++;
    };
    cluster.bootAll();
    await cluster.leader(cluster.leads("ours"));
    await cluster.clerk.put("early", "1");
    expect(cluster.peer(0).role).toBe("starting");
    await cluster.peer(0).ready();
    await eventually("it has the put", async () => (await cluster.peer(0).pairs()).has("early"));
    expect([...new Set(before)]).toEqual(["TimeoutNow in term 0"]);
    expect(after).toBeGreaterThan(0);
    expect(cluster.unwantedEnds).toEqual([]);
  });

  it("keeps to one request at a time, batches, commit indexes and probes, also when answers are lost", async () => {
    cluster = await MixedCluster.of(["cpp", "ours", "ours"]);
    const tap = await cluster.tapAll();
    const wrong: string[] = [];
    let newestIndex = 0;
    let term = 0;
    let lost = 0;
    /** Whether the first request after each lost answer began at the end of the log. */
    const probes: boolean[] = [];
    let probeIsDue = false;
    let largest = 0;
    tap.onRequest = (id, request) => {
      if (id !== 0) return;
      wrong.push(...wrongWith(request));
      const { append } = request;
      if (append === null) return;
      largest = Math.max(largest, request.bytes);
      if (tap.abandoned > lost) probeIsDue = true;
      lost = tap.abandoned;
      // Another leader, with a log of its own.
      if (append.Term !== term) newestIndex = 0;
      term = append.Term;
      const last = append.PrevLogIndex + append.Entries.length;
      if (probeIsDue) probes.push(append.PrevLogIndex >= newestIndex);
      probeIsDue = false;
      newestIndex = Math.max(newestIndex, last);
    };
    cluster.bootAll();
    await cluster.leader();
    load = new Load(OurWriter.together(["a", "b", "c"], cluster.nodes));
    await oursLead(cluster, load);
    // Until large batches were tried, which follow small ones.
    const isEnough = (rounds: number): boolean =>
      rounds >= 20 || (rounds >= 5 && largest >= 20_000);
    for (let round = 0; !isEnough(round); round++) {
      const before = tap.abandoned;
      tap.hold(0, true);
      await eventually("a lost answer", async () => tap.abandoned > before);
      // More than one batch may hold.
      const value = Buffer.alloc(2_000, "v");
      const puts = Array.from({ length: 100 }, (_, i) => cluster.clerk.put(`${round}.${i}`, value));
      await Promise.all(puts);
      tap.hold(0, false);
      await load.more(100);
      await oursLead(cluster, load);
    }
    await load.stop();
    await allHaveIt(cluster);
    expect([...new Set(wrong)]).toEqual([]);
    // Ours take several at once, and a leader of theirs never waits.
    expect(tap.violations.filter((line) => line.startsWith("node 0"))).toEqual([]);
    expect(probes.length).toBeGreaterThan(4);
    expect(new Set(probes)).toEqual(new Set([true]));
    expect(largest).toBeGreaterThan(20_000);
    expect(cluster.unwantedEnds).toEqual([]);
  });
});

describe("what our node answers to a leader of theirs", () => {
  it("is that it has all of a log that came in one request of several MiB", async () => {
    cluster = await MixedCluster.of(["cpp", "cpp", "ours"]);
    cluster.boot(0);
    cluster.boot(1);
    await cluster.leader();
    const clerks = Array.from({ length: 8 }, () => new Clerk(cluster.nodes));
    const value = Buffer.alloc(9_000, "v");
    const puts = Array.from({ length: 600 }, (_, i) => clerks[i % 8]!.put(`key${i}`, value));
    await Promise.all(puts);
    await Promise.all(clerks.map((clerk) => clerk.close()));
    expect(puts.length * value.length).toBeGreaterThan(rpcDefaults.requestBytesMax);
    cluster.boot(2);
    await eventually("it has all", async () => {
      return ((await cluster.statusOf(2))?.Keys ?? 0) === puts.length;
    });
    expect(cluster.unwantedEnds).toEqual([]);
  });

  it("is one small reply to each request, with an index that it can go on from", async () => {
    cluster = await MixedCluster.of(["cpp", "cpp", "ours"]);
    const tap = await cluster.tapAll();
    let end = 0;
    const seen = { requests: 0, replies: 0 };
    const wrong: string[] = [];
    tap.onRequest = (id, { append }) => {
      if (id !== 2 || append === null) return;
      seen.requests++;
      end = Math.max(end, append.PrevLogIndex + append.Entries.length + 1);
    };
    tap.onReply = (id, reply) => {
      if (id !== 2) return;
      seen.replies++;
      wrong.push(...wrongWithReply(reply, end));
    };
    cluster.bootAll();
    await cluster.leader();
    load = new Load(OurWriter.together(["a"], cluster.nodes));
    await theirsLead(cluster, load);
    await load.more(50);
    for (const signal of ["SIGTERM", "SIGKILL"] as const) {
      await cluster.restart(2, signal);
      await load.more(50);
    }
    cluster.freeze(2);
    await load.more(10);
    cluster.thaw(2);
    await load.more(50);
    await load.stop();
    expect(cluster.kinds[await cluster.leader()]).toBe("cpp");
    expect([...new Set(wrong)]).toEqual([]);
    expect(seen.requests).toBeGreaterThan(50);
    // Some were lost with the processes that should have given them.
    expect(seen.replies).toBeGreaterThan(seen.requests / 2);
    expect(cluster.unwantedEnds).toEqual([]);
  });
});

/** What a leader of theirs, whose log ends before `end`, could not take. */
function wrongWithReply(bytes: Buffer, end: number): string[] {
  if (bytes.length > 1_024) return [`a reply of ${bytes.length} bytes`];
  const { Success, UpdateNextIndex: next, AppState } = AppendEntriesReplyCodec.decode(bytes);
  // Votes are answered on the same line, and joining nodes are not heeded: neither has the state.
  if (AppState !== 1 || Success || next === -100) return [];
  return next < 1 || next > end ? [`UpdateNextIndex ${next} where ${end} is the last`] : [];
}

describe("the snapshots of theirs", () => {
  it("are refused so that no leader counts one as installed, and the log tells why", async () => {
    // As the original comes: a snapshot every 50 bytes.
    const stock = { listMs: 200, peerMs: 50 };
    cluster = await MixedCluster.of(["cpp", "cpp", "ours"], undefined, stock);
    cluster.boot(0);
    cluster.boot(1);
    const leader = await cluster.leader();
    for (let i = 0; i < 5; i++) await cluster.clerk.put(`key${i}`, "a value that fills the log");
    const peer = cluster.peer(leader);
    await eventually("a snapshot", async () => peer.snapshotIndex > 0);
    cluster.boot(2);
    await eventually("snapshots are sent", async () => peer.snapshotsSent > 20);
    // Several wait for it when it stands still for a moment.
    const before = peer.snapshotsSent;
    cluster.freeze(2);
    await eventually("more are sent", async () => peer.snapshotsSent > before + 10);
    cluster.thaw(2);
    const then = peer.snapshotsSent;
    await eventually("and again", async () => peer.snapshotsSent > then + 20);
    expect(peer.installations).toEqual([]);
    const { output } = cluster.processes.get(2)!;
    expect(output).toContain("a snapshot that is not in chunks can't be installed");
    expect(output).toContain("stays behind until one leads that still has the log");
    // Its leader leads on, and clients are served.
    await cluster.clerk.put("after", "1");
    expect(await cluster.clerk.getString("after")).toBe("1");
    expect(await cluster.leader()).toBe(leader);
    expect(cluster.unwantedEnds).toEqual([]);
  });
});
