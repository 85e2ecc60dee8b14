import type { Prng } from "./prng.js";
import type { VirtualClock } from "./virtualClock.js";

/** How badly the network behaves. Chances are of one message on one way. */
export interface NetworkTuning {
  readonly delayMsMin: number;
  readonly delayMsMax: number;
  readonly lossChance: number;
  readonly duplicateChance: number;
  /** A message that is held up for up to `slowMsMax`: it overtakes nobody and many overtake it. */
  readonly slowChance: number;
  readonly slowMsMax: number;
  /** Messages of one direction arrive in the order in which they were sent, as over one socket. */
  readonly inOrder: boolean;
}

export const calmNetwork: NetworkTuning = {
  delayMsMin: 0.5,
  delayMsMax: 2,
  lossChance: 0,
  duplicateChance: 0,
  slowChance: 0,
  slowMsMax: 0,
  inOrder: true,
};

/**
 * Carries messages between numbered nodes. A message is the closure that delivers it: the network
 * knows neither what is in it nor whether it is a request or a reply.
 */
export class SimNetwork {
  tuning: NetworkTuning;
  private readonly clock: VirtualClock;
  private readonly prng: Prng;
  private readonly size: number;
  /** One way each: `from * size + to`. */
  private readonly blocked: boolean[];
  private readonly lastArrival: number[];

  constructor(clock: VirtualClock, prng: Prng, size: number, tuning: NetworkTuning) {
    this.clock = clock;
    this.prng = prng;
    this.size = size;
    this.tuning = tuning;
    this.blocked = Array.from({ length: size * size }, () => false);
    this.lastArrival = Array.from({ length: size * size }, () => 0);
  }

  /** Calls `deliver` later: once, more than once, or never. Returns how many copies are on their way. */
  send(from: number, to: number, deliver: () => void): number {
    if (this.prng.chance(this.tuning.lossChance)) return 0;
    this.carry(from, to, deliver);
    if (!this.prng.chance(this.tuning.duplicateChance)) return 1;
    this.carry(from, to, deliver);
    return 2;
  }

  block(from: number, to: number): void {
    this.blocked[from * this.size + to] = true;
  }

  isBlocked(from: number, to: number): boolean {
    return this.blocked[from * this.size + to] ?? false;
  }

  /** Nothing passes between `group` and the others, in either direction. */
  split(group: ReadonlySet<number>): void {
    for (let from = 0; from < this.size; from++)
      for (let to = 0; to < this.size; to++)
        if (group.has(from) !== group.has(to)) this.block(from, to);
  }

  /** A partial partition: the pairs of `nodes` that `isCut` picks do not reach each other. */
  cutLinks(nodes: number, isCut: () => boolean): void {
    for (let one = 0; one < nodes; one++)
      for (let other = 0; other < one; other++) {
        if (!isCut()) continue;
        this.block(one, other);
        this.block(other, one);
      }
  }

  heal(): void {
    this.blocked.fill(false);
  }

  /** A partition also swallows what was on its way when it began. */
  private carry(from: number, to: number, deliver: () => void): void {
    this.clock.after(this.delay(from, to), () => {
      if (!this.isBlocked(from, to)) deliver();
    });
  }

  private delay(from: number, to: number): number {
    const { delayMsMin, delayMsMax, slowChance, slowMsMax, inOrder } = this.tuning;
    let delay = this.prng.between(delayMsMin, delayMsMax);
    if (this.prng.chance(slowChance)) delay += this.prng.between(0, slowMsMax);
    if (!inOrder) return delay;
    const link = from * this.size + to;
    const arrival = Math.max(this.clock.now + delay, this.lastArrival[link]!);
    this.lastArrival[link] = arrival;
    return arrival - this.clock.now;
  }
}
