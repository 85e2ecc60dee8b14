import { Clerk, type ServerStatus } from "mprpc-raft/clerk";
import { Cluster } from "../../test/process/cluster.js";
import { eventually, revivalMsMax, revivalPollMs } from "./processes.js";
import type { Caller, Counters, Processes, Target } from "./target.js";

/** For a node that stands still; the others answer at once. */
const statusTimeoutMs = 1_000;

/** This project's nodes, one process each, and its Clerk. */
export class MprpcCluster implements Target {
  readonly name = "mprpc-raft";
  private readonly size: number;
  private readonly options: readonly string[];
  private cluster: Cluster | null = null;
  private clerk: Clerk | null = null;
  private killed: readonly number[] = [];
  /** When the nodes were killed. */
  private committed = 0;

  /** @param options extra lines of the node list. */
  constructor(size: number, options: readonly string[] = []) {
    this.size = size;
    this.options = options;
  }

  async start(): Promise<void> {
    this.cluster = await Cluster.create(this.size, this.options);
    this.cluster.startAll();
    this.clerk = new Clerk(this.cluster.nodes);
    await this.clerk.put("warm", "up");
  }

  async connect(connections: number): Promise<Caller[]> {
    const nodes = await this.clerk!.status();
    const leader = nodes.findIndex(({ status }) => status?.Role === "leader");
    const { [leader]: node } = this.cluster!.nodes;
    if (node === undefined) throw new Error("no node leads");
    const callers = Array.from({ length: connections }, () => new Clerk([node]));
    await Promise.all(callers.map((caller) => caller.put("warm", "up")));
    return callers;
  }

  async processes(): Promise<Processes> {
    const nodes = await this.clerk!.status({ timeoutMs: statusTimeoutMs });
    const ids = nodes.map(({ id }) => id);
    const leader = nodes.findIndex(({ status }) => status?.Role === "leader");
    const pid = (id: number): number => this.pidOf(id);
    return { leader: pid(leader), followers: ids.filter((id) => id !== leader).map(pid) };
  }

  pidOf(id: number): number {
    return this.cluster!.processes.get(id)!.child.pid!;
  }

  async counters(): Promise<Counters | null> {
    const leader = await this.leaderStatus();
    return leader === null ? null : { entries: leader.LastLogIndex, syncs: leader.LogSyncs };
  }

  /** Null while none is known to lead. */
  async leaderStatus(): Promise<ServerStatus | null> {
    const nodes = await this.clerk!.status({ timeoutMs: statusTimeoutMs });
    return nodes.find(({ status }) => status?.Role === "leader")?.status ?? null;
  }

  async kill(which: "one" | "all"): Promise<void> {
    const nodes = await this.clerk!.status();
    const leader = nodes.find(({ status }) => status?.Role === "leader");
    this.committed = leader?.status?.CommitIndex ?? 0;
    const ids = nodes.map(({ id }) => id);
    this.killed =
      which === "all"
        ? ids
        : (this.size === 1 ? ids : ids.filter((id) => id !== leader?.id)).slice(0, 1);
    await Promise.all(this.killed.map((id) => this.cluster!.stop(id, "SIGKILL")));
  }

  async revive(): Promise<void> {
    for (const id of this.killed) this.cluster!.start(id);
    await Promise.all(
      this.killed.map((id) => eventually(() => this.caughtUp(id), revivalMsMax, revivalPollMs)),
    );
    await this.clerk!.get("any");
    this.killed = [];
  }

  private async caughtUp(node: number): Promise<void> {
    const [one] = await this.clerk!.status({ node, timeoutMs: 1_000 });
    if ((one?.status?.LastApplied ?? 0) < this.committed) throw new Error("it has not caught up");
  }

  async stop(): Promise<void> {
    await this.clerk?.close();
    await this.cluster?.destroy();
  }
}
