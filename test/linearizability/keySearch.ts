/**
 * Searches an order of the operations on one key that obeys real time and explains every answer.
 *
 * The search is Wing and Gong's ("Testing and verifying concurrent objects", 1993): it linearizes
 * one operation after the other, each time one that was called before the first return of those
 * that are left, and goes back where that leads nowhere; with Lowe's cache of where it has been
 * already. The rest is what a store of bytes allows beyond that, none of which loses an order:
 * - What changes nothing is linearized at once, for it could only be moved here from later: a get
 *   whose answer is the current value, and an unseen write where the value is lost for all gets.
 * - Of several writes alike the one that returns first goes first.
 * - An unknown write is used last, and what can be reached without it is not searched again.
 * - The get that returns next must begin with the current value, or with the value of a put that
 *   can still come before it.
 * - No put while gets are left that belong to the current lineage; and an append that some get saw
 *   only where it was seen (see `WriteFacts`).
 */
import { ConfigCache } from "./configCache.js";
import type { KeyHistory } from "./keyHistory.js";
import { noOutput } from "./keyHistory.js";
import type { Operation } from "./operation.js";
import { OpLists } from "./opLists.js";
import { ValueStates, lost, missing } from "./valueStates.js";
import { firstLineage, unseen, unseenByRead } from "./writeFacts.js";

/** Returns whether the search may go on. Called once for each step. */
export type Permit = (memoryBytes: number) => boolean;

/** An order of all that must have happened; null: there is none; stopped: not permitted. */
export type SearchResult = readonly Operation[] | null | "stopped";

// The operations that are left, by call.
const getList = 0;
const requiredList = 1;
const optionalList = 2;

export class KeySearch {
  private readonly history: KeyHistory;
  private readonly states: ValueStates;
  private readonly cache: ConfigCache;
  private readonly byCall: OpLists;
  /** The gets that are left by return, list 0; the puts that are left by rank, from list 1. */
  private readonly byNeed: OpLists;
  /** The gets that are left, of each lineage the shortest output first. */
  private readonly byLineage: OpLists;
  /** The list of those that belong to none. */
  private readonly unread: number;
  /** The optional writes that are left, alike in one list. */
  private readonly alike: OpLists;
  private readonly linearized: Uint8Array;
  /** Of those, the ones that have not returned at `position`, and the ones that never will. */
  private readonly inFlight: Int32Array;
  private readonly optionalUsed: Int32Array;

  /** How many of `byReturn` are behind. The next one is not linearized. */
  private position = 0;
  private state = missing;
  private lineage = firstLineage;
  /** The operations linearized, and what was before each. */
  private depth = 0;
  private readonly order: Int32Array;
  private readonly positionsBefore: Int32Array;
  private readonly statesBefore: Int32Array;
  private readonly lineagesBefore: Int32Array;
  /** 1: chosen among others; 0: linearized at once. */
  private readonly chosen: Uint8Array;

  constructor(history: KeyHistory) {
    const { operations, outputs, puts, appends } = history;
    const count = operations.length;
    this.history = history;
    this.states = new ValueStates(outputs, puts, appends);
    this.inFlight = new Int32Array(Math.ceil(history.requiredBits / 32));
    this.optionalUsed = new Int32Array(Math.ceil(history.optionalBits / 32));
    this.cache = new ConfigCache(this.inFlight.length, this.optionalUsed.length);
    this.byCall = new OpLists(count, 3);
    this.byNeed = new OpLists(count, 1 + puts.length);
    this.byLineage = new OpLists(count, 2 + puts.length);
    this.unread = 1 + puts.length;
    this.alike = new OpLists(count, puts.length + appends.length);
    this.linearized = new Uint8Array(count);
    this.order = new Int32Array(count);
    this.positionsBefore = new Int32Array(count);
    this.statesBefore = new Int32Array(count);
    this.lineagesBefore = new Int32Array(count);
    this.chosen = new Uint8Array(count);
    this.fillLists();
  }

