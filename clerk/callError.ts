import type { Call } from "./call.js";
import { ClerkError, type ClerkErrorCode } from "./errors.js";
import type { ServerNode } from "./serverNode.js";

/**
 * The error for a call that fails now: says what is known of its outcome, and what the last node
 * said. `diagnosis` is the call whose attempts explain it: itself, or the OpenSession it waits for.
 */
export function callError(
  code: ClerkErrorCode,
  call: Call,
  diagnosis: Call,
  nodes: readonly ServerNode[],
  cause?: unknown,
): ClerkError {
  const { mayHaveHappened } = call;
  const failure = lastFailure(diagnosis, nodes);
  const explanation = `${outcome(call)}${failure === null ? "" : `; ${failure}`}`;
  return new ClerkError(code, explanation, {
    mayHaveHappened,
    cause: cause ?? (failure === null ? undefined : new Error(failure)),
  });
}

function outcome(call: Call): string {
  const { operation, mayHaveHappened } = call;
  if (!call.isWrite) return `the ${operation} has no answer`;
  if (mayHaveHappened) return `the ${operation} may have happened`;
  return `the ${operation} did not happen`;
}

function lastFailure(call: Call, nodes: readonly ServerNode[]): string | null {
  const node = nodes[call.failedNode];
  if (node === undefined || call.lastFailure === null) return null;
  return `node ${call.failedNode} (${node.address}): ${call.lastFailure.text}`;
}
