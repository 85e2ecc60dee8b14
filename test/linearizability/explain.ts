/** Verdicts in words. */
import type { Verdict } from "./checker.js";
import { drawingDefaults } from "./limits.js";
import type { Operation } from "./operation.js";

/** The value that `operations` leave in this order; `undefined` for a missing key. */
export function valueAfter(operations: readonly Operation[]): Uint8Array | undefined {
  const start = operations.findLastIndex(({ kind }) => kind === "put");
  const parts: Uint8Array[] = [];
  for (const operation of operations.slice(Math.max(start, 0))) {
    if (operation.kind !== "get") parts.push(operation.value);
  }
  return parts.length > 0 ? Buffer.concat(parts) : undefined;
}

/** One or two sentences for a person. */
export function explain(verdict: Verdict): string {
  const count = verdict.verdict === "legal" ? verdict.operations : verdict.operations.length;
  if (verdict.verdict === "legal") {
    return `${count} operations on ${verdict.keys} keys are linearizable`;
  }
  const key = showBytes(verdict.key);
  if (verdict.verdict === "undecided") {
    return `key ${key}: undecided, ${verdict.limit} reached after ${verdict.steps} steps`;
  }
  const { unexplained, linearized, value } = verdict;
  return (
    `key ${key}: ${describe(unexplained)} by ${unexplained.client} has no place. ` +
    `What was answered before it fits into an order of ${linearized.length} operations that ` +
    `leaves ${showBytes(value)}; no such order has this answer as well`
  );
}

/** `put "a"`, `get = "ab"`. */
export function describe(operation: Operation, bytesMax?: number): string {
  if (operation.kind !== "get") return `${operation.kind} ${showBytes(operation.value, bytesMax)}`;
  if (operation.outcome !== "ok") return "get";
  return `get = ${showBytes(operation.output, bytesMax)}`;
}

/** Quoted, printable ASCII as it is and other bytes as \xNN; the middle of a long one left out. */
export function showBytes(
  bytes: Uint8Array | undefined,
  bytesMax: number = drawingDefaults.valueBytesShownMax,
): string {
  if (bytes === undefined) return "(missing)";
  if (bytes.length <= bytesMax) return `"${printable(bytes)}"`;
  const half = bytesMax >>> 1;
  const left = bytes.length - 2 * half;
  const end = printable(bytes.subarray(bytes.length - half));
  return `"${printable(bytes.subarray(0, half))}"..${left} bytes.."${end}"`;
}

function printable(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) {
    const isPlain = byte >= 0x20 && byte < 0x7f && byte !== 0x22 && byte !== 0x5c;
    text += isPlain ? String.fromCharCode(byte) : `\\x${byte.toString(16).padStart(2, "0")}`;
  }
  return text;
}
