import type { Call } from "./call.js";

/**
 * Calls in order, linked through the calls themselves: adding, and removing from anywhere, cost
 * nothing but a few assignments. A call stands in at most one list.
 */
export class CallList {
  private head: Call | null = null;
  private tail: Call | null = null;
  private count = 0;

  get size(): number {
    return this.count;
  }

  get first(): Call | null {
    return this.head;
  }

  push(call: Call): void {
    this.link(call, this.tail, null);
  }

  unshift(call: Call): void {
    this.link(call, null, this.head);
  }

  shift(): Call | null {
    const call = this.head;
    if (call !== null) this.remove(call);
    return call;
  }

  /** `call` must stand in this list. */
  remove(call: Call): void {
    if (call.previous === null) this.head = call.next;
    else call.previous.next = call.next;
    if (call.next === null) this.tail = call.previous;
    else call.next.previous = call.previous;
    call.previous = null;
    call.next = null;
    call.list = null;
    this.count--;
  }

  private link(call: Call, previous: Call | null, next: Call | null): void {
    call.list = this;
    call.previous = previous;
    call.next = next;
    if (previous === null) this.head = call;
    else previous.next = call;
    if (next === null) this.tail = call;
    else next.previous = call;
    this.count++;
  }
}
