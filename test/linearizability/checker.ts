/** Decides whether a history of puts, appends and gets is linearizable, key by key. */
import { performance } from "node:perf_hooks";
import { findContradiction } from "./contradiction.js";
import { drawVerdict } from "./drawing.js";
import { explain, valueAfter } from "./explain.js";
import { keyHistory } from "./keyHistory.js";
import type { Permit, SearchResult } from "./keySearch.js";
import { KeySearch } from "./keySearch.js";
import type { CheckLimits } from "./limits.js";
import { checkDefaults } from "./limits.js";
import type { Operation } from "./operation.js";
import { HistoryError, validateOperation } from "./operation.js";
import { sortBytes } from "./sortedBytes.js";

export interface Legal {
  readonly verdict: "legal";
  readonly keys: number;
  readonly operations: number;
  /** Operations that the search tried to place, over all keys. */
  readonly steps: number;
}

export interface Illegal {
  readonly verdict: "illegal";
  readonly key: Uint8Array;
  /** All operations on the key, as given. */
  readonly operations: readonly Operation[];
  /** An order of all that was answered before `unexplained`, and of what it needs besides. */
  readonly linearized: readonly Operation[];
  /** The value after `linearized`; `undefined` for a missing key. */
  readonly value: Uint8Array | undefined;
  /**
   * The first answer, by the time of its return, that no order explains together with all before
   * it; or a later one, where the limits did not allow finding the first.
   */
  readonly unexplained: Operation;
  readonly steps: number;
}

/** Not known: a limit was reached. To be treated as a failure. */
export interface Undecided {
  readonly verdict: "undecided";
  readonly key: Uint8Array;
  readonly operations: readonly Operation[];
  readonly limit: keyof CheckLimits;
  readonly steps: number;
}

export type Verdict = Legal | Illegal | Undecided;

export interface CheckOptions {
  readonly limits?: Partial<CheckLimits>;
  /** Milliseconds; `performance.now` unless a test has another. */
  readonly now?: () => number;
}

/**
 * One key without an order makes the history illegal; a key that could not be decided makes it
 * undecided unless another is illegal. In any order of `operations`.
 * @throws HistoryError with INVALID_OPERATION.
 */
export function checkHistory(
  operations: readonly Operation[],
  { limits = {}, now = () => performance.now() }: CheckOptions = {},
): Verdict {
  operations.forEach(validateOperation);
  const budget = new Budget({ ...checkDefaults, ...limits }, now);
  const groups = groupByKey(operations);
  let undecided: Undecided | null = null;
  for (const group of groups) {
    const verdict = checkKey(group, budget);
    if (verdict?.verdict === "illegal") return verdict;
    undecided ??= verdict;
  }
  return (
    undecided ?? {
      verdict: "legal",
      keys: groups.length,
      operations: operations.length,
      steps: budget.steps,
    }
  );
}

export interface AssertOptions extends CheckOptions {
  /** Where the drawing of a history that is not legal goes: an HTML file. */
  readonly drawTo?: string;
}

/**
 * @throws HistoryError with NOT_LINEARIZABLE unless the verdict is legal; the message says why, and
 *   where the drawing is.
 */
export function assertLinearizable(
  operations: readonly Operation[],
  { drawTo, ...options }: AssertOptions = {},
): Legal {
  const verdict = checkHistory(operations, options);
  if (verdict.verdict === "legal") return verdict;
  let detail = explain(verdict);
  if (drawTo !== undefined) {
    drawVerdict(drawTo, verdict);
    detail += `; drawn in ${drawTo}`;
  }
  throw new HistoryError("NOT_LINEARIZABLE", detail);
}

/** What the search of each key may still use. */
class Budget {
  steps = 0;
  reached: keyof CheckLimits | null = null;
  private readonly limits: CheckLimits;
  private readonly now: () => number;
  private readonly deadline: number;

  constructor(limits: CheckLimits, now: () => number) {
    this.limits = limits;
    this.now = now;
    this.deadline = now() + limits.checkMsMax;
  }

  permitKey(): Permit {
    const end = this.steps + this.limits.stepsPerKeyMax;
    this.reached = null;
    return (memoryBytes) => {
      if (this.steps >= end) this.reached = "stepsPerKeyMax";
      else if (memoryBytes > this.limits.memoryPerKeyBytesMax)
        this.reached = "memoryPerKeyBytesMax";
      // The clock is read once in 1024 steps: a step takes less time than that.
      else if ((this.steps & 1023) === 0 && this.now() > this.deadline) this.reached = "checkMsMax";
      this.steps++;
      return this.reached === null;
    };
  }
}

function checkKey(operations: readonly Operation[], budget: Budget): Illegal | Undecided | null {
  const { key } = operations[0]!;
  const search = (history: readonly Operation[]): SearchResult =>
    new KeySearch(keyHistory(history)).run(budget.permitKey());
  const result = search(operations);
  if (result === "stopped") {
    const limit = budget.reached!;
    return { verdict: "undecided", key, operations, limit, steps: budget.steps };
  }
  if (result) return null;
  const { linearized, unexplained } = findContradiction(operations, search);
  const value = valueAfter(linearized);
  const { steps } = budget;
  return { verdict: "illegal", key, operations, linearized, value, unexplained, steps };
}

function groupByKey(operations: readonly Operation[]): Operation[][] {
  const { ranks } = sortBytes(operations.map(({ key }) => key));
  const groups: Operation[][] = [];
  for (const [at, operation] of operations.entries()) (groups[ranks[at]!] ??= []).push(operation);
  return groups;
}
