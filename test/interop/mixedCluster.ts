import { writeFile } from "node:fs/promises";
import path from "node:path";
import { Clerk } from "../../clerk/index.js";
import { eventually } from "../eventually.js";
import { Cluster, freePorts, temporaryFolder, type Address } from "../process/cluster.js";
import { Wiretap } from "./wiretap.js";
import { PeerNode, readySoon, type PeerEnd, type PeerNodeOptions } from "./peer.js";

export type Kind = "cpp" | "ours";

/** How long a peer takes to start in these tests, and what our nodes are told of it. */
const startOptions = ["originalStartMs=400", "originalStartMsPerNode=50"];

/** The ends that the original's own rules bring about, whatever others send: in `docs/interop.md`. */
const lateRule = "a put was not committed within 500 ms";

/** Nodes of the original and of ours, in one cluster. */
export class MixedCluster extends Cluster {
  /** By node. */
  readonly kinds: readonly Kind[];
  readonly clerk: Clerk;
  /** What was done to it, and what came of it. */
  readonly counts = { failovers: 0, restarts: 0, kills: 0, freezes: 0 };
  /** Ends of C++ leaders by the rule of late puts. */
  lateEnds = 0;
  private readonly peerOptions: PeerNodeOptions;
  private readonly peers = new Map<number, PeerNode>();
  private readonly frozen = new Set<number>();
  private readonly badEnds: string[] = [];
  private lastLeader = "";
  private tap: Wiretap | null = null;

  private constructor(
    dir: string,
    nodes: readonly Address[],
    kinds: readonly Kind[],
    peerOptions: PeerNodeOptions,
  ) {
    super(dir, nodes);
    this.kinds = kinds;
    this.peerOptions = peerOptions;
    this.clerk = new Clerk(nodes);
  }

  /** @param options Lines of the node list, with the times of the peer's start. */
  static async of(
    kinds: readonly Kind[],
    options: readonly string[] = startOptions,
    peerOptions: PeerNodeOptions = readySoon,
  ): Promise<MixedCluster> {
    const nodes = (await freePorts(kinds.length)).map((port) => ({ host: "127.0.0.1", port }));
    const cluster = new MixedCluster(await temporaryFolder(), nodes, kinds, peerOptions);
    await cluster.writeNodeList(["commandCodec=boost", ...options]);
    return cluster;
  }

  /** All that one node sends to another passes the wiretap from here on; clerks are not heard. */
  async tapAll(options: readonly string[] = startOptions): Promise<Wiretap> {
    const tap = await Wiretap.before(this.ports);
    this.tap = tap;
    for (const me of this.kinds.keys()) {
      const lines = this.nodes.flatMap((own, id) => {
        const { host, port } = id === me ? own : tap.nodes[id]!;
        return [`node${id}ip=${host}`, `node${id}port=${port}`];
      });
      const list = [...lines, "commandCodec=boost", ...options, ""].join("\n");
      await writeFile(this.nodesFileOf(me), list);
    }
    return tap;
  }

  override nodesFileOf(id: number): string {
    return this.tap === null ? this.nodesFile : path.join(this.dir, `nodes-of-${id}.conf`);
  }

  idsOf(kind: Kind): number[] {
    return [...this.kinds.keys()].filter((id) => this.kinds[id] === kind);
  }

  bootAll(): void {
    for (const id of this.kinds.keys()) this.boot(id);
  }

  /** Starts node `id`; one of ours without data is of a new cluster. */
  boot(id: number): void {
    if (this.kinds[id] === "ours") this.start(id, ["--new-cluster"]);
    else {
      const peer = new PeerNode(this.nodesFileOf(id), id, this.peerOptions);
      this.peers.set(id, peer);
      void peer.exited.then((end) => this.peerEnded(peer, end));
    }
  }

  peer(id: number): PeerNode {
    return this.peers.get(id)!;
  }

  /** Ends node `id`: one of theirs knows SIGKILL only. */
  async end(id: number, signal: NodeJS.Signals = "SIGKILL"): Promise<void> {
    this.counts.kills++;
    this.frozen.delete(id);
    if (this.kinds[id] === "ours") return this.stop(id, signal);
    const peer = this.peer(id);
    this.peers.delete(id);
    await peer.kill();
  }

