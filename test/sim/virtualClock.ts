interface Event {
  readonly at: number;
  /** Events of the same moment run in the order in which they were asked for. */
  readonly order: number;
  task: (() => void) | null;
}

/** Simulated time, in ms: it stands still while code runs, and jumps to the next event. */
export class VirtualClock {
  private time = 0;
  private orders = 0;
  /** A binary heap; the earliest event is `heap[0]`. */
  private readonly heap: Event[] = [];

  get now(): number {
    return this.time;
  }

  /** Runs `task` once, `ms` from now; the returned function cancels it. */
  after(ms: number, task: () => void): () => void {
    const event: Event = { at: this.time + Math.max(0, ms), order: this.orders++, task };
    this.push(event);
    return () => {
      event.task = null;
    };
  }

  /** Runs the next event. Returns false when there is none up to `until`; it is `until` then. */
  step(until = Infinity): boolean {
    for (let next = this.heap[0]; next !== undefined; next = this.heap[0]) {
      if (next.task !== null && next.at > until) break;
      this.pop();
      if (next.task === null) continue;
      this.time = next.at;
      next.task();
      return true;
    }
    if (until !== Infinity) this.time = Math.max(this.time, until);
    return false;
  }

  private push(event: Event): void {
    const { heap } = this;
    let at = heap.length;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!isBefore(event, heap[parent]!)) break;
      heap[at] = heap[parent]!;
      at = parent;
    }
    heap[at] = event;
  }

  private pop(): void {
    const { heap } = this;
    const last = heap.pop()!;
    if (heap.length === 0) return;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && isBefore(heap[child + 1]!, heap[child]!)) child++;
      if (!isBefore(heap[child]!, last)) break;
      heap[at] = heap[child]!;
      at = child;
    }
    heap[at] = last;
  }
}

function isBefore(a: Event, b: Event): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order);
}
