import { readFile, writeFile } from "node:fs/promises";
import { afterEach, expect, it } from "vitest";
import { Clerk } from "../../clerk/index.js";
import { eventually } from "../eventually.js";
import { Cluster } from "../process/cluster.js";
import { leaderOf, PeerNode, readySoon } from "./peer.js";

/** A cluster of C++ nodes becomes one of ours, by the steps of docs/migrating-from-cpp.md. */

const boost = "commandCodec=boost";

let cluster: Cluster;
let peers: PeerNode[] = [];
let clerk: Clerk;

afterEach(async () => {
  await clerk.close();
  await Promise.all(peers.map((peer) => peer.kill()));
  await cluster.destroy();
});

/** Puts a new key again and again; all that were acknowledged are in `done`. */
class Load {
  readonly done: string[] = [];
  private stopping = false;
  private readonly running: Promise<void>;

  constructor() {
    this.running = this.run();
    // Whoever stops it sees the error.
    this.running.catch(() => {});
  }

  async more(count: number): Promise<void> {
    const until = this.done.length + count;
    await eventually("more puts", async () => this.done.length >= until);
  }

  async stop(): Promise<void> {
    this.stopping = true;
    await this.running;
  }

  private async run(): Promise<void> {
    for (let i = 0; !this.stopping; i++) {
      await clerk.put(`key.${i}`, `value.${i}`);
      this.done.push(`value.${i}`);
    }
  }
}

async function nodeSays(id: number, text: string): Promise<void> {
  await eventually(`node ${id}: ${text}`, async () =>
    cluster.processes.get(id)!.output.includes(text),
  );
}

/** Node `id` has applied all that a leader of ours has committed. */
async function caughtUp(id: number): Promise<void> {
  await eventually(`node ${id} has everything`, async () => {
    const states = (await clerk.status({ timeoutMs: 500 })).map(({ status }) => status);
    const commit = states.find((status) => status?.Role === "leader")?.CommitIndex;
    return commit !== undefined && (states[id]?.LastApplied ?? 0) >= commit - 50;
  });
}

async function replace(peer: PeerNode, load: Load): Promise<void> {
  expect(peer.end).toBeNull();
  await peer.kill();
  cluster.start(peer.id);
  await nodeSays(peer.id, "node votes from now on");
  await load.more(5);
}

/** Node 0 is one of theirs for a while, under a leader of ours. */
async function backAndForth(load: Load): Promise<void> {
  await cluster.stop(0, "SIGTERM");
  const peer = new PeerNode(cluster.nodesFile, 0, readySoon);
  peers.push(peer);
  const { length } = load.done;
  await eventually("it has the log from its first entry", async () => {
    if (peer.role === "starting") return false;
    return (await peer.pairs()).size >= length;
  });
  await load.more(5);
  expect(peer.end).toBeNull();
  await peer.kill();
  // What it promised as one of theirs, the data from before does not know.
  cluster.start(0, ["--rebuild"]);
  await nodeSays(0, "node votes from now on");
  await load.more(5);
}

it("node by node, under load, and every acknowledged put is there", async () => {
  const starts = ["originalStartMs=400", "originalStartMsPerNode=50"];
  cluster = await Cluster.create(3, [boost, ...starts]);
  peers = cluster.ports.map((_, id) => new PeerNode(cluster.nodesFile, id, readySoon));
  clerk = new Clerk(cluster.nodes);
  const last = await leaderOf(peers);
  const load = new Load();
  await load.more(10);
  for (const peer of peers) if (peer !== last) await replace(peer, load);
  await replace(last, load);
  await backAndForth(load);

  const list = await readFile(cluster.nodesFile, "utf8");
  await writeFile(cluster.nodesFile, list.replace(`${boost}\n`, ""));
  for (const id of cluster.nodes.keys()) {
    await cluster.stop(id, "SIGTERM");
    cluster.start(id);
    await caughtUp(id);
    await load.more(5);
  }
  await load.stop();
  const keys = load.done.map((_, i) => `key.${i}`);
  expect(await Promise.all(keys.map((key) => clerk.getString(key)))).toEqual(load.done);
  console.log(`migration: ${load.done.length} puts, 5 nodes replaced, 3 restarted`);
});
