import type { RaftEnvironment } from "../raft/environment.js";

type Done = (response: unknown) => void;

interface Wait {
  readonly until: number;
  expire: (() => void) | null;
}

/**
 * Time limits for revision-1 calls, which carry none: the original's consensus wait. All limits are
 * equally long, so they end in the order in which they began and one timer serves them all.
 */
export class LegacyWaits {
  private readonly environment: RaftEnvironment;
  private readonly timeoutMs: number;
  private waits: Wait[] = [];
  private cancelTimer: (() => void) | null = null;

  constructor(environment: RaftEnvironment, timeoutMs: number) {
    this.environment = environment;
    this.timeoutMs = timeoutMs;
  }

  /** Of `done` and, after the time limit, `expire` only the first that is called has an effect. */
  once(done: Done, expire: () => void): Done {
    const wait: Wait = { until: this.environment.now() + this.timeoutMs, expire };
    this.waits.push(wait);
    this.arm();
    return (response) => {
      if (wait.expire === null) return;
      wait.expire = null;
      done(response);
    };
  }

  stop(): void {
    this.cancelTimer?.();
    this.waits = [];
  }

  private arm(): void {
    const next = this.waits[0];
    if (this.cancelTimer !== null || next === undefined) return;
    const wait = Math.max(1, Math.ceil(next.until - this.environment.now()));
    this.cancelTimer = this.environment.setTimer(wait, () => {
      this.cancelTimer = null;
      this.expireDue();
      this.arm();
    });
  }

  private expireDue(): void {
    const now = this.environment.now();
    let count = 0;
    while (count < this.waits.length && this.waits[count]!.until <= now) count++;
    for (const wait of this.waits.splice(0, count)) {
      const { expire } = wait;
      wait.expire = null;
      expire?.();
    }
  }
}
