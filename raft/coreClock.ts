import type { RaftCore } from "./core/raftCore.js";
import type { RaftEnvironment } from "./environment.js";

/**
 * Tells the core the time. A tick that comes late says that this process did not run for a while: it
 * was stopped, or its event loop was busy. What its peers and its disk said meanwhile is still
 * unread then, and must be heard before anyone is given up for having been silent.
 */
export class CoreClock {
  private readonly environment: RaftEnvironment;
  private readonly graceMs: number;
  private graceUntil = -Infinity;
  private graceFor = NaN;
  private diskStepsSeen = 0;

  constructor(environment: RaftEnvironment, electionTimeoutMsMin: number) {
    this.environment = environment;
    this.graceMs = electionTimeoutMsMin / 4;
  }

  /** @param diskSteps {@link Persister.diskSteps} */
  tick(core: RaftCore, diskSteps: number): void {
    const now = this.environment.now();
    if (diskSteps !== this.diskStepsSeen) {
      this.diskStepsSeen = diskSteps;
      core.diskMoved(now);
    }
    if (this.grants(core.nextDeadline, now)) core.advance(now);
    else core.tick(now);
  }

  /** When the core wants to be told the time again at the latest. */
  deadline(core: RaftCore): number {
    return Math.max(core.nextDeadline, this.graceUntil);
  }

  private grants(deadline: number, now: number): boolean {
    if (now < this.graceUntil) return true;
    // Once for each deadline: a process that is always late must decide in the end.
    if (now - deadline < this.graceMs || deadline === this.graceFor) return false;
    this.graceFor = deadline;
    this.graceUntil = now + this.graceMs;
    return true;
  }
}
