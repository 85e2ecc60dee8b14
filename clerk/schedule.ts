import type { Call } from "./call.js";
import { DeadlineHeap } from "./deadlineHeap.js";
import type { ClerkEnvironment } from "./environment.js";

/** The longest that a Node.js timer can wait. */
const timerMsMax = 2 ** 31 - 1;

/**
 * One timer for all calls of a Clerk. It may ring too early, for a call that left meanwhile: that
 * costs less than to set it anew for each.
 */
export class Schedule {
  private readonly environment: ClerkEnvironment;
  private readonly onDue: (call: Call, now: number) => void;
  private readonly heap = new DeadlineHeap();
  private armedFor = Infinity;
  private cancelTimer: (() => void) | null = null;

  /** `onDue` must remove the call, or give it a later time. */
  constructor(environment: ClerkEnvironment, onDue: (call: Call, now: number) => void) {
    this.environment = environment;
    this.onDue = onDue;
  }

  /** Some call that is here. */
  get first(): Call | undefined {
    return this.heap.first;
  }

  /** All that are here, also while some of them leave. */
  calls(): readonly Call[] {
    return this.heap.all.slice();
  }

  some(holds: (call: Call) => boolean): boolean {
    return this.heap.all.some(holds);
  }

  add(call: Call): void {
    this.heap.add(call, call.deadline);
    this.arm();
  }

  /** The call is due at `time`, or at its deadline if that comes first. */
  wakeAt(call: Call, time: number): void {
    this.heap.reschedule(call, Math.min(time, call.deadline));
    this.arm();
  }

  /** Nothing is to be done about the call before its deadline. */
  awake(call: Call): void {
    if (call.dueAt !== call.deadline) this.heap.reschedule(call, call.deadline);
  }

  remove(call: Call): void {
    this.heap.remove(call);
  }

  stop(): void {
    this.cancelTimer?.();
    this.cancelTimer = null;
    this.armedFor = Infinity;
  }

  private arm(): void {
    const dueAt = this.heap.first?.dueAt ?? Infinity;
    if (dueAt >= this.armedFor) return;
    this.stop();
    this.armedFor = dueAt;
    const ms = Math.min(timerMsMax, Math.max(1, Math.ceil(dueAt - this.environment.now())));
    this.cancelTimer = this.environment.setTimer(ms, () => this.ring());
  }

  private ring(): void {
    this.cancelTimer = null;
    this.armedFor = Infinity;
    const now = this.environment.now();
    for (;;) {
      const call = this.heap.first;
      if (call === undefined || call.dueAt > now) break;
      this.onDue(call, now);
    }
    this.arm();
  }
}
