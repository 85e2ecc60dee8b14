import { Clerk } from "mprpc-raft/clerk";
import { Cluster } from "../../test/process/cluster.js";
import type { Caller, Counters, Processes, Target } from "./target.js";

/** This project's nodes, one process each, and its Clerk. */
export class MprpcCluster implements Target {
  readonly name = "mprpc-raft";
  private readonly size: number;
  private cluster: Cluster | null = null;
  private clerk: Clerk | null = null;

  constructor(size: number) {
    this.size = size;
  }

  async start(): Promise<void> {
    this.cluster = await Cluster.create(this.size);
    this.cluster.startAll();
    this.clerk = new Clerk(this.cluster.nodes);
    await this.clerk.put("warm", "up");
  }

  async connect(connections: number): Promise<Caller[]> {
    const { nodes } = this.cluster!;
    const callers = Array.from({ length: connections }, () => new Clerk(nodes));
    await Promise.all(callers.map((caller) => caller.put("warm", "up")));
    return callers;
  }

  async processes(): Promise<Processes> {
    const nodes = await this.clerk!.status();
    const ids = nodes.map(({ id }) => id);
    const leader = nodes.findIndex(({ status }) => status?.Role === "leader");
    const pid = (id: number): number => this.cluster!.processes.get(id)!.child.pid!;
    return { leader: pid(leader), followers: ids.filter((id) => id !== leader).map(pid) };
  }

  async counters(): Promise<Counters | null> {
    const nodes = await this.clerk!.status();
    const leader = nodes.find(({ status }) => status?.Role === "leader")?.status;
    if (leader === undefined || leader === null) return null;
    return { entries: leader.LastLogIndex, syncs: leader.LogSyncs };
  }

  async stop(): Promise<void> {
    await this.clerk?.close();
    await this.cluster?.destroy();
  }
}
