import type { ClientCall } from "./clientCall.js";

/**
 * The calls that are out on a connection, by their ids. An id is a place in the window and how
 * often that place was used before: finding a call is one array access, and the late reply to a
 * call that has ended finds nothing.
 */
export class CallWindow {
  readonly #calls: (ClientCall | null)[];
  readonly #free: number[];
  readonly #rounds: number[];
  #begun = 0;
  #streams = 0;

  constructor(size: number) {
    this.#calls = Array.from({ length: size }, () => null);
    // From the end, so that the first places come first.
    this.#free = Array.from({ length: size }, (_, index) => size - 1 - index);
    // From 1, since 0 is no id.
    this.#rounds = Array.from({ length: size }, () => 1);
  }

  get count(): number {
    return this.#calls.length - this.#free.length;
  }

  /** How many of them are streams. */
  get streams(): number {
    return this.#streams;
  }

  /** How many were ever added. */
  get begun(): number {
    return this.#begun;
  }

  get full(): boolean {
    return this.#free.length === 0;
  }

  /** Gives `call` a place and an id; not when `full`. */
  add(call: ClientCall): void {
    const place = this.#free.pop()!;
    this.#begun++;
    this.#calls[place] = call;
    if (call.stream !== null) this.#streams++;
    call.id = this.#rounds[place]!++ * this.#calls.length + place;
  }

  /** The call with this id, if it is still out. */
  find(id: number): ClientCall | null {
    const call = this.#calls[id % this.#calls.length];
    return call?.id === id ? call : null;
  }

  remove(call: ClientCall): void {
    const place = call.id % this.#calls.length;
    this.#calls[place] = null;
    if (call.stream !== null) this.#streams--;
    this.#free.push(place);
  }

  /** Calls `visit` with each; it may remove the call that it is given. */
  forEach(visit: (call: ClientCall) => void): void {
    for (const call of this.#calls) if (call !== null) visit(call);
  }
}
