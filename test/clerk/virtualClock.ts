import { randomBytes } from "node:crypto";
import type { ClerkEnvironment } from "../../clerk/environment.js";

interface Timer {
  readonly at: number;
  readonly order: number;
  readonly task: () => void;
}

/** Time that passes only when a test says so, and seeded randomness. */
export class VirtualClock implements ClerkEnvironment {
  private time = 0;
  private order = 0;
  private timers = new Set<Timer>();
  private state: number;

  constructor(seed = 1) {
    this.state = seed >>> 0;
  }

  now(): number {
    return this.time;
  }

  /** mulberry32. */
  random(): number {
    this.state = (this.state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(this.state ^ (this.state >>> 15), this.state | 1);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }

  /** Not seeded: clients of different clocks are different clients. */
  readonly randomBytes = randomBytes;

  setTimer(ms: number, task: () => void): () => void {
    const timer = { at: this.time + ms, order: this.order++, task };
    this.timers.add(timer);
    return () => this.timers.delete(timer);
  }

  get timerCount(): number {
    return this.timers.size;
  }

  /** Lets `ms` pass, with everything that is due in them, and what follows from it. */
  async advance(ms: number): Promise<void> {
    const end = this.time + ms;
    await settled();
    for (let timer = this.nextUntil(end); timer !== undefined; timer = this.nextUntil(end)) {
      this.timers.delete(timer);
      this.time = Math.max(this.time, timer.at);
      timer.task();
      await settled();
    }
    this.time = end;
  }

  private nextUntil(end: number): Timer | undefined {
    let next: Timer | undefined;
    for (const timer of this.timers) {
      if (timer.at > end) continue;
      const earlier = next === undefined || timer.at < next.at;
      if (earlier || (timer.at === next?.at && timer.order < next.order)) next = timer;
    }
    return next;
  }
}

/** All promise reactions that are due have run. */
export function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
