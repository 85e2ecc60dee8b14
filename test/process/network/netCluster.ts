import { execFileSync, spawn } from "node:child_process";
import { readlinkSync } from "node:fs";
import { networkInterfaces } from "node:os";
import { eventually } from "../../eventually.js";
import { Cluster, temporaryFolder, type NodeProcess } from "../cluster.js";

/**
 * A cluster whose nodes are on machines of their own, as far as the network goes: each in a network
 * namespace, all behind one bridge in the namespace of this process, which must not be the machine's
 * (`unshare --net`). What is cut off here is cut off without a FIN or a reset.
 *
 *     this process ── br0 10.99.0.1 ──┬── veth0 ── eth0 10.99.0.10   node 0
 *                                     ├── veth1 ── eth0 10.99.0.11   node 1
 */

const bridge = "br0";
const hereAddress = "10.99.0.1";
/** Belongs to nobody. */
const nowhere = "02:00:00:00:ff:ff";
const port = 29016;

function addressOf(id: number): string {
  return `10.99.0.${10 + id}`;
}

function macOf(id: number): string {
  return `02:00:00:00:00:${(16 + id).toString(16)}`;
}

function ip(...args: string[]): void {
  execFileSync("ip", args, { stdio: ["ignore", "pipe", "pipe"] });
}

function networkOf(pid: number | "self"): string {
  return readlinkSync(`/proc/${pid}/ns/net`);
}

/** Waits for the address before the node begins. */
const untilConnected =
  "until ip -4 -o addr show dev eth0 2>/dev/null | grep -q inet; do sleep 0.01; done";

export class NetCluster extends Cluster {
  /** Pairs of nodes of which the first can't reach the second. */
  private readonly cuts = new Map<string, [number, number]>();
  private readonly isolated = new Set<number>();

  static override async create(size: number, options: readonly string[] = []): Promise<NetCluster> {
    const others = Object.values(networkInterfaces()).flat();
    if (others.some((one) => !one!.internal)) throw new Error("run this under: unshare --net");
    ip("link", "set", "lo", "up");
    ip("link", "add", bridge, "type", "bridge");
    ip("addr", "add", `${hereAddress}/24`, "dev", bridge);
    ip("link", "set", bridge, "up");
    const nodes = Array.from({ length: size }, (_, id) => ({ host: addressOf(id), port }));
    const cluster = new NetCluster(await temporaryFolder(), nodes);
    await cluster.writeNodeList(options);
    return cluster;
  }

  /** Also puts the network back where it was: a machine that starts again keeps its cable. */
  async boot(id: number): Promise<NodeProcess> {
    const node = this.start(id, [], untilConnected, ["unshare", "--net"]);
    const pid = node.child.pid!;
    await eventually("a namespace", async () => networkOf(pid) !== networkOf("self"));
    ip("link", "add", `veth${id}`, "type", "veth", "peer", "name", "eth0", "netns", `${pid}`);
    ip("link", "set", `veth${id}`, "up");
    this.inside(id, "link", "set", "lo", "up");
    this.inside(id, "link", "set", "eth0", "address", macOf(id));
    this.inside(id, "link", "set", "eth0", "up");
    if (!this.isolated.has(id)) ip("link", "set", `veth${id}`, "master", bridge);
    for (const [from, to] of this.cuts.values()) if (from === id) this.lose(from, to);
    this.inside(id, "addr", "add", `${addressOf(id)}/24`, "dev", "eth0");
    return node;
  }

  async bootAll(): Promise<void> {
    await Promise.all(this.nodes.map((_, id) => this.boot(id)));
  }

  /** The kernel takes the cable away with the namespace, a little after the process. */
  override async stop(id: number, signal: NodeJS.Signals): Promise<void> {
    await super.stop(id, signal);
    try {
      ip("link", "del", `veth${id}`);
    } catch {
      // It is gone.
    }
  }

  /** Nobody reaches it, and it reaches nobody. */
  isolate(id: number): void {
    this.isolated.add(id);
    if (this.processes.has(id)) ip("link", "set", `veth${id}`, "nomaster");
  }

  /** What `from` sends to `to` is lost. */
  cut(from: number, to: number): void {
    this.cuts.set(`${from}>${to}`, [from, to]);
    if (this.processes.has(from)) this.lose(from, to);
  }

  /** Every cable is where it was. */
  heal(): void {
    for (const id of this.isolated)
      if (this.processes.has(id)) ip("link", "set", `veth${id}`, "master", bridge);
    this.isolated.clear();
    for (const [from, to] of this.cuts.values()) if (this.processes.has(from)) this.find(from, to);
    this.cuts.clear();
  }

  /** Whether a TCP connection from one node's machine to another node's comes about. */
  async reaches(from: number, to: number): Promise<boolean> {
    const { pid } = this.processes.get(from)!.child;
    const connect = `exec 3<>/dev/tcp/${addressOf(to)}/${port}`;
    const enter = ["--net", "--target", `${pid}`, "timeout", "2", "bash", "-c", connect];
    const child = spawn("nsenter", enter, { stdio: "ignore" });
    return (await new Promise((resolve) => child.once("exit", resolve))) === 0;
  }

  override async destroy(): Promise<void> {
    await super.destroy();
    ip("link", "del", bridge);
  }

  private lose(from: number, to: number): void {
    this.neighbour(from, to, nowhere);
  }

  private find(from: number, to: number): void {
    this.neighbour(from, to, macOf(to));
  }

  private neighbour(from: number, to: number, mac: string): void {
    this.inside(from, "neigh", "replace", addressOf(to), "lladdr", mac, "dev", "eth0");
  }

  private inside(id: number, ...args: string[]): void {
    const { pid } = this.processes.get(id)!.child;
    execFileSync("nsenter", ["--net", "--target", `${pid}`, "ip", ...args], {
      stdio: ["ignore", "pipe", "pipe"],
    });
  }
}
