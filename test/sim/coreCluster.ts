import type { OutgoingRequest } from "../../raft/core/index.js";
import { CoreNode, type World } from "./coreNode.js";
import { calm, drawTuning, type CoreTuning } from "./coreTuning.js";
import { Invariants } from "./invariants.js";
import { Nemesis } from "./nemesis.js";
import { SimNetwork } from "./network.js";
import { Prng } from "./prng.js";
import { SimRpc } from "./simRpc.js";
import { Trace } from "./trace.js";
import { VirtualClock } from "./virtualClock.js";
import { Workload } from "./workload.js";

/** Failed attempts at anything that a healed cluster may need until it is well. */
const recoveryRoundsMax = 60;
/** One round trip and one sync for each entry, under the tightest of windows. */
const recoveryMsPerEntry = 10;
/** Events that one run may take; a run that takes more goes round in circles. */
const eventsMax = 3_000_000;

export interface CoreRunResult {
  readonly seed: number;
  /** Equal for equal runs. */
  readonly traceHash: string;
  readonly events: number;
  readonly committed: number;
  readonly readsConfirmed: number;
  readonly simulatedMs: number;
  /** The highest term that any node reached. */
  readonly terms: number;
}

/** One run failed; `message` holds the seed, how to replay it, and the newest events. */
export class SimulationFailure extends Error {
  override readonly name = "SimulationFailure";
}

export interface CoreClusterOptions {
  /** Instead of what the seed draws. */
  readonly tuning?: Partial<CoreTuning>;
  /** Writes every event to stderr. */
  readonly printTrace?: boolean;
  /** Told of every request of a core's that leaves. */
  readonly onRequest?: (out: OutgoingRequest) => void;
}

/** A cluster of cores under the conditions that `seed` draws. */
export class CoreCluster {
  readonly seed: number;
  readonly tuning: CoreTuning;
  readonly nodes: readonly CoreNode[];
  readonly clock = new VirtualClock();
  readonly network: SimNetwork;
  readonly trace: Trace;
  readonly invariants = new Invariants();
  private readonly rpc: SimRpc;
  private readonly nemesis: Nemesis;
  private readonly workload: Workload;
  private events = 0;

  constructor(seed: number, options: CoreClusterOptions = {}) {
    const prng = new Prng(seed);
    const tuning = { ...drawTuning(prng.fork()), ...options.tuning };
    const { clusterSize } = tuning;
    this.seed = seed;
    this.tuning = tuning;
    this.trace = new Trace(options.printTrace);
    this.network = new SimNetwork(this.clock, prng.fork(), clusterSize, tuning.network);
    this.rpc = new SimRpc(this.clock, this.network, prng.fork(), tuning.rpc);
    const { clock, rpc, trace, invariants } = this;
    const node = (id: number): CoreNode => this.nodes[id]!;
    const onRequest = options.onRequest ?? ((): void => {});
    const world: World = { clock, rpc, trace, invariants, tuning, node, onRequest };
    this.nodes = Array.from(
      { length: clusterSize },
      (_, id) => new CoreNode(id, world, prng.fork()),
    );
    this.nemesis = new Nemesis(world, this.nodes, this.network, prng.fork());
    this.workload = new Workload(world, this.nodes, prng.fork());
    this.invariants.watch(this.nodes);
  }

  start(): void {
    for (const node of this.nodes) node.start();
  }

  /** For scenarios: runs until `isDone`, for `ms` at most; returns whether it was. */
  runFor(ms: number, isDone: () => boolean = () => false): boolean {
    return this.runUntil(this.clock.now + ms, isDone);
  }

  /** The node that leads the highest term, or undefined. */
  get leader(): CoreNode | undefined {
    const leaders = this.nodes.filter(({ core }) => core?.role === "leader");
    return leaders.sort((a, b) => b.core!.term - a.core!.term)[0];
  }

  /** A client proposes one batch at `node`; returns the index of its last command, or 0. */
  propose(node: CoreNode): number {
    return this.workload.propose(node);
  }

