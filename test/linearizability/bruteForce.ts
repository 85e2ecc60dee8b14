/**
 * The definition of linearizability, word for word: some order of the operations, unknown ones left
 * out at will, obeys real time and explains every answer. It shares nothing with the checker.
 */
import type { Operation } from "./operation.js";

/** For a handful of operations on one key: the work grows with their factorial. */
export function isLinearizableByBruteForce(operations: readonly Operation[]): boolean {
  return extend(
    undefined,
    operations.filter(({ outcome }) => outcome !== "failed"),
  );
}

function extend(value: string | undefined, left: readonly Operation[]): boolean {
  if (left.every(({ outcome }) => outcome === "unknown")) return true;
  return left.some((next) => {
    const others = left.filter((operation) => operation !== next);
    const isPreceded = others.some(
      ({ outcome, returnTime }) => outcome === "ok" && returnTime < next.callTime,
    );
    if (isPreceded) return false;
    const answer = next.kind === "get" && next.outcome === "ok" ? text(next.output) : value;
    return answer === value && extend(after(value, next), others);
  });
}

function after(value: string | undefined, operation: Operation): string | undefined {
  if (operation.kind === "get") return value;
  return operation.kind === "put" ? text(operation.value) : (value ?? "") + text(operation.value);
}

function text(bytes: Uint8Array | undefined): string | undefined {
  return bytes && Buffer.from(bytes).toString("latin1");
}
