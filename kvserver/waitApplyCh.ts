/** A request that waits for the entry it appended: what the original keeps in `waitApplyCh`. */
export interface Waiter<Result> {
  /** The term in which the entry was appended: index and term name one entry for ever. */
  readonly term: number;
  /** The entry was applied, with this result. */
  applied(result: Result): void;
  /** Another entry stands there, or leadership was lost: nobody knows whether it will be applied. */
  lost(): void;
}

const capacityMin = 1024;

/**
 * The waiters by log index. Indexes come in ascending order and close together, so a ring does
 * what a Map would at a fraction of the cost.
 */
export class WaitApplyCh<Result> {
  private slots: (Waiter<Result> | undefined)[] = emptySlots(capacityMin);
  /** No waiter stands before this index. */
  private first = 0;
  /** No waiter stands at or after this index. */
  private end = 0;

  add(index: number, waiter: Waiter<Result>): void {
    if (this.first === this.end) {
      this.first = index;
      this.end = index;
    }
    while (index - this.first >= this.slots.length) this.grow();
    this.slots[index & (this.slots.length - 1)] = waiter;
    this.end = index + 1;
  }

  /** The entry `index` of `term` was applied: whoever waited for it, or in vain, is told. */
  applied(index: number, term: number, result: Result): void {
    // Entries are applied one after the other; only a snapshot can have passed over some.
    while (this.first < index && this.first < this.end) this.takeFirst()?.lost();
    if (index !== this.first || index >= this.end) return;
    const waiter = this.takeFirst();
    if (waiter?.term === term) waiter.applied(result);
    else waiter?.lost();
  }

  /** Leadership was lost: nobody is to wait for a time-out. */
  loseAll(): void {
    while (this.first < this.end) this.takeFirst()?.lost();
  }

  private takeFirst(): Waiter<Result> | undefined {
    const slot = this.first & (this.slots.length - 1);
    const waiter = this.slots[slot];
    this.slots[slot] = undefined;
    this.first++;
    return waiter;
  }

  private grow(): void {
    const larger = emptySlots<Waiter<Result>>(this.slots.length * 2);
    for (let index = this.first; index < this.end; index++)
      larger[index & (larger.length - 1)] = this.slots[index & (this.slots.length - 1)];
    this.slots = larger;
  }
}

function emptySlots<T>(count: number): (T | undefined)[] {
  return Array.from({ length: count }, () => undefined);
}
