import type { CoreNode, World } from "./coreNode.js";
import type { FaultKind } from "./coreTuning.js";
import type { SimNetwork } from "./network.js";
import type { Prng } from "./prng.js";

/** Begins faults at random moments, and ends each of them some time later. */
export class Nemesis {
  private readonly world: World;
  private readonly nodes: readonly CoreNode[];
  private readonly network: SimNetwork;
  private readonly prng: Prng;
  private isStopped = false;

  constructor(world: World, nodes: readonly CoreNode[], network: SimNetwork, prng: Prng) {
    this.world = world;
    this.nodes = nodes;
    this.network = network;
    this.prng = prng;
  }

  start(): void {
    const { intervalMsMax, kinds } = this.world.tuning.faults;
    this.world.clock.after(this.prng.between(0, intervalMsMax), () => {
      if (this.isStopped) return;
      this.strike(this.prng.pick(kinds));
      this.start();
    });
  }

  /** No more faults; those under way are mended by the caller. */
  stop(): void {
    this.isStopped = true;
  }

  private strike(kind: FaultKind): void {
    const node = this.prng.pick(this.nodes);
    const leader = this.nodes.find(({ core }) => core?.role === "leader") ?? node;
    this.world.trace.add(this.world.clock.now, "fault", kind, node.id, leader.id);
    switch (kind) {
      case "crash":
        return this.crash([node]);
      case "crash all":
        return this.crash(this.nodes);
      case "crash leader":
        return this.crash([leader]);
      case "pause":
        return this.pause(node);
      case "pause leader":
        return this.pause(leader);
      case "isolate":
        return this.partition(new Set([node.id]));
      case "isolate leader":
        return this.partition(new Set([leader.id]));
      case "split":
        return this.partition(this.someNodes());
      case "one-way":
        return this.blockOneWay();
      case "cut links":
        return this.cutLinks();
      case "clock leap":
        return node.clock.leap(this.duration());
      case "clock drift":
        return node.drift();
      case "stall disk":
        return node.disk.stallFor(this.duration());
      case "transfer":
        return leader.transfer(this.prng.int(-1, this.nodes.length - 1));
    }
  }

  private crash(nodes: readonly CoreNode[]): void {
    for (const node of nodes) {
      node.crash();
      this.later(() => node.start());
    }
  }

  private pause(node: CoreNode): void {
    node.pause();
    this.later(() => node.resume());
  }

  private cutLinks(): void {
    this.network.cutLinks(this.nodes.length, () => this.prng.chance(0.5));
    this.later(() => this.network.heal());
  }

  private partition(group: ReadonlySet<number>): void {
    this.network.split(group);
    this.later(() => this.network.heal());
  }

  private blockOneWay(): void {
    for (const from of this.someNodes())
      for (const to of this.someNodes()) this.network.block(from, to);
    this.later(() => this.network.heal());
  }

  private someNodes(): Set<number> {
    return new Set(this.nodes.map(({ id }) => id).filter(() => this.prng.chance(0.5)));
  }

  private later(end: () => void): void {
    this.world.clock.after(this.duration(), () => {
      if (!this.isStopped) end();
    });
  }

  private duration(): number {
    return this.prng.between(0, this.world.tuning.faults.durationMsMax);
  }
}
