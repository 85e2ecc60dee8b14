import type { RaftEnvironment } from "../raft/environment.js";

/**
 * Answers to callers that come while leadership is handed over. Until the next leader is known they
 * could only be sent to search from node to node; mostly that is a few milliseconds. As many at once as
 * the provider takes calls.
 */
export class HeldRedirects {
  private readonly environment: RaftEnvironment;
  private readonly timeoutMs: number;
  private held: (() => void)[] = [];
  private cancelTimer: (() => void) | null = null;

  /** @param timeoutMs After so long the hand-over has come to nothing. */
  constructor(environment: RaftEnvironment, timeoutMs: number) {
    this.environment = environment;
    this.timeoutMs = timeoutMs;
  }

  get isOpen(): boolean {
    return this.cancelTimer !== null;
  }

  /** Answers may be held from now on. */
  open(): void {
    this.cancelTimer ??= this.environment.setTimer(this.timeoutMs, () => this.release());
  }

  hold(answer: () => void): void {
    this.held.push(answer);
  }

  /** The next leader is known, or nothing came of it. */
  release(): void {
    this.cancelTimer?.();
    this.cancelTimer = null;
    for (const answer of this.held.splice(0)) answer();
  }
}
