/**
 * The log's own clock: milliseconds during which the cluster had a leader. A leader goes on from
 * what its log says with its monotonic clock, so no wall clock, and no step of one, ever expires a
 * session; and because each time stands in an entry, all replicas expire the same ones.
 */
export class LogClock {
  private readonly now: () => number;
  private base = 0;
  private since = 0;

  constructor(now: () => number) {
    this.now = now;
  }

  /** This node begins to lead; the log has come to `logTimeMs`. */
  lead(logTimeMs: number): void {
    this.base = logTimeMs;
    this.since = this.now();
  }

  /** The log has come to `logTimeMs`; a new leader may still be applying what it holds. */
  reached(logTimeMs: number): void {
    if (logTimeMs > this.timeMs) this.lead(logTimeMs);
  }

  /** What to write into an entry that is appended now, in whole ms. */
  get timeMs(): number {
    return this.base + Math.floor(this.now() - this.since);
  }
}
