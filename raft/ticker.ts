import type { RaftEnvironment } from "./environment.js";

/**
 * One timer for a deadline that mostly moves away. It is set anew only when the deadline comes
 * closer; when it fires early, because the deadline has moved on, it just sleeps again.
 */
export class Ticker {
  private readonly environment: RaftEnvironment;
  private readonly fire: () => void;
  private cancel: (() => void) | null = null;
  private armedFor = Infinity;

  constructor(environment: RaftEnvironment, fire: () => void) {
    this.environment = environment;
    this.fire = fire;
  }

  /** Makes sure that `fire` is called at `deadline` or before. */
  arm(deadline: number): void {
    if (deadline >= this.armedFor) return;
    this.cancel?.();
    this.armedFor = deadline;
    const wait = Math.max(0, deadline - this.environment.now());
    this.cancel = this.environment.setTimer(Math.ceil(wait), () => {
      this.cancel = null;
      this.armedFor = Infinity;
      this.fire();
    });
  }

  stop(): void {
    this.cancel?.();
    this.cancel = null;
    this.armedFor = -Infinity;
  }
}
