import { randomBytes } from "node:crypto";

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
  now: () => performance.now(),
  random: () => Math.random(),
  randomBytes,
  setTimer(ms, task) {
    const timer = setTimeout(task, ms);
    return () => clearTimeout(timer);
  },
};
