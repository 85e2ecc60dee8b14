/** Finds where a history that has no order stops having one. */
import type { SearchResult } from "./keySearch.js";
import type { Operation } from "./operation.js";

export interface Contradiction {
  /** An order of all that returned before `unexplained`, and of what it needs besides. */
  readonly linearized: readonly Operation[];
  readonly unexplained: Operation;
}

/**
 * Bisects the returns: what follows a contradiction does not mend it. The operation found is a get
 * unless a search was stopped, for a write that returns can still take the last place.
 */
export function findContradiction(
  operations: readonly Operation[],
  search: (history: readonly Operation[]) => SearchResult,
): Contradiction {
  const answered = operations.filter(({ outcome }) => outcome === "ok");
  answered.sort((a, b) => a.returnTime - b.returnTime);
  let linearized: readonly Operation[] = [];
  let legal = 0;
  let illegal = answered.length;
  while (illegal - legal > 1) {
    const middle = (legal + illegal) >>> 1;
    const originals = upToReturn(operations, answered, middle);
    const order = search([...originals.keys()]);
    if (order === "stopped") break;
    if (order) {
      legal = middle;
      linearized = order.map((operation) => originals.get(operation)!);
    } else {
      illegal = middle;
    }
  }
  return { linearized, unexplained: answered[illegal - 1]! };
}

/** The history as it was known when `count` operations had returned, and what it was made from. */
function upToReturn(
  operations: readonly Operation[],
  answered: readonly Operation[],
  count: number,
): Map<Operation, Operation> {
  const returned = new Set(answered.slice(0, count));
  const now = answered[count - 1]!.returnTime;
  const known = new Map<Operation, Operation>();
  for (const operation of operations) {
    if (operation.callTime > now) continue;
    const isKnown = operation.outcome !== "ok" || returned.has(operation);
    const seen: Operation = isKnown
      ? operation
      : { ...operation, outcome: "unknown", returnTime: Infinity };
    known.set(seen, operation);
  }
  return known;
}
