import { performance } from "node:perf_hooks";
import { turn } from "../rpc/turn.js";

/** What the driver takes from the world beside disk and network; a simulation has its own. */
export interface RaftEnvironment {
  /** Milliseconds of a clock that never goes back. */
  now(): number;
  /** Uniform in [0, 1). */
  random(): number;
  /** Calls `task` once, `ms` from now; the returned function cancels it. */
  setTimer(ms: number, task: () => void): () => void;
  /** Calls `task` once, at the end of this turn of the event loop. */
  schedule(task: () => void): void;
}

export const realEnvironment: RaftEnvironment = {
  // The import, for each use of the global looks it up anew.
  now: () => performance.now(),
  random: () => Math.random(),
  setTimer(ms, task) {
    const timer = setTimeout(task, ms);
    return () => clearTimeout(timer);
  },
  schedule: (task) => turn.work(task),
};
