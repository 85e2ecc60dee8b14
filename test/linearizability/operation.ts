/** What a client asked of the store, and what it knows of the answer. */

/**
 * `ok`: it was answered. `failed`: it certainly did not happen and never will. `unknown`: it may
 * have happened at any time after the call, may still happen, or never will.
 */
export type Outcome = "ok" | "failed" | "unknown";

interface Call {
  /** Names a lane of the drawing; a client may have several operations in flight. */
  readonly client: string;
  readonly key: Uint8Array;
  readonly outcome: Outcome;
  /**
   * Any unit, one clock for the whole history. An operation precedes another when its return time
   * is less than the other's call time: with equal times they are concurrent.
   */
  readonly callTime: number;
  /** Not before `callTime`; Infinity when the outcome is unknown. */
  readonly returnTime: number;
}

export interface WriteOperation extends Call {
  /** `append` to a missing key is a `put`. */
  readonly kind: "put" | "append";
  readonly value: Uint8Array;
}

export interface GetOperation extends Call {
  readonly kind: "get";
  /** `undefined` for a missing key; without meaning unless the outcome is `ok`. */
  readonly output: Uint8Array | undefined;
}

export type Operation = WriteOperation | GetOperation;

export const historyErrorCodes = {
  /** An operation whose times or fields make no sense. */
  INVALID_OPERATION: "the operation is not valid",
  /** A stored history that can't be read. */
  INVALID_FILE: "the stored history is not valid",
  /** `HistoryRecorder` holds `operationsMax` operations. */
  FULL: "the history is full",
  /** An operation was ended twice. */
  ENDED: "the operation has ended already",
  /** `assertLinearizable` got a verdict other than legal. */
  NOT_LINEARIZABLE: "the history is not linearizable",
} as const;

export type HistoryErrorCode = keyof typeof historyErrorCodes;

export class HistoryError extends Error {
  override readonly name = "HistoryError";
  readonly code: HistoryErrorCode;

  constructor(code: HistoryErrorCode, detail: string, cause?: unknown) {
    super(`${historyErrorCodes[code]}: ${detail}`, { cause });
    this.code = code;
  }
}

/** @throws HistoryError with INVALID_OPERATION. */
export function validateOperation(operation: Operation): void {
  const { callTime, returnTime, outcome } = operation;
  if (!Number.isFinite(callTime)) {
    throw new HistoryError("INVALID_OPERATION", `callTime ${callTime} of ${operation.client}`);
  }
  if (!(returnTime >= callTime) || (returnTime === Infinity) !== (outcome === "unknown")) {
    throw new HistoryError(
      "INVALID_OPERATION",
      `${operation.client} called at ${callTime}, ${outcome} at ${returnTime}`,
    );
  }
}
