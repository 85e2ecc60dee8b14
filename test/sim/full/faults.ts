import type { NetworkTuning, SimNetwork } from "../network.js";
import type { Prng } from "../prng.js";
import type { Trace } from "../trace.js";
import type { VirtualClock } from "../virtualClock.js";
import type { SimServer } from "./simServer.js";

export const faultKinds = [
  "crash",
  "crash all",
  "crash leader",
  "crash in a write",
  "wipe",
  "wipe leader",
  "pause",
  "pause leader",
  "isolate",
  "isolate leader",
  "split",
  "one-way",
  "cut links",
  "storm",
  "stall disk",
  "slow disk",
  "fill disk",
  "low disk",
  "break disk",
  "clock leap",
  "clock drift",
  "transfer",
] as const;

export type FaultKind = (typeof faultKinds)[number];

export interface FaultTuning {
  readonly intervalMsMax: number;
  readonly durationMsMax: number;
  /** Between two faults at least: long enough, now and then, for a cluster to settle. */
  readonly stableMsMin: number;
  readonly kinds: readonly FaultKind[];
}

/** While a storm lasts. */
const storm: Partial<NetworkTuning> = {
  lossChance: 0.3,
  duplicateChance: 0.3,
  slowChance: 0.5,
  slowMsMax: 300,
  inOrder: false,
};

/** The last is long enough for sessions to expire. */
const leapsMs = [100, 3_000, 10_000_000];

/** How much longer than other faults a disk may be low at most. */
const lowDiskDurations = 4;

/** Disk operations until a crash in the midst of one, at most. */
const operationsToCrashMax = 20;

/** Begins faults at random moments, and ends each of them some time later. */
export class Faults {
  /** Begun so far, of each kind. */
  readonly counts: Partial<Record<FaultKind, number>> = {};
  private readonly clock: VirtualClock;
  private readonly trace: Trace;
  private readonly servers: readonly SimServer[];
  private readonly clientPlaces: readonly number[];
  private readonly network: SimNetwork;
  private readonly prng: Prng;
  private readonly tuning: FaultTuning;
  private readonly usual: NetworkTuning;
  private isStopped = false;

  constructor(
    world: { readonly clock: VirtualClock; readonly trace: Trace },
    servers: readonly SimServer[],
    clientPlaces: readonly number[],
    network: SimNetwork,
    prng: Prng,
    tuning: FaultTuning,
  ) {
    this.clock = world.clock;
    this.trace = world.trace;
    this.servers = servers;
    this.clientPlaces = clientPlaces;
    this.network = network;
    this.usual = network.tuning;
    this.prng = prng;
    this.tuning = tuning;
  }

  start(): void {
    const { stableMsMin, intervalMsMax, kinds } = this.tuning;
    this.clock.after(stableMsMin + this.prng.between(0, intervalMsMax), () => {
      if (this.isStopped) return;
      this.strikeOnce(this.prng.pick(kinds), this.prng.pick(this.servers));
      this.start();
    });
  }

  /** No more faults; those under way are mended by the caller. */
  stop(): void {
    this.isStopped = true;
  }

  /** How long what is down stays so. */
  duration(): number {
    return this.prng.between(0, this.tuning.durationMsMax);
  }

  private strikeOnce(kind: FaultKind, server: SimServer): void {
    const leader = this.servers.find(({ core }) => core?.role === "leader") ?? server;
    if (kind === "wipe" && !this.mayLose(server)) return;
    if (kind === "wipe leader" && !this.mayLose(leader)) return;
    this.counts[kind] = (this.counts[kind] ?? 0) + 1;
    this.strike(kind, server, leader);
  }

  /** Without this server's data a majority still has its own, which keeps all that is committed. */
  private mayLose(server: SimServer): boolean {
    const lost = this.servers.filter((each) => each === server || each.isJoining);
    return lost.length * 2 < this.servers.length;
  }

  private strike(kind: FaultKind, server: SimServer, leader: SimServer): void {
    this.trace.add(this.clock.now, "fault", kind, server.id, leader.id);
    switch (kind) {
      case "crash":
        return server.crash();
      case "crash all":
        return this.servers.forEach((each) => each.crash());
      case "crash leader":
        return leader.crash();
      case "crash in a write":
        return server.crashAtOperation(this.prng.int(1, operationsToCrashMax));
      case "wipe":
        return server.wipe();
      case "wipe leader":
        return leader.wipe();
      case "pause":
        return this.pause(server);
      case "pause leader":
        return this.pause(leader);
      case "isolate":
        return this.partition(new Set([server.id]));
      case "isolate leader":
        return this.partition(new Set([leader.id]));
      case "split":
        return this.partition(this.someServers());
      case "one-way":
        return this.blockOneWay();
      case "cut links":
        return this.cutLinks();
      case "storm":
        return this.storm();
      case "stall disk":
        return server.diskFaults.stall(this.duration());
      case "slow disk":
        return server.diskFaults.slowDown(this.duration());
      case "fill disk":
        return server.diskFaults.fill(this.duration());
      case "low disk":
        return server.diskFaults.runLow(this.lowDuration());
      case "break disk":
        return server.diskFaults.break(this.duration());
      case "clock leap":
        return server.clock.leap(this.prng.pick(leapsMs));
      case "clock drift":
        return server.drift();
      case "transfer":
        return leader.transfer(this.prng.int(-1, this.servers.length - 1));
    }
  }

  /** Long enough to be noticed, now and then. */
  private lowDuration(): number {
    return this.prng.int(1, lowDiskDurations) * this.tuning.durationMsMax;
  }

  private pause(server: SimServer): void {
    server.pause();
    this.later(() => server.resume());
  }

  /** Some clients stay with `group`: who else would see what an old leader answers? */
  private partition(group: ReadonlySet<number>): void {
    const clients = this.clientPlaces.filter(() => this.prng.chance(0.5));
    this.network.split(new Set([...group, ...clients]));
    this.later(() => this.network.heal());
  }

  private blockOneWay(): void {
    for (const from of this.someServers())
      for (const to of this.someServers()) this.network.block(from, to);
    this.later(() => this.network.heal());
  }

  private cutLinks(): void {
    this.network.cutLinks(this.servers.length, () => this.prng.chance(0.5));
    this.later(() => this.network.heal());
  }

  private storm(): void {
    this.network.tuning = { ...this.usual, ...storm };
    this.later(() => {
      this.network.tuning = this.usual;
    });
  }

  private someServers(): Set<number> {
    return new Set(this.servers.map(({ id }) => id).filter(() => this.prng.chance(0.5)));
  }

  private later(end: () => void): void {
    this.clock.after(this.duration(), () => {
      if (!this.isStopped) end();
    });
  }
}
