import { RpcStatus } from "../rpc/status.js";
import type { AttemptFailure } from "./serverNode.js";

/** What an attempt's reply says, read from its `Err`. */
export type Verdict =
  "ok" | "noKey" | "wrongLeader" | "sessionExpired" | "valueTooLarge" | "unknown";

const verdicts = new Map<string, Verdict>([
  ["OK", "ok"],
  ["ErrNoKey", "noKey"],
  ["ErrWrongLeader", "wrongLeader"],
  ["ErrSessionExpired", "sessionExpired"],
  ["ErrValueTooLarge", "valueTooLarge"],
]);

const letterO = 0x4f;
const letterK = 0x4b;
const errBytesMax = 64;

export function readVerdict(err: Uint8Array): Verdict {
  // Nearly all of them: not worth a string.
  if (err.length === 2 && err[0] === letterO && err[1] === letterK) return "ok";
  return verdicts.get(errText(err)) ?? "unknown";
}

/** `Err` for people, and short whatever a node sends. */
export function errText(err: Uint8Array): string {
  return Buffer.from(err.buffer, err.byteOffset, Math.min(err.length, errBytesMax)).toString(
    "latin1",
  );
}

/** What to do after an attempt that ended with a status. */
export type Remedy =
  /** Another node may do better. */
  | "nextNode"
  /** The right node, at a bad moment. */
  | "wait"
  /** Request or reply pass what the node or this process takes. */
  | "tooLarge"
  /** Every node would say the same again. */
  | "giveUp";

/** A node or channel that answers with one of these has not begun to execute the request. */
const notExecuted: ReadonlySet<RpcStatus> = new Set([
  RpcStatus.INVALID_ARGUMENT,
  RpcStatus.PERMISSION_DENIED,
  RpcStatus.RESOURCE_EXHAUSTED,
  RpcStatus.UNIMPLEMENTED,
  RpcStatus.UNAUTHENTICATED,
]);

const pointlessToRepeat: ReadonlySet<RpcStatus> = new Set([
  RpcStatus.INVALID_ARGUMENT,
  RpcStatus.PERMISSION_DENIED,
  RpcStatus.UNAUTHENTICATED,
]);

/** An overloaded node and a frame over the limit share a status; the text of the latter names it. */
const namesSizeLimit = /(request|reply|header)BytesMax/;

export function mayHaveExecuted(failure: AttemptFailure): boolean {
  return failure.sent && !notExecuted.has(failure.status);
}

export function remedyFor(failure: AttemptFailure): Remedy {
  if (pointlessToRepeat.has(failure.status)) return "giveUp";
  if (failure.status !== RpcStatus.RESOURCE_EXHAUSTED) return "nextNode";
  return namesSizeLimit.test(failure.text) ? "tooLarge" : "wait";
}
