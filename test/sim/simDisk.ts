import type { DurableState, LogWrite, SnapshotImage } from "./durableState.js";
import type { Prng } from "./prng.js";
import type { VirtualClock } from "./virtualClock.js";

export interface DiskTuning {
  readonly syncMsMin: number;
  readonly syncMsMax: number;
  /** That one sync covers everything queued, as in a group commit. */
  readonly groupCommitChance: number;
  /** Of writing a whole snapshot. */
  readonly snapshotMsMax: number;
}

interface Queued {
  readonly write: LogWrite;
  readonly done: () => void;
}

/**
 * One node's disk. Writes become durable one after the other, some time after they were asked for;
 * `done` tells so. A crash keeps an arbitrary prefix of what was queued: the disk may have got
 * further than the node ever knew, and may stop in the middle of a write.
 */
export class SimDisk {
  readonly state: DurableState;
  tuning: DiskTuning;
  private readonly clock: VirtualClock;
  private readonly prng: Prng;
  private queue: Queued[] = [];
  private generation = 0;
  private isBusy = false;
  private stalledUntil = 0;

  constructor(state: DurableState, clock: VirtualClock, prng: Prng, tuning: DiskTuning) {
    this.state = state;
    this.clock = clock;
    this.prng = prng;
    this.tuning = tuning;
  }

  append(write: LogWrite, done: () => void): void {
    this.queue.push({ write, done });
    this.work();
  }

  /** Snapshots are files of their own: they don't wait for the log, nor it for them. */
  writeSnapshot(image: SnapshotImage, done: () => void): void {
    const { generation } = this;
    this.clock.after(this.stall + this.prng.between(0, this.tuning.snapshotMsMax), () => {
      if (generation !== this.generation) return;
      this.state.writeSnapshot(image);
      done();
    });
  }

  /** Nothing becomes durable for the next `ms`. */
  stallFor(ms: number): void {
    this.stalledUntil = Math.max(this.stalledUntil, this.clock.now + ms);
  }

  crash(): void {
    const { queue, prng } = this;
    this.generation++;
    this.queue = [];
    this.isBusy = false;
    this.stalledUntil = 0;
    if (queue.length === 0) return;
    const whole = prng.int(0, queue.length);
    for (const { write } of queue.slice(0, whole)) this.state.apply(write);
    const torn = queue[whole]?.write;
    if (torn !== undefined) this.state.apply(this.tear(torn));
  }

  private tear({ reset, hardState, entries = [] }: LogWrite): LogWrite {
    const parts = this.prng.int(0, 2 + entries.length);
    return {
      ...(reset !== undefined && parts > 0 ? { reset } : {}),
      ...(parts > 1 ? { hardState: hardState ?? null } : {}),
      entries: entries.slice(0, Math.max(0, parts - 2)),
    };
  }

  private get stall(): number {
    return Math.max(0, this.stalledUntil - this.clock.now);
  }

  private work(): void {
    if (this.isBusy || this.queue.length === 0) return;
    this.isBusy = true;
    const { generation } = this;
    const { syncMsMin, syncMsMax, groupCommitChance } = this.tuning;
    const count = this.prng.chance(groupCommitChance) ? this.queue.length : 1;
    this.clock.after(this.stall + this.prng.between(syncMsMin, syncMsMax), () => {
      if (generation === this.generation) this.synced(count);
    });
  }

  private synced(count: number): void {
    if (this.stall > 0) {
      this.isBusy = false;
      this.work();
      return;
    }
    const written = this.queue.splice(0, count);
    for (const { write } of written) this.state.apply(write);
    this.isBusy = false;
    this.work();
    for (const { done } of written) done();
  }
}
