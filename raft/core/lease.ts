import type { CoreOptions } from "./coreOptions.js";

/** What a lease read stands on: see `RaftCore.leaseRead`. */
export interface LeaseRead {
  /** The state machine must have applied this before it is read. */
  readonly index: number;
  /** The term whose lease it is. */
  readonly term: number;
}

/**
 * How long after a heartbeat that a majority answered no other node can be elected (thesis §6.4.1).
 * Each of them refuses its vote for an election timeout by its own clock, from a moment after the
 * heartbeat left; where the clocks may run apart, less of that time is certain.
 */
export function leaseMs(options: CoreOptions): number {
  return options.electionTimeoutMsMin / (1 + options.leaseClockDriftPpmMax / 1_000_000);
}
