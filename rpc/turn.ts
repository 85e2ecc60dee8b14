import { rpcLimits } from "../config/options.js";

type Task = () => void;

/**
 * Collects what is to happen at the end of this turn of the event loop, when all sockets that had
 * something to read have been read: first the work, and all that it brings about; then the flushes,
 * which write what the work has gathered, once a socket; then what may hold up the loop, such as the
 * wait for a disk, which the peers do not have to wait for; and what came of that.
 *
 *     data events ─► work() ─► setImmediate ─► work ... ─► flush ... ─► late ... ─┐
 *                                  ▲             │ too much    ▲                  │ if any
 *                                  └─────────────┘             └── work ... ◄─────┘
 */
export class Turn {
  #work: Task[] = [];
  #flushes: Task[] = [];
  #late: Task[] = [];
  #scheduled = false;
  #running = false;
  #count = 0;

  /** How many turns have ended in which there was something to do. */
  get count(): number {
    return this.#count;
  }

  /** Runs `task` once, at the end of this turn. Work that work adds still runs in the same turn. */
  work(task: Task): void {
    this.#work.push(task);
    this.#schedule();
  }

  /** Runs `task` once, after the work of this turn. */
  flush(task: Task): void {
    this.#flushes.push(task);
    this.#schedule();
  }

  /**
   * A flush for which nothing more will gather: within the turn's end it is one like any other, and
   * before it runs as soon as the callback of now and its promises have, without waiting for that.
   */
  flushSoon(task: Task): void {
    if (this.#running) this.flush(task);
    else process.nextTick(task);
  }

  /** Runs `task` once, after the flushes of this turn; then what it brings about, in the same turn. */
  late(task: Task): void {
    this.#late.push(task);
    this.#schedule();
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(this.#run);
  }

  readonly #run = (): void => {
    this.#running = true;
    this.#count++;
    this.#runRound();
    const late = this.#late;
    if (late.length > 0) {
      this.#late = [];
      runUpTo(late, Infinity);
      this.#runRound();
    }
    this.#running = false;
    this.#scheduled = false;
    if (this.#work.length > 0 || this.#flushes.length > 0 || this.#late.length > 0) {
      this.#schedule();
    }
  };

  #runRound(): void {
    const done = runUpTo(this.#work, rpcLimits.turnTasksMax);
    this.#work = this.#work.slice(done);
    const flushes = this.#flushes;
    this.#flushes = [];
    runUpTo(flushes, Infinity);
  }
}

/** Runs tasks from the front, those added meanwhile included; returns how many ran. */
function runUpTo(tasks: readonly Task[], count: number): number {
  let done = 0;
  while (done < tasks.length && done < count) {
    try {
      tasks[done++]!();
    } catch (error) {
      throwLater(error);
    }
  }
  return done;
}

/** Lets `error` surface as an uncaught exception without stopping whoever runs now. */
export function throwLater(error: unknown): void {
  queueMicrotask(() => {
    throw error;
  });
}

/** The one of this process. */
export const turn = new Turn();
