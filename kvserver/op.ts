/** "Unknown": an operation of the original's encoding that nobody applies. */
export type Operation = "Put" | "Append" | "Get" | "OpenSession" | "CloseSession" | "Unknown";

export interface Op {
  readonly operation: Operation;
  readonly key: Uint8Array;
  readonly value: Uint8Array;
  readonly clientId: Uint8Array;
  /** A safe integer. */
  readonly requestId: number;
  /** 0 for a client of the original's kind: see `PutAppendArgs`. */
  readonly firstUnfinished: number;
  /** The log's own clock, in ms; 0 when the entry does not tell. */
  readonly logTimeMs: number;
}

/** A command that is no `Op`, or an `Op` that the encoding has no form for. */
export class OpCodecError extends Error {
  override readonly name = "OpCodecError";
  readonly code = "ERR_OP_CODEC";
}
