import { randomBytes } from "node:crypto";
import { performance } from "node:perf_hooks";

/** What the Clerk takes from the world beside the network; tests have their own. */
export interface ClerkEnvironment {
  /** Milliseconds of a clock that never goes back. */
  now(): number;
  /** Uniform in [0, 1). */
  random(): number;
  /** Never the same in two clients: what sessions are named by. */
  randomBytes(count: number): Uint8Array;
  /** Calls `task` once, `ms` from now; the returned function cancels it. */
  setTimer(ms: number, task: () => void): () => void;
}

export const realEnvironment: ClerkEnvironment = {
  // The import, for each use of the global looks it up anew.
  now: () => performance.now(),
  random: () => Math.random(),
  randomBytes,
  setTimer(ms, task) {
    const timer = setTimeout(task, ms);
    return () => clearTimeout(timer);
  },
};
