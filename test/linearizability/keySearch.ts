/**
 * Searches an order of the operations on one key that obeys real time and explains every answer.
 *
 * The search is Wing and Gong's ("Testing and verifying concurrent objects", 1993): it linearizes
 * one operation after the other, each time one that was called before the first return of those
 * that are left, and goes back where that leads nowhere; with Lowe's cache of where it has been
 * already. The rest is what a store of bytes allows beyond that, none of which loses a solution:
 * - A get whose answer is the current value is linearized at once: it changes nothing, and it could
 *   only be moved here from later.
 * - Of several writes alike the one that returns first goes first.
 * - An unknown write is used last, and what could be reached without it is not searched again.
 * - The get that returns next must begin with the current value, or with the value of a put that
 *   can still come before it.
 */
import { ConfigCache } from "./configCache.js";
import type { KeyHistory, WriteClasses } from "./keyHistory.js";
import { missing, writeClasses } from "./keyHistory.js";
import { OpLists } from "./opLists.js";

export interface SearchResult {
  readonly found: boolean;
  /** The order found, or the longest that was. */
  readonly order: Int32Array;
  /** Where `found` is false: the get that no order after that one can explain. */
  readonly unexplained: number;
}

/** Returns whether the search may go on. Called once for each step. */
export type Permit = (memoryBytes: number) => boolean;

// The operations that are left, by call.
const getList = 0;
const writeList = 1;
const unknownList = 2;

export class KeySearch {
  private readonly history: KeyHistory;
  private readonly writes: WriteClasses;
  private readonly cache: ConfigCache;
  private readonly byCall: OpLists;
  /** The gets that are left by return, list 0; the puts that are left by class, from list 1. */
  private readonly byNeed: OpLists;
  /** The unknown writes that are left, by class. */
  private readonly unknownByClass: OpLists;
  private readonly linearized: Uint8Array;
  /** Of those, the answered ones that have not returned at `position`, and the unknown ones. */
  private readonly inFlight: Int32Array;
  private readonly unknownUsed: Int32Array;

  /** How many of `byReturn` are behind. The next one is not linearized. */
  private position = 0;
  private state = missing;
  /** The operations linearized, and what position and state were before each. */
  private depth = 0;
  private readonly order: Int32Array;
  private readonly positionsBefore: Int32Array;
  private readonly statesBefore: Int32Array;
  /** 1: chosen among others; 0: a get that matched. */
  private readonly chosen: Uint8Array;

  /** The longest order so far; `bestShared` of it are still the beginning of `order`. */
  private readonly best: Int32Array;
  private bestDepth = 0;
  private bestPosition = -1;
  private bestShared = 0;
  private unexplained = -1;

  constructor(history: KeyHistory) {
    const count = history.operations.length;
    this.history = history;
    this.writes = writeClasses(history);
    this.inFlight = new Int32Array(Math.ceil(history.answeredBits / 32));
    this.unknownUsed = new Int32Array(Math.ceil(history.unknownBits / 32));
    this.cache = new ConfigCache(this.inFlight.length, this.unknownUsed.length);
    this.byCall = new OpLists(count, 3);
    this.byNeed = new OpLists(count, 1 + this.writes.count);
    this.unknownByClass = new OpLists(count, this.writes.count);
    this.linearized = new Uint8Array(count);
    this.order = new Int32Array(count);
    this.positionsBefore = new Int32Array(count);
    this.statesBefore = new Int32Array(count);
    this.chosen = new Uint8Array(count);
    this.best = new Int32Array(count);
    this.fillLists();
  }

  /** The result, or null when `permit` ended the search. */
  run(permit: Permit): SearchResult | null {
    this.advance();
    let next = this.enter();
    while (this.position < this.history.byReturn.length) {
      if (!permit(this.cache.memoryBytes + this.history.strings.memoryBytes)) return null;
      if (next >= 0) {
        this.linearize(next, 1);
        this.advance();
        next = this.enter();
      } else {
        const undone = this.undoChoice();
        if (undone < 0) return this.result(false);
        next = this.choiceAfter(undone);
      }
    }
    return this.result(true);
  }

  private result(found: boolean): SearchResult {
    const order = found ? this.order.slice(0, this.depth) : this.best.slice(0, this.bestDepth);
    return { found, order, unexplained: found ? -1 : this.unexplained };
  }

  private fillLists(): void {
    const { operations, byReturn } = this.history;
    for (const [op, { kind, outcome }] of operations.entries()) {
      const list = kind === "get" ? getList : outcome === "ok" ? writeList : unknownList;
      this.byCall.push(list, op);
      if (kind === "put") this.byNeed.push(1 + this.writes.classes[op]!, op);
      if (list === unknownList) this.unknownByClass.push(this.writes.classes[op]!, op);
    }
    for (const op of byReturn) if (operations[op]!.kind === "get") this.byNeed.push(0, op);
  }

  /** The first choice in a configuration just reached, or -1 when there is nothing to find in it. */
  private enter(): number {
    if (this.position === this.history.byReturn.length) return -1;
    const get = this.byNeed.first(0);
    const isOpen =
      (get < 0 || this.canStillMatch(get)) &&
      this.cache.add(this.position, this.state, this.inFlight, this.unknownUsed);
    const choice = isOpen ? this.firstChoice() : -1;
    if (choice < 0) this.keepBest(get);
    return choice;
  }

