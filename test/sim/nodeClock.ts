import type { VirtualClock } from "./virtualClock.js";

/** What a node takes for the time: it may run fast or slow, change its pace, and leap ahead. */
export class NodeClock {
  private readonly clock: VirtualClock;
  private rate: number;
  /** What it showed when the rate last changed, and when that was. */
  private shown: number;
  private since: number;

  constructor(clock: VirtualClock, start: number, rate: number) {
    this.clock = clock;
    this.rate = rate;
    this.shown = start;
    this.since = clock.now;
  }

  get now(): number {
    return this.shown + (this.clock.now - this.since) * this.rate;
  }

  /** How long `ms` of this clock take, if its pace stays. */
  lasts(ms: number): number {
    return ms / this.rate;
  }

  runAt(rate: number): void {
    this.shown = this.now;
    this.since = this.clock.now;
    this.rate = rate;
  }

  /** Forward, as after a suspended machine: it is the clock that never goes back. */
  leap(ms: number): void {
    this.shown += Math.max(0, ms);
  }
}
