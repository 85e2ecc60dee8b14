/** Everything that a call of the Clerk can fail with, and when. Codes are stable. */
export const clerkErrorCodes = {
  /** A key, value, option or node list that can't be right. */
  INVALID_ARGUMENT: "invalid argument",
  /** Key and value pass what one request may carry, or a value what a reply may. */
  TOO_LARGE: "too large",
  /** An append would have made the value larger than any value may be. */
  VALUE_TOO_LARGE: "the value would become too large",
  /** More calls wait on this Clerk than it holds. */
  QUEUE_FULL: "too many calls are waiting on this Clerk",
  /** A node understood the call and will not do it: retrying would not help. */
  REFUSED: "the node refused",
  /** The deadline passed, and no node ever answered this call. */
  UNREACHABLE: "no node could be reached before the deadline",
  /** The deadline passed. */
  TIMEOUT: "the deadline passed",
  /** The caller's AbortSignal. */
  CANCELLED: "cancelled by the caller",
  /** The Clerk was closed before or during the call. */
  CLOSED: "the Clerk is closed",
  /** The cluster forgot the session while the outcome of an earlier attempt was unknown. */
  SESSION_EXPIRED: "the session expired",
} as const;

export type ClerkErrorCode = keyof typeof clerkErrorCodes;

export interface ClerkErrorDetails {
  readonly mayHaveHappened?: boolean;
  readonly cause?: unknown;
}

/** What every call of the Clerk rejects with. */
export class ClerkError extends Error {
  override readonly name = "ClerkError";
  readonly code: ClerkErrorCode;
  /**
   * False: the write did not happen and never will. True: an attempt of it has an unknown outcome,
   * and it happened, will still happen, or neither; but not twice. Always false for a read.
   */
  readonly mayHaveHappened: boolean;

  constructor(code: ClerkErrorCode, explanation: string, details: ClerkErrorDetails = {}) {
    super(`${clerkErrorCodes[code]}: ${explanation}`, { cause: details.cause });
    this.code = code;
    this.mayHaveHappened = details.mayHaveHappened ?? false;
  }
}