  async restart(id: number, signal: NodeJS.Signals = "SIGKILL"): Promise<void> {
    await this.end(id, signal);
    this.boot(id);
    this.counts.restarts++;
  }

  freeze(id: number): void {
    this.counts.freezes++;
    this.frozen.add(id);
    this.childOf(id)?.kill("SIGSTOP");
  }

  thaw(id: number): void {
    this.frozen.delete(id);
    this.childOf(id)?.kill("SIGCONT");
  }

  /** Nodes of theirs that don't run, having ended by a rule of their own. */
  get missing(): number[] {
    return this.idsOf("cpp").filter((id) => this.peers.get(id)?.running !== true);
  }

  /** The node that leads the newest term, of those that run. */
  async leader(suits: (id: number) => boolean = () => true): Promise<number> {
    const [id, term] = await eventually(
      "a leader",
      async () => {
        const leads = await this.leaders();
        const newest = leads.toSorted((a, b) => b[1] - a[1])[0];
        return newest !== undefined && suits(newest[0]) && newest;
      },
      30_000,
    );
    const leader = `${id} in ${term}`;
    if (this.lastLeader !== leader && this.lastLeader !== "") this.counts.failovers++;
    this.lastLeader = leader;
    return id;
  }

  leads(kind: Kind): (id: number) => boolean {
    return (id) => this.kinds[id] === kind;
  }

  /** Node `id`, of ours, has applied all that the leader, of ours, has committed by now. */
  async caughtUp(id: number): Promise<void> {
    const leader = await this.leader(this.leads("ours"));
    const commit = (await this.statusOf(leader))?.CommitIndex ?? Infinity;
    await eventually(`node ${id} has caught up`, async () => {
      const status = await this.statusOf(id);
      return status !== null && status.LastApplied >= commit;
    });
  }

  /** Nodes of ours that ended by themselves, and of theirs by what they were sent. */
  get unwantedEnds(): string[] {
    const ours = [...this.processes.values()]
      .filter(({ child }) => child.exitCode !== null || child.signalCode !== null)
      .map(({ id, output }) => `node ${id} of ours: ${output.slice(-2_000)}`);
    return [...this.badEnds, ...ours];
  }

  /** The last that each node told, for whoever looks for the cause of a failure. */
  describe(): string {
    const theirs = [...this.peers.values()].map(
      ({ id, output, end }) => `C++ node ${id}, ${JSON.stringify(end)}:\n${output.slice(-500)}`,
    );
    const ours = [...this.processes.values()].map(
      ({ id, output }) => `node ${id} of ours:\n${output.slice(-3_000)}`,
    );
    return [...this.badEnds, ...theirs, ...ours].join("\n");
  }

  async statusOf(id: number) {
    const [answer] = await this.clerk.status({ node: id, timeoutMs: 500 });
    return answer?.status ?? null;
  }

  override async destroy(): Promise<void> {
    await this.clerk.close();
    await this.tap?.close();
    await Promise.all([...this.peers.keys()].map((id) => this.end(id)));
    await super.destroy();
  }

  private async leaders(): Promise<[id: number, term: number][]> {
    const found: [number, number][] = [];
    for (const id of this.kinds.keys()) {
      if (this.frozen.has(id)) continue;
      const peer = this.peers.get(id);
      if (peer?.running === true && peer.role === "leader") found.push([id, peer.term]);
      const status = this.processes.has(id) ? await this.statusOf(id) : null;
      if (status?.Role === "leader") found.push([id, status.Term]);
    }
    return found;
  }

  private childOf(id: number) {
    return this.peers.get(id)?.child ?? this.processes.get(id)?.child;
  }

  private peerEnded(peer: PeerNode, end: PeerEnd): void {
    // This test ended it, and has taken it out before.
    if (this.peers.get(peer.id) !== peer) return;
    if (end.rule.startsWith(lateRule)) this.lateEnds++;
    else this.badEnds.push(`C++ node ${peer.id}: ${JSON.stringify(end)}`);
  }
}
