import type { CallList } from "./callList.js";
import type { Attempt, AttemptDone, AttemptFailure, ServerReply } from "./serverNode.js";
import type { Session } from "./session.js";

export type Operation = "get" | "put" | "append" | "open session";

/** How a call ends: with the value that a get found, or with undefined. */
export interface Settle {
  readonly resolve: (value: Buffer | undefined) => void;
  readonly reject: (error: Error) => void;
}

/**
 * One call of the Clerk, from its submission to its end.
 *
 *     queued --> trying <--> sleeping (backoff) --> settled
 *        ^---------' (its session expired, or the node is of revision 1: starts over)
 */
export class Call {
  readonly operation: Operation;
  /** Of an OpenSession: the client id, a fresh one after each attempt that may have opened one. */
  key: Uint8Array;
  readonly value: Uint8Array;
  /** On the environment's clock. */
  readonly deadline: number;
  readonly settle: Settle;
  readonly signal: AbortSignal | undefined;
  settled = false;
  /** It counts as one of the calls in flight. */
  inFlight = false;

  /** Links of the list that it stands in. */
  list: CallList | null = null;
  previous: Call | null = null;
  next: Call | null = null;
  /** Order of submission. */
  sequence = 0;

  /** When something is to be done about it, and its place in the heap that knows. */
  dueAt = 0;
  heapIndex = -1;

  /** Only of a write that has its id. */
  session: Session | null = null;
  requestId = 0;

  /** The node of the last attempt. */
  node = -1;
  /** The attempt under way. */
  attempt: Attempt | null = null;
  /** Set once, when it starts: the same function serves every attempt. */
  done: AttemptDone<ServerReply> | null = null;
  /** Nodes that failed since the last wait, and waits so far. */
  failuresInRound = 0;
  rounds = 0;
  /** Some node may have seen an attempt. */
  reached = false;
  /** An attempt of a write has an unknown outcome: never false again. */
  ambiguous = false;
  /** The node of `lastFailure`. */
  failedNode = -1;
  lastFailure: AttemptFailure | null = null;
  /** Listens to `signal` until the call is settled. */
  onAbort: (() => void) | null = null;

  constructor(
    operation: Operation,
    key: Uint8Array,
    value: Uint8Array,
    deadline: number,
    settle: Settle,
    signal?: AbortSignal,
  ) {
    this.operation = operation;
    this.key = key;
    this.value = value;
    this.deadline = deadline;
    this.settle = settle;
    this.signal = signal;
  }

  get isWrite(): boolean {
    return this.operation === "put" || this.operation === "append";
  }

  /** Key and value: the part of a request that has no bound of its own. */
  get bytes(): number {
    return this.key.length + this.value.length;
  }

  /** What `ClerkError.mayHaveHappened` says if it fails now. */
  get mayHaveHappened(): boolean {
    return this.isWrite && (this.ambiguous || this.attempt?.sent === true);
  }
}
