/** A queue on an array: taking from its front moves nothing. */
export class Fifo<T> {
  #items: T[] = [];
  #first = 0;

  get length(): number {
    return this.#items.length - this.#first;
  }

  push(item: T): void {
    this.#items.push(item);
  }

  shift(): T | undefined {
    if (this.length === 0) return undefined;
    const item = this.#items[this.#first++];
    // Half of it is behind us: drop that, so that each item is moved once on average.
    if (this.#first * 2 >= this.#items.length) {
      this.#items = this.#items.slice(this.#first);
      this.#first = 0;
    }
    return item;
  }

  /** Keeps only what `wanted` says. */
  filter(wanted: (item: T) => boolean): void {
    this.#items = this.#items.slice(this.#first).filter(wanted);
    this.#first = 0;
  }
}