  private canStillMatch(get: number): boolean {
    const output = this.history.values[get]!;
    // No operation removes a key.
    if (output === missing) return this.state === missing;
    if (this.state === missing || this.history.strings.isPrefix(this.state, output)) return true;
    const bases = this.writes.basesOf.get(output) ?? [];
    return bases.some((base) => {
      const put = this.byNeed.first(1 + base);
      return put >= 0 && this.history.calls[put]! < this.history.returns[get]!;
    });
  }

  /** Goes past every return whose operation is linearized, with the gets that match on the way. */
  private advance(): void {
    const { byReturn, bits } = this.history;
    for (;;) {
      if (this.position === byReturn.length) return;
      this.linearizeMatchingGets();
      const op = byReturn[this.position]!;
      if (!this.linearized[op]) return;
      flip(this.inFlight, bits[op]!);
      this.position++;
    }
  }

  private linearizeMatchingGets(): void {
    const limit = this.callLimit();
    let get = this.byCall.first(getList);
    while (get >= 0 && this.history.calls[get]! < limit) {
      const next = this.byCall.next(get);
      if (this.history.values[get] === this.state) this.linearize(get, 0);
      get = next;
    }
  }

  /** Operations called before this may be linearized now. */
  private callLimit(): number {
    return this.history.returns[this.history.byReturn[this.position]!]!;
  }

  // Choices: first the write that must return next, then the answered ones, then the unknown ones.
  private firstChoice(): number {
    const due = this.history.byReturn[this.position]!;
    if (this.writes.classes[due]! >= 0) return due;
    return this.answeredChoice(this.byCall.first(writeList));
  }

  private choiceAfter(op: number): number {
    if (this.history.operations[op]!.outcome === "unknown") {
      return this.unknownChoice(this.byCall.next(op));
    }
    const due = this.history.byReturn[this.position]!;
    return this.answeredChoice(op === due ? this.byCall.first(writeList) : this.byCall.next(op));
  }

  private answeredChoice(from: number): number {
    const due = this.history.byReturn[this.position]!;
    const limit = this.callLimit();
    for (let op = from; op >= 0 && this.history.calls[op]! < limit; op = this.byCall.next(op)) {
      if (op !== due && this.isFirstOfItsClass(op, limit)) return op;
    }
    return this.unknownChoice(this.byCall.first(unknownList));
  }

  private unknownChoice(from: number): number {
    const limit = this.callLimit();
    for (let op = from; op >= 0 && this.history.calls[op]! < limit; op = this.byCall.next(op)) {
      const isFirst = this.unknownByClass.first(this.writes.classes[op]!) === op;
      if (isFirst && this.isFirstOfItsClass(op, limit)) return op;
    }
    return -1;
  }

  /** Whether no answered write alike could be linearized now and returns before `op`. */
  private isFirstOfItsClass(op: number, limit: number): boolean {
    const { calls, returns } = this.history;
    const { classes } = this.writes;
    let other = this.byCall.first(writeList);
    for (; other >= 0 && calls[other]! < limit; other = this.byCall.next(other)) {
      if (classes[other] === classes[op] && returns[other]! < returns[op]!) return false;
    }
    return true;
  }

  private linearize(op: number, chosen: 0 | 1): void {
    this.order[this.depth] = op;
    this.positionsBefore[this.depth] = this.position;
    this.statesBefore[this.depth] = this.state;
    this.chosen[this.depth] = chosen;
    this.depth++;
    this.linearized[op] = 1;
    this.byCall.remove(op);
    this.byNeed.remove(op);
    this.unknownByClass.remove(op);
    flip(this.setOf(op), this.history.bits[op]!);
    this.state = this.stateAfter(op);
  }

  /** Goes back to before the latest choice, and returns that, or -1 when there is none. */
  private undoChoice(): number {
    while (this.depth > 0) {
      const op = this.undo();
      if (this.chosen[this.depth]) {
        this.bestShared = Math.min(this.bestShared, this.depth);
        return op;
      }
    }
    return -1;
  }

  private undo(): number {
    const { byReturn, bits } = this.history;
    const op = this.order[--this.depth]!;
    while (this.position > this.positionsBefore[this.depth]!) {
      flip(this.inFlight, bits[byReturn[--this.position]!]!);
    }
    this.state = this.statesBefore[this.depth]!;
    flip(this.setOf(op), bits[op]!);
    this.unknownByClass.restore(op);
    this.byNeed.restore(op);
    this.byCall.restore(op);
    this.linearized[op] = 0;
    return op;
  }

  private setOf(op: number): Int32Array {
    return this.history.operations[op]!.outcome === "unknown" ? this.unknownUsed : this.inFlight;
  }

  private stateAfter(op: number): number {
    const { kind } = this.history.operations[op]!;
    const value = this.history.values[op]!;
    if (kind === "get") return this.state;
    if (kind === "put" || this.state === missing) return value;
    return this.history.strings.concat(this.state, value);
  }

  /** The further in real time an order comes, the better; `get` is what ended it. */
  private keepBest(get: number): void {
    const isBetter =
      this.position > this.bestPosition ||
      (this.position === this.bestPosition && this.depth > this.bestDepth);
    if (!isBetter) return;
    this.best.set(this.order.subarray(this.bestShared, this.depth), this.bestShared);
    this.bestDepth = this.depth;
    this.bestPosition = this.position;
    this.bestShared = this.depth;
    this.unexplained = get;
  }
}

function flip(set: Int32Array, bit: number): void {
  set[bit >>> 5] = set[bit >>> 5]! ^ (1 << (bit & 31));
}
