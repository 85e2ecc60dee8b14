import type { Call } from "./call.js";
import { CallList } from "./callList.js";

/**
 * Calls that wait to be started. Writes stand apart from reads: they may have to wait for a
 * session or for room in its window.
 */
export class CallQueue {
  private readonly reads = new CallList();
  private readonly writes = new CallList();

  get size(): number {
    return this.reads.size + this.writes.size;
  }

  get firstRead(): Call | null {
    return this.reads.first;
  }

  get firstWrite(): Call | null {
    return this.writes.first;
  }

  takeRead(): Call | null {
    return this.reads.shift();
  }

  takeWrite(): Call | null {
    return this.writes.shift();
  }

  add(call: Call): void {
    this.listOf(call).push(call);
  }

  /** Back in front: it was started before those that wait now. */
  putBack(call: Call): void {
    this.listOf(call).unshift(call);
  }

  private listOf(call: Call): CallList {
    return call.isWrite ? this.writes : this.reads;
  }
}
