import { rpcLimits } from "../config/options.js";
import { Fifo } from "./fifo.js";

type Task = () => void;

/**
 * For what thousands of connections come to at one moment, as those do that were made together: a
 * few run in each turn of the event loop, after the sockets were read, and others get their share.
 */
class Pacer {
  readonly #tasks = new Fifo<Task>();
  #scheduled = false;

  run(task: Task): void {
    this.#tasks.push(task);
    this.#schedule();
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(this.#turn);
  }

  readonly #turn = (): void => {
    this.#scheduled = false;
    for (let left = rpcLimits.pacedTasksPerTurn; left > 0; left--) this.#tasks.shift()?.();
    if (this.#tasks.length > 0) this.#schedule();
  };
}

/** The one of this process. */
export const pacer = new Pacer();
