/** How every call ends: gRPC's numbers and names. */
export const RpcStatus = {
  OK: 0,
  /** The caller gave the call up. */
  CANCELLED: 1,
  /** An error without a better name. */
  UNKNOWN: 2,
  /** The request can't be encoded or decoded, or says something that no state could satisfy. */
  INVALID_ARGUMENT: 3,
  /** The call took longer than its caller would wait. It may have been carried out. */
  DEADLINE_EXCEEDED: 4,
  NOT_FOUND: 5,
  ALREADY_EXISTS: 6,
  PERMISSION_DENIED: 7,
  /** A limit was reached: a frame's size, calls in flight, a queue. */
  RESOURCE_EXHAUSTED: 8,
  FAILED_PRECONDITION: 9,
  ABORTED: 10,
  OUT_OF_RANGE: 11,
  /** The server has no such service or method. */
  UNIMPLEMENTED: 12,
  /** The callee's code failed, or its reply can't be understood. */
  INTERNAL: 13,
  /** No connection, or it was lost. `MprpcController.notSent` tells whether a retry is free of risk. */
  UNAVAILABLE: 14,
  DATA_LOSS: 15,
  UNAUTHENTICATED: 16,
} as const;

export type RpcStatus = (typeof RpcStatus)[keyof typeof RpcStatus];
export type RpcStatusName = keyof typeof RpcStatus;

const statuses: readonly RpcStatus[] = Object.values(RpcStatus);
const names = Object.keys(RpcStatus).filter(isStatusName);

function isStatusName(text: string): text is RpcStatusName {
  return Object.hasOwn(RpcStatus, text);
}

/** The status that `number` from the wire stands for; UNKNOWN for one that nobody defined. */
export function statusFromNumber(number: number): RpcStatus {
  return statuses[number] ?? RpcStatus.UNKNOWN;
}

export function statusName(status: RpcStatus): RpcStatusName {
  return names[status] ?? "UNKNOWN";
}

/** One message of any type beside an error, for programs: see `detail` and `findDetail`. */
export interface ErrorDetail {
  /** Full name of the message's type: `shop.v1.OutOfStock`. */
  readonly type: string;
  /** The message, encoded. */
  readonly value: Uint8Array;
}

export const noDetails: readonly ErrorDetail[] = Object.freeze([]);

export interface RpcErrorOptions extends ErrorOptions {
  readonly details?: readonly ErrorDetail[];
}

/** A call that did not end with OK. */
export class RpcError extends Error {
  readonly status: RpcStatus;
  /** The status's name: stable, for programs to branch on. */
  readonly code: RpcStatusName;
  /** What a handler says beyond the text; it travels to the caller as far as a header holds it. */
  readonly details: readonly ErrorDetail[];

  constructor(status: RpcStatus, message: string, options: RpcErrorOptions = {}) {
    super(message, options);
    this.name = "RpcError";
    this.status = status;
    this.code = statusName(status);
    this.details = options.details ?? noDetails;
  }
}
