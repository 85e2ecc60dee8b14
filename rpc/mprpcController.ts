import type { PeerIdentity } from "./peerIdentity.js";
import {
  noDetails,
  RpcError,
  RpcStatus,
  statusFromNumber,
  statusName,
  type ErrorDetail,
} from "./status.js";

/** A key (lower-case ASCII) and its value, carried beside a call. */
export interface MetadataEntry {
  readonly key: string;
  readonly value: Uint8Array;
}

export type Metadata = readonly MetadataEntry[];

export const noMetadata: Metadata = Object.freeze([]);

/** What a caller can ask for beside the request. */
export interface CallOptions {
  /**
   * How long to wait for the reply, or the end of the stream; more than 0. Default: the channel's
   * `callTimeoutMs` for a reply, and no limit for a stream that has begun.
   */
  readonly timeoutMs?: number | undefined;
  readonly metadata?: Metadata | undefined;
  /** Cancels the call when it is aborted. */
  readonly signal?: AbortSignal | undefined;
}

/** Where a call came from; one for all calls of a connection and revision. */
export interface CallOrigin {
  /** Of the wire, as the caller speaks it: see DESIGN.md, section 4. */
  readonly revision: 1 | 2;
  /** Address and port of the caller, for people to read. */
  readonly peer: string;
  /** The caller by its certificate; undefined without TLS, or where it showed none. */
  readonly identity?: PeerIdentity | undefined;
  /**
   * Called once when the connection has ended, by a connection of revision 1; for one handler to
   * set. `finished`: the caller closed it in good order, with everything answered.
   */
  onEnded?: ((finished: boolean) => void) | undefined;
}

/** Whoever runs the call that a controller belongs to, and can end it early. */
export interface Cancellable {
  cancel(controller: MprpcController): void;
}

/** How a call failed. */
interface Failure {
  readonly status: RpcStatus;
  readonly text: string;
  readonly cause: unknown;
  readonly details: readonly ErrorDetail[];
  /** The same as `error` gave it out. */
  error: RpcError | null;
}

const nowhere: CallOrigin = { revision: 2, peer: "" };

/**
 * One call's circumstances and outcome: what protobuf's `RpcController` is in the original. A
 * client makes one for each call, or reuses one after `reset`; the server hands one to the handler.
 */
export class MprpcController {
  /** Client: how long to wait; 0 for the channel's default. */
  timeoutMs: number;
  /** What the caller sends beside the request. */
  metadata: Metadata;
  /**
   * What the callee sends beside the reply, or with the first message of a stream; on the client,
   * once that is there.
   */
  replyMetadata: Metadata = noMetadata;
  /** What the callee sends with the end of a stream; on the client, once the stream has ended. */
  trailingMetadata: Metadata = noMetadata;
  /** Client: cancels the call when it is aborted. */
  signal: AbortSignal | undefined;
  /**
   * Client, once the call has failed: true when the request was certainly never written to a
   * socket, so that repeating it can't carry it out twice.
   */
  notSent = false;
  /** Server: when the caller stops waiting, by the clock of `performance.now`; Infinity: never. */
  deadline = Infinity;
  origin: CallOrigin = nowhere;

  /** One object, made by a failure: most calls have none, and each field costs every call. */
  #failure: Failure | null = null;
  #canceled = false;
  #abort: AbortController | null = null;
  #listeners: (() => void)[] | null = null;
  #running: Cancellable | null = null;

  constructor(options: CallOptions = {}) {
    this.timeoutMs = options.timeoutMs ?? 0;
    this.metadata = options.metadata ?? noMetadata;
    this.signal = options.signal;
  }

  /** Back to the state of a new controller, options included. Not while its call is running. */
  reset(): void {
    this.timeoutMs = 0;
    this.metadata = noMetadata;
    this.replyMetadata = noMetadata;
    this.trailingMetadata = noMetadata;
    this.signal = undefined;
    this.deadline = Infinity;
    this.origin = nowhere;
    this.clearFailure();
    this.#canceled = false;
    this.#abort = null;
    this.#listeners = null;
    this.#running = null;
  }

  /** Forgets how a call failed, so that the same controller can serve another attempt. */
  clearFailure(): void {
    this.notSent = false;
    this.#failure = null;
  }

  failed(): boolean {
    return this.#failure !== null;
  }