  run(permit: Permit): SearchResult {
    if (this.history.facts.isImpossible) return null;
    this.advance();
    let next = this.enter();
    while (this.position < this.history.byReturn.length) {
      if (!permit(this.cache.memoryBytes + this.states.memoryBytes)) return "stopped";
      if (next >= 0) {
        this.linearize(next, 1);
        this.advance();
        next = this.enter();
      } else {
        const undone = this.undoChoice();
        if (undone < 0) return null;
        next = this.choiceAfter(undone);
      }
    }
    return Array.from(this.order.subarray(0, this.depth), (op) => this.history.operations[op]!);
  }

  private fillLists(): void {
    const { operations, ranks, byReturn, facts } = this.history;
    for (const [op, { kind }] of operations.entries()) {
      if (kind === "get") {
        this.byCall.push(getList, op);
        continue;
      }
      const isRequired = this.isRequired(op);
      // Without it, nobody would see a difference.
      if (!isRequired && facts.sightings[op] === unseen) continue;
      this.byCall.push(isRequired ? requiredList : optionalList, op);
      if (kind === "put") this.byNeed.push(1 + ranks[op]!, op);
      if (!isRequired) this.alike.push(this.classOf(op), op);
    }
    const gets = [...byReturn].filter((op) => operations[op]!.kind === "get");
    for (const op of gets) this.byNeed.push(0, op);
    gets.sort((a, b) => this.outputLength(a) - this.outputLength(b));
    for (const op of gets) this.byLineage.push(facts.lineages[op]!, op);
  }

  private isRequired(op: number): boolean {
    return this.history.facts.returnTimes[op]! < Infinity;
  }

  /** Puts of one value are alike, and appends of one value. */
  private classOf(op: number): number {
    const { operations, ranks, puts } = this.history;
    return operations[op]!.kind === "put" ? ranks[op]! : puts.length + ranks[op]!;
  }

  private outputLength(get: number): number {
    return this.history.outputs[this.history.ranks[get]!]?.length ?? -1;
  }

  /** The first choice in a configuration just reached, or -1 when there is nothing to find in it. */
  private enter(): number {
    if (this.position === this.history.byReturn.length || !this.canGoOn()) return -1;
    if (!this.cache.add(this.position, this.state, this.inFlight, this.optionalUsed)) return -1;
    const due = this.history.byReturn[this.position]!;
    const isWrite = this.history.operations[due]!.kind !== "get";
    if (isWrite && this.isAllowed(due)) return due;
    return this.requiredChoice(this.byCall.first(requiredList));
  }

  private canGoOn(): boolean {
    const kin = this.byLineage.first(this.lineage);
    if (kin >= 0 && !this.canBecome(this.history.ranks[kin]!)) return false;
    const get = this.byNeed.first(0);
    if (get < 0) return true;
    const output = this.history.ranks[get]!;
    return this.canBecome(output) || this.canBePutFor(get, output);
  }

  /** Whether `output` can come of the current value without a put. */
  private canBecome(output: number): boolean {
    if (output === noOutput) return this.state === missing;
    return this.states.isPrefixOf(this.state, output);
  }

  private canBePutFor(get: number, output: number): boolean {
    if (output === noOutput) return false;
    const { calls, returns, facts } = this.history;
    return facts.basesOf[output]!.some((base) => {
      const put = this.byNeed.first(1 + base);
      return put >= 0 && calls[put]! < returns[get]!;
    });
  }

  /** Goes past every return whose operation is linearized, with what changes nothing on the way. */
  private advance(): void {
    const { byReturn, bits } = this.history;
    while (this.position < byReturn.length) {
      const isOver = this.byLineage.first(this.lineage) < 0;
      const areRestRead = this.byLineage.first(this.unread) < 0;
      if (isOver && areRestRead) this.state = lost;
      this.linearizeMatchingGets();
      if (isOver && this.state === lost) this.linearizeUnseen(areRestRead ? unseenByRead : unseen);
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
      if (this.matches(get)) this.linearize(get, 0);
      get = next;
    }
  }

  private linearizeUnseen(least: number): void {
    const limit = this.callLimit();
    let write = this.byCall.first(requiredList);
    while (write >= 0 && this.history.calls[write]! < limit) {
      const next = this.byCall.next(write);
      if (this.history.facts.sightings[write]! >= least) this.linearize(write, 0);
      write = next;
    }
  }

