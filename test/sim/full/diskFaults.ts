import type { Operation } from "../../raft/persister/memoryDisk.js";
import type { Prng } from "../prng.js";
import type { VirtualClock } from "../virtualClock.js";
import type { DiskTuning } from "./fullTuning.js";

/** How much longer a slow disk takes for a sync. */
const slowFactor = 20;

/** What is wrong with one disk at the moment, beside what is always a little wrong with it. */
export class DiskFaults {
  tuning: DiskTuning;
  private readonly clock: VirtualClock;
  private readonly prng: Prng;
  private stalledUntil = 0;
  private slowUntil = 0;
  private fullUntil = 0;
  private lowUntil = 0;
  private brokenUntil = 0;

  constructor(clock: VirtualClock, prng: Prng, tuning: DiskTuning) {
    this.clock = clock;
    this.prng = prng;
    this.tuning = tuning;
  }

  /** No sync ends in the next `ms`. */
  stall(ms: number): void {
    this.stalledUntil = this.clock.now + ms;
  }

  slowDown(ms: number): void {
    this.slowUntil = this.clock.now + ms;
  }

  /** Every write fails for want of room. */
  fill(ms: number): void {
    this.fullUntil = this.clock.now + ms;
  }

  /** The file system says that nothing is left, though all writes succeed. */
  runLow(ms: number): void {
    this.lowUntil = this.clock.now + ms;
  }

  /** Every read, write and sync fails. */
  break(ms: number): void {
    this.brokenUntil = this.clock.now + ms;
  }

  mend(tuning: DiskTuning): void {
    this.tuning = tuning;
    this.stalledUntil = this.slowUntil = this.fullUntil = this.lowUntil = this.brokenUntil = 0;
  }

  freeBytes(): number {
    return this.clock.now < this.lowUntil ? 0 : Infinity;
  }

  /** The error with which `operation` fails, or null. */
  errorOf(operation: Operation): string | null {
    const { now } = this.clock;
    if (operation === "write" && now < this.fullUntil) return "ENOSPC";
    const isTransfer = operation === "write" || operation === "sync" || operation === "read";
    if (isTransfer && now < this.brokenUntil) return "EIO";
    if (operation !== "write" && operation !== "sync") return null;
    return this.prng.chance(this.tuning.failureChance) ? "EIO" : null;
  }

  /** Whether a batch is written and synced in one go. */
  isQuick(): boolean {
    const { now } = this.clock;
    return (
      now >= this.stalledUntil && now >= this.slowUntil && this.prng.chance(this.tuning.waitChance)
    );
  }

  syncMs(): number {
    const { now } = this.clock;
    const { syncMsMin, syncMsMax } = this.tuning;
    const sync = this.prng.between(syncMsMin, syncMsMax);
    return Math.max(0, this.stalledUntil - now) + (now < this.slowUntil ? slowFactor : 1) * sync;
  }
}
