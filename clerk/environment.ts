/** What the Clerk takes from the world beside the network; tests have their own. */
export interface ClerkEnvironment {
  /** Milliseconds of a clock that never goes back. */
  now(): number;
  /** Uniform in [0, 1). */
  random(): number;
  /** Calls `task` once, `ms` from now; the returned function cancels it. */
  setTimer(ms: number, task: () => void): () => void;
}

export const realEnvironment: ClerkEnvironment = {
  now: () => performance.now(),
  random: () => Math.random(),
  setTimer(ms, task) {
    const timer = setTimeout(task, ms);
    return () => clearTimeout(timer);
  },
};
