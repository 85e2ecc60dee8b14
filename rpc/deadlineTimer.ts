import { rpcLimits } from "../config/options.js";

/**
 * Looks after many deadlines with one timer. A timer for each call would cost more than the call:
 * here a call costs one comparison, since with like timeouts the timer is set already. When it
 * fires, `scan` goes over all calls that are still running.
 */
export class DeadlineTimer {
  readonly #scan: (now: number) => number;
  #timer: NodeJS.Timeout | null = null;
  /** When the timer fires, by the clock of `performance.now`. */
  #at = Infinity;

  /** `scan` ends what is overdue at `now`, and returns the earliest deadline left, or Infinity. */
  constructor(scan: (now: number) => number) {
    this.#scan = scan;
  }

  /** Makes sure that `deadline` will be seen to. */
  watch(deadline: number, now: number): void {
    if (deadline < this.#at) this.#arm(deadline, now);
  }

  clear(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    this.#at = Infinity;
  }

  #arm(deadline: number, now: number): void {
    this.clear();
    this.#at = deadline;
    // Rounded up: a timer that fires early would find nothing and fire again.
    const delay = Math.max(Math.ceil(deadline - now), rpcLimits.deadlineScanMs);
    this.#timer = setTimeout(this.#fire, Math.min(delay, timerMsMax));
    // Whoever waits for a call holds a socket: the timer alone must not keep a process.
    this.#timer.unref();
  }

  readonly #fire = (): void => {
    this.#timer = null;
    this.#at = Infinity;
    const now = performance.now();
    const next = this.#scan(now);
    if (next < Infinity) this.watch(next, now);
  };
}

/** What Node's timers can hold. */
const timerMsMax = 2 ** 31 - 1;
