import { CoreCluster } from "../../coreCluster.js";
import type { CoreNode } from "../../coreNode.js";
import { calm } from "../../coreTuning.js";
import { Prng } from "../../prng.js";
import { steadyTuning } from "../../steadyTuning.js";
import { lateNetwork, unreliableNetwork } from "../networks.js";
import { RequestMeter } from "./requestMeter.js";

/** Within which a cluster whose majority is connected has a leader. */
export const electionMs = 1_000;
/** How long a proposal may take before it is made anew. */
const agreementMs = 2_000;
/** Within which a command must be agreed on, whatever had to be elected for it. */
const agreementMsMax = 10_000;
/** Between two attempts to propose one command. */
const retryMs = 50;
/** Between two looks for a leader. */
const lookMs = 100;

export interface RaftLabOptions {
  readonly unreliable?: boolean;
  /** Entries between two snapshots; without it there are none. */
  readonly snapshotEntries?: number;
  /** Of one request. */
  readonly appendEntriesMax?: number;
  /** Requests that may be unanswered at one follower. */
  readonly inflightMax?: number;
}

interface Wish {
  readonly command: Uint8Array;
  index: number;
  proposedAt: number;
  isAgreed: boolean;
}

/**
 * What the scenarios of the course's Raft lab are told in: servers that are connected and
 * disconnected, crashed and started, proposals at any of them, and agreement. Everything runs in
 * virtual time, under all of `Invariants`.
 */
export class RaftLab {
  readonly cluster: CoreCluster;
  readonly prng: Prng;
  readonly meter = new RequestMeter();
  private readonly connected: Set<number>;
  private commands = 0;

  constructor(size: number, seed: number, options: RaftLabOptions = {}) {
    const { unreliable = false, ...limits } = options;
    this.prng = new Prng(seed);
    this.connected = new Set(Array.from({ length: size }, (_, id) => id));
    this.cluster = new CoreCluster(seed, {
      onRequest: (out) => this.meter.add(out),
      tuning: {
        ...steadyTuning,
        clusterSize: size,
        node: { ...steadyTuning.node, snapshotEntries: Infinity, trailingEntries: 0, ...limits },
        network: unreliable ? unreliableNetwork : calm.network,
        rpc: { ...steadyTuning.rpc, repeatsReplies: unreliable },
      },
    });
    this.cluster.start();
  }

  get nodes(): readonly CoreNode[] {
    return this.cluster.nodes;
  }

  /** `offset` places after `node`, around the circle. */
  after(node: CoreNode, offset: number): CoreNode {
    return this.nodes[(node.id + offset) % this.nodes.length]!;
  }

  // --- the network

  disconnect(...nodes: readonly CoreNode[]): void {
    for (const { id } of nodes) this.connected.delete(id);
    this.block();
  }

  connect(...nodes: readonly CoreNode[]): void {
    for (const { id } of nodes) this.connected.add(id);
    this.block();
  }

  isConnected({ id }: CoreNode): boolean {
    return this.connected.has(id);
  }

  /** From now on; "late": besides, two of three messages are held up for up to 2.4 s. */
  setNetwork(kind: "reliable" | "unreliable" | "late"): void {
    const all = { reliable: calm.network, unreliable: unreliableNetwork, late: lateNetwork };
    this.cluster.network.tuning = all[kind];
  }

  private block(): void {
    const { network } = this.cluster;
    network.heal();
    for (const from of this.nodes)
      for (const to of this.nodes)
        if (from !== to && !(this.isConnected(from) && this.isConnected(to)))
          network.block(from.id, to.id);
  }

  // --- servers and time

  crash(...nodes: readonly CoreNode[]): void {
    for (const node of nodes) node.crash();
  }

  start(...nodes: readonly CoreNode[]): void {
    for (const node of nodes) node.start();
  }

  sleep(ms: number): void {
    this.cluster.runFor(ms);
  }

  until(what: string, isDone: () => boolean, withinMs = agreementMsMax): void {
    if (!this.cluster.runFor(withinMs, isDone))
      throw new Error(`not within ${withinMs} ms: ${what}`);
  }

  // --- leaders