  /**
   * Faults and load for a while; then calm, in which the cluster must recover.
   * @throws SimulationFailure
   */
  run(): CoreRunResult {
    try {
      this.start();
      this.nemesis.start();
      this.workload.start();
      this.runFor(this.tuning.runMs);
      this.invariants.checkAll();
      this.calmDown();
      this.mustRecover();
      this.invariants.checkAll();
    } catch (error) {
      throw this.failure(error as Error);
    }
    return this.result();
  }

  private calmDown(): void {
    this.nemesis.stop();
    this.workload.stop();
    this.network.heal();
    this.network.tuning = calm.network;
    this.rpc.tuning = { ...this.rpc.tuning, repeatsReplies: false };
    for (const node of this.nodes) {
      node.disk.tuning = calm.disk;
      node.resume();
      node.start();
    }
  }

  /**
   * Liveness: a leader comes, new commands commit, every node applies all there is, and no read
   * was forgotten.
   */
  private mustRecover(): void {
    const deadline = this.clock.now + this.recoveryMs;
    let proposed = 0;
    const isDone = (): boolean => {
      const { leader } = this;
      if (leader === undefined) return false;
      // What the log holds must be committed by itself, not in the wake of something new.
      const { lastIndex, commitIndex: committed } = leader.core!.log;
      if ((proposed === 0 || proposed > lastIndex) && committed === lastIndex)
        proposed = this.propose(leader);
      const { commitIndex } = this.invariants;
      const everywhere = this.nodes.every(
        ({ machine, readsPending }) => machine.index === commitIndex && readsPending === 0,
      );
      return proposed !== 0 && commitIndex >= proposed && everywhere;
    };
    if (!this.runUntil(deadline, isDone)) throw new Error(`no recovery: ${this.describe()}`);
  }

  /** Elections, calls that must time out, and all that a follower may have to be sent. */
  private get recoveryMs(): number {
    const { node, rpc, faults } = this.tuning;
    const round = Math.max(node.electionTimeoutMsMax, rpc.timeoutMs, faults.durationMsMax);
    const longest = Math.max(...this.nodes.map(({ core }) => core?.log.lastIndex ?? 0));
    return recoveryRoundsMax * round + recoveryMsPerEntry * longest;
  }

  /** @returns whether `isDone` became true by `deadline`. */
  private runUntil(deadline: number, isDone: () => boolean): boolean {
    while (!isDone()) {
      if (!this.clock.step(deadline)) return isDone();
      if (++this.events > eventsMax) throw new Error(`more than ${eventsMax} events`);
    }
    return true;
  }

  private describe(): string {
    const { commitIndex } = this.invariants;
    const nodes = this.nodes.map(({ id, core, machine, readsPending }) => {
      const followers = core?.followers().map((f) => `${f.id}:${f.state}:${f.matchIndex}`) ?? [];
      return `${id} ${core?.role} of ${core?.term} applied ${machine.index}, ${readsPending} reads (${followers.join(" ")})`;
    });
    return `committed ${commitIndex}; ${nodes.join("; ")}`;
  }

  private result(): CoreRunResult {
    return {
      seed: this.seed,
      traceHash: this.trace.hash,
      events: this.events,
      committed: this.invariants.commitIndex,
      readsConfirmed: this.nodes.reduce((sum, node) => sum + node.readsConfirmed, 0),
      simulatedMs: Math.round(this.clock.now),
      terms: Math.max(...this.nodes.map(({ durable }) => durable.hardState.term)),
    };
  }

  private failure(cause: Error): SimulationFailure {
    const message = [
      `seed ${this.seed}, event ${this.events}, ${this.clock.now.toFixed(3)} ms: ${cause.message}`,
      `replay, every event printed: npm run sim -- --core --seed ${this.seed} --trace`,
      `conditions: ${JSON.stringify(this.tuning)}`,
      `newest events:\n${this.trace.tail()}`,
    ].join("\n");
    return new SimulationFailure(message, { cause });
  }
}
