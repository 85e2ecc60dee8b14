/**
 * Doubly linked lists of the numbers 0 to `size - 1`, each number in at most one list. A removed
 * number keeps its links, so that removals undone in reverse order cost O(1) each (Knuth's dancing
 * links).
 */
export class OpLists {
  private readonly size: number;
  private readonly nexts: Int32Array;
  private readonly previouses: Int32Array;

  constructor(size: number, lists: number) {
    this.size = size;
    // List k is a ring through the sentinel `size + k`; a number in no list is a ring of its own.
    this.nexts = Int32Array.from({ length: size + lists }, (_, at) => at);
    this.previouses = this.nexts.slice();
  }

  /** Appends `op`, which is in no list. */
  push(list: number, op: number): void {
    const end = this.size + list;
    const last = this.previouses[end]!;
    this.nexts[last] = op;
    this.previouses[op] = last;
    this.nexts[op] = end;
    this.previouses[end] = op;
  }

  /** The first of `list`, or -1. */
  first(list: number): number {
    return this.orNone(this.nexts[this.size + list]!);
  }

  /** The one after `op` in its list, or -1. */
  next(op: number): number {
    return this.orNone(this.nexts[op]!);
  }

  remove(op: number): void {
    const next = this.nexts[op]!;
    const previous = this.previouses[op]!;
    this.nexts[previous] = next;
    this.previouses[next] = previous;
  }

  /** Undoes the latest `remove` that is not undone. */
  restore(op: number): void {
    this.nexts[this.previouses[op]!] = op;
    this.previouses[this.nexts[op]!] = op;
  }

  private orNone(at: number): number {
    return at < this.size ? at : -1;
  }
}