  get status(): RpcStatus {
    return this.#failure === null ? RpcStatus.OK : this.#failure.status;
  }

  /** What went wrong, for people to read; empty when nothing did. */
  errorText(): string {
    return this.#failure === null ? "" : this.#failure.text;
  }

  /** The error behind the failure, where there was one; it never travels to the other side. */
  get cause(): unknown {
    return this.#failure?.cause;
  }

  /** What the callee says of the failure beyond the text; see `findDetail`. */
  get details(): readonly ErrorDetail[] {
    return this.#failure === null ? noDetails : this.#failure.details;
  }

  /** The failure as an error to throw; only when `failed()`. */
  error(): RpcError {
    const failure = this.#failure;
    if (failure === null) return new RpcError(RpcStatus.UNKNOWN, "the call has not failed");
    const { status, text, cause, details } = failure;
    const options = cause === undefined ? { details } : { details, cause };
    failure.error ??= new RpcError(status, text, options);
    return failure.error;
  }

  /**
   * Ends the call with `status`, a text for people and details for programs. OK is not a failure:
   * it becomes UNKNOWN, as does a number that is no status.
   */
  setFailed(
    reason: string,
    status: RpcStatus = RpcStatus.UNKNOWN,
    cause?: unknown,
    details: readonly ErrorDetail[] = noDetails,
  ): void {
    const kept = status === RpcStatus.OK ? RpcStatus.UNKNOWN : statusFromNumber(status);
    const text = reason || statusName(kept);
    this.#failure = { status: kept, text, cause, details, error: null };
  }

  /**
   * Ends the call with what a handler threw: an RpcError with its own status, text and details,
   * anything else as INTERNAL, without telling the caller more.
   */
  setThrown(thrown: unknown): void {
    // It says already what it is to say, and more exactly.
    if (this.#failure !== null && thrown === this.#failure.error) return;
    if (thrown instanceof RpcError) {
      this.setFailed(thrown.message, thrown.status, thrown, thrown.details);
    } else this.setFailed("the handler failed", RpcStatus.INTERNAL, thrown);
  }

  /**
   * Client: gives the call up; it ends with CANCELLED unless it already ended.
   * @throws whatever the first broken listener threw, when all have been told.
   */
  startCancel(): void {
    if (this.#canceled) return;
    this.#canceled = true;
    const listeners = this.#listeners;
    this.#listeners = null;
    this.#running?.cancel(this);
    this.#abort?.abort(this.#abortReason());
    if (listeners !== null) callEach(listeners);
  }

  /** Server: the caller no longer waits: it canceled, its deadline passed or it is gone. */
  isCanceled(): boolean {
    return this.#canceled;
  }

  /**
   * Server: aborted when `isCanceled()` comes to hold, for whatever takes an AbortSignal. It is made
   * when it is first asked for. Its reason is an RpcError.
   */
  get abortSignal(): AbortSignal {
    if (this.#abort === null) {
      this.#abort = new AbortController();
      if (this.#canceled) this.#abort.abort(this.#abortReason());
    }
    return this.#abort.signal;
  }

  #abortReason(): RpcError {
    if (this.failed()) return this.error();
    return new RpcError(RpcStatus.CANCELLED, "the caller no longer waits");
  }

  /** Calls `callback` once when the call is canceled, at once when it already is. */
  notifyOnCancel(callback: () => void): void {
    if (this.#canceled) callback();
    else (this.#listeners ??= []).push(callback);
  }

  /** Which revision of the wire the caller speaks. */
  get revision(): 1 | 2 {
    return this.origin.revision;
  }

  /** Server: address and port of the caller. */
  get peer(): string {
    return this.origin.peer;
  }

  /** Server: how long the caller will still wait, in ms; Infinity without a deadline. */
  remainingMs(): number {
    return this.deadline === Infinity ? Infinity : Math.max(0, this.deadline - performance.now());
  }

  /** For whoever runs the call: where `startCancel` goes; null when the call has ended. */
  setRunning(running: Cancellable | null): void {
    this.#running = running;
  }
}

/** Calls all of them, and only then throws what the first that failed has thrown. */
function callEach(callbacks: readonly (() => void)[]): void {
  const thrown: unknown[] = [];
  for (const callback of callbacks) {
    try {
      callback();
    } catch (error) {
      thrown.push(error);
    }
  }
  if (thrown.length > 0) throw thrown[0];
}
