import type { Call } from "./call.js";

/**
 * All unsettled calls, the one that is due first on top, so that one timer serves them all. Each
 * call knows its place, for most leave long before they are due.
 */
export class DeadlineHeap {
  private readonly calls: Call[] = [];

  get size(): number {
    return this.calls.length;
  }

  /** In no order that means anything. */
  get all(): readonly Call[] {
    return this.calls;
  }

  get first(): Call | undefined {
    return this.calls[0];
  }

  add(call: Call, dueAt: number): void {
    call.dueAt = dueAt;
    this.calls.push(call);
    this.siftUp(call, this.calls.length - 1);
  }

  /** Moves a call that is in the heap to its new time. */
  reschedule(call: Call, dueAt: number): void {
    const earlier = dueAt < call.dueAt;
    call.dueAt = dueAt;
    if (earlier) this.siftUp(call, call.heapIndex);
    else this.siftDown(call, call.heapIndex);
  }

  remove(call: Call): void {
    const index = call.heapIndex;
    const last = this.calls.pop()!;
    call.heapIndex = -1;
    if (last === call) return;
    if (last.dueAt < call.dueAt) this.siftUp(last, index);
    else this.siftDown(last, index);
  }

  private siftUp(call: Call, from: number): void {
    let index = from;
    while (index > 0) {
      const parentIndex = (index - 1) >> 1;
      const parent = this.calls[parentIndex]!;
      if (parent.dueAt <= call.dueAt) break;
      this.place(parent, index);
      index = parentIndex;
    }
    this.place(call, index);
  }

  private siftDown(call: Call, from: number): void {
    let index = from;
    for (;;) {
      const childIndex = this.earlierChild(index);
      const child = this.calls[childIndex];
      if (child === undefined || child.dueAt >= call.dueAt) break;
      this.place(child, index);
      index = childIndex;
    }
    this.place(call, index);
  }

  private earlierChild(index: number): number {
    const left = 2 * index + 1;
    const leftCall = this.calls[left];
    const rightCall = this.calls[left + 1];
    if (leftCall === undefined || rightCall === undefined) return left;
    return rightCall.dueAt < leftCall.dueAt ? left + 1 : left;
  }

  private place(call: Call, index: number): void {
    this.calls[index] = call;
    call.heapIndex = index;
  }
}