  private matches(get: number): boolean {
    const output = this.history.ranks[get]!;
    if (output === noOutput) return this.state === missing;
    return this.states.isOutput(this.state, output);
  }

  /** Operations called before this may be linearized now. */
  private callLimit(): number {
    return this.history.returns[this.history.byReturn[this.position]!]!;
  }

  // Choices: first the write that must return next, then the required ones, then the optional ones.
  private choiceAfter(op: number): number {
    if (!this.isRequired(op)) return this.optionalChoice(this.byCall.next(op));
    const isDue = op === this.history.byReturn[this.position]!;
    return this.requiredChoice(isDue ? this.byCall.first(requiredList) : this.byCall.next(op));
  }

  private requiredChoice(from: number): number {
    const due = this.history.byReturn[this.position]!;
    const limit = this.callLimit();
    for (let op = from; op >= 0 && this.history.calls[op]! < limit; op = this.byCall.next(op)) {
      if (op !== due && this.isAllowed(op) && this.isFirstOfAlike(op, limit)) return op;
    }
    return this.optionalChoice(this.byCall.first(optionalList));
  }

  private optionalChoice(from: number): number {
    const limit = this.callLimit();
    for (let op = from; op >= 0 && this.history.calls[op]! < limit; op = this.byCall.next(op)) {
      const isFirst = this.alike.first(this.classOf(op)) === op;
      if (isFirst && this.isAllowed(op) && this.isFirstOfAlike(op, limit)) return op;
    }
    return -1;
  }

  private isAllowed(op: number): boolean {
    if (this.history.operations[op]!.kind === "put") return this.byLineage.first(this.lineage) < 0;
    const link = this.history.facts.links[op];
    if (!link) return true;
    return (
      this.states.lengthOf(this.state) === link.start &&
      this.states.isPrefixOf(this.state, link.output)
    );
  }

  /** Whether no required write alike could be linearized now and returns before `op`. */
  private isFirstOfAlike(op: number, limit: number): boolean {
    const { calls, returns } = this.history;
    const alike = this.classOf(op);
    let other = this.byCall.first(requiredList);
    for (; other >= 0 && calls[other]! < limit; other = this.byCall.next(other)) {
      if (returns[other]! < returns[op]! && this.classOf(other) === alike) return false;
    }
    return true;
  }

  private linearize(op: number, chosen: 0 | 1): void {
    this.order[this.depth] = op;
    this.positionsBefore[this.depth] = this.position;
    this.statesBefore[this.depth] = this.state;
    this.lineagesBefore[this.depth] = this.lineage;
    this.chosen[this.depth] = chosen;
    this.depth++;
    this.linearized[op] = 1;
    this.byCall.remove(op);
    this.byNeed.remove(op);
    this.byLineage.remove(op);
    this.alike.remove(op);
    flip(this.setOf(op), this.history.bits[op]!);
    if (chosen) this.apply(op);
  }

  private apply(op: number): void {
    const { kind } = this.history.operations[op]!;
    const rank = this.history.ranks[op]!;
    if (kind === "put") {
      this.state = this.states.afterPut(rank);
      this.lineage = 1 + rank;
    } else if (kind === "append") {
      this.state = this.states.afterAppend(this.state, rank);
    }
  }

  /** Goes back to before the latest choice, and returns that, or -1 when there is none. */
  private undoChoice(): number {
    while (this.depth > 0) {
      const op = this.undo();
      if (this.chosen[this.depth]) return op;
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
    this.lineage = this.lineagesBefore[this.depth]!;
    flip(this.setOf(op), bits[op]!);
    this.alike.restore(op);
    this.byLineage.restore(op);
    this.byNeed.restore(op);
    this.byCall.restore(op);
    this.linearized[op] = 0;
    return op;
  }

  private setOf(op: number): Int32Array {
    return this.isRequired(op) ? this.inFlight : this.optionalUsed;
  }
}

function flip(set: Int32Array, bit: number): void {
  set[bit >>> 5] = set[bit >>> 5]! ^ (1 << (bit & 31));
}