  /** The one leader among the connected; comes within a few election timeouts. */
  oneLeader(): CoreNode {
    let leader: CoreNode | undefined;
    const deadline = this.cluster.clock.now + 5 * electionMs;
    while (leader === undefined && this.cluster.clock.now < deadline) {
      this.sleep(lookMs);
      leader = this.newestLeader();
    }
    if (leader === undefined) throw new Error("no leader");
    return leader;
  }

  /** Throws when a connected node believes that it leads. */
  noLeader(): void {
    const leader = this.newestLeader();
    if (leader !== undefined) throw new Error(`node ${leader.id} leads without a majority`);
  }

  /** The term that all connected nodes are in. */
  oneTerm(): number {
    const terms = new Set(this.reachable().map(({ core }) => core!.term));
    const [term] = terms;
    if (terms.size !== 1 || term === undefined) throw new Error(`terms ${[...terms].join(" ")}`);
    return term;
  }

  /** Up and connected. */
  reachable(): CoreNode[] {
    return this.nodes.filter((node) => node.core !== null && this.isConnected(node));
  }

  private newestLeader(): CoreNode | undefined {
    const leaders = this.reachable().filter(({ core }) => core!.role === "leader");
    return leaders.sort((a, b) => b.core!.term - a.core!.term)[0];
  }

  // --- commands

  /** A command unlike all others. */
  command(bytes = 8): Uint8Array {
    const command = new Uint8Array(bytes);
    new DataView(command.buffer).setUint32(0, ++this.commands);
    return command;
  }

  /** Proposes at `node`, whatever it is; returns the index, or 0 where it is refused. */
  propose(node: CoreNode, command = this.command()): number {
    const result = node.propose([command]);
    if (result?.outcome !== "accepted") return 0;
    this.cluster.invariants.proposalAccepted(result.lastIndex, result.term, command);
    return result.lastIndex;
  }

  proposeMany(node: CoreNode, count: number): void {
    for (let done = 0; done < count; done++) this.propose(node);
  }

  /** How many servers have applied the entry at `index`; `Invariants` sees that it is one. */
  appliedBy(index: number): number {
    return this.nodes.filter(({ core, machine }) => core !== null && machine.index >= index).length;
  }

  /** Whether `command` is what was committed at `index`. */
  isAt(index: number, command: Uint8Array): boolean {
    const entry = this.cluster.invariants.committedEntry(index);
    return entry !== undefined && Buffer.compare(entry.command, command) === 0;
  }

  /**
   * Has a command of its own agreed on and applied by `servers` of them; returns its index.
   * @param kind "once": the first leader that is found must bring it through.
   */
  one(servers: number, kind: "once" | "retry" = "retry", bytes?: number): number {
    return this.all([this.command(bytes)], servers, kind)[0]!;
  }

  /** The same for several at a time; returns their indexes. */
  all(
    commands: readonly Uint8Array[],
    servers: number,
    kind: "once" | "retry" = "retry",
  ): number[] {
    const wishes = commands.map((command): Wish => ({
      command,
      index: 0,
      proposedAt: -Infinity,
      isAgreed: false,
    }));
    this.until(`agreement of ${servers} on ${commands.length}`, () => {
      for (const wish of wishes) if (!wish.isAgreed) this.pursue(wish, servers, kind);
      return wishes.every(({ isAgreed }) => isAgreed);
    });
    return wishes.map(({ index }) => index);
  }

  private pursue(wish: Wish, servers: number, kind: "once" | "retry"): void {
    const { now } = this.cluster.clock;
    if (wish.index === 0) {
      const leader = this.newestLeader();
      if (leader === undefined || now - wish.proposedAt < retryMs) return;
      wish.index = this.propose(leader, wish.command);
      wish.proposedAt = now;
    } else if (this.appliedBy(wish.index) >= servers && this.isAt(wish.index, wish.command)) {
      wish.isAgreed = true;
    } else if (now - wish.proposedAt >= agreementMs || this.isLost(wish)) {
      if (kind === "once") throw new Error(`no agreement on ${wish.index} at the first attempt`);
      wish.index = 0;
    }
  }

  /** Something else was committed in its place. */
  private isLost({ index, command }: Wish): boolean {
    return this.cluster.invariants.commitIndex >= index && !this.isAt(index, command);
  }
}
