import type { PeerIdentity } from "./peerIdentity.js";
import { RpcError, RpcStatus, statusName } from "./status.js";

/** A key (lower-case ASCII) and its value, carried beside a call. */
export interface MetadataEntry {
  readonly key: string;
  readonly value: Uint8Array;
}

export type Metadata = readonly MetadataEntry[];

export const noMetadata: Metadata = Object.freeze([]);

/** What a caller can ask for beside the request. */
export interface CallOptions {
  /** How long to wait for the reply; more than 0. Default: the channel's `callTimeoutMs`. */
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
}

/** Whoever runs the call that a controller belongs to, and can end it early. */
export interface Cancellable {
  cancel(controller: MprpcController): void;
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
  /** What the callee sends beside the reply; on the client, once the call is done. */
  replyMetadata: Metadata = noMetadata;
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

  #status: RpcStatus = RpcStatus.OK;
  #errorText = "";
  #cause: unknown = undefined;
  #canceled = false;
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
    this.signal = undefined;
    this.notSent = false;
    this.deadline = Infinity;
    this.origin = nowhere;
    this.#status = RpcStatus.OK;
    this.#errorText = "";
    this.#cause = undefined;
    this.#canceled = false;
    this.#listeners = null;
    this.#running = null;
  }

  failed(): boolean {
    return this.#status !== RpcStatus.OK;
  }

  get status(): RpcStatus {
    return this.#status;
  }

  /** What went wrong, for people to read; empty when nothing did. */
  errorText(): string {
    return this.#errorText;
  }

  /** The error behind the failure, where there was one; it never travels to the other side. */
  get cause(): unknown {
    return this.#cause;
  }

  /** The failure as an error to throw; only when `failed()`. */
  error(): RpcError {
    const options = this.#cause === undefined ? undefined : { cause: this.#cause };
    return new RpcError(this.#status, this.#errorText, options);
  }

  /** Ends the call with `status` and a text for people. OK is not a failure: it becomes UNKNOWN. */
  setFailed(reason: string, status: RpcStatus = RpcStatus.UNKNOWN, cause?: unknown): void {
    this.#status = status === RpcStatus.OK ? RpcStatus.UNKNOWN : status;
    this.#errorText = reason === "" ? statusName(this.#status) : reason;
    this.#cause = cause;
  }

  /**
   * Ends the call with what a handler threw: an RpcError with its own status and text, anything
   * else as INTERNAL, without telling the caller more.
   */
  setThrown(thrown: unknown): void {
    if (thrown instanceof RpcError) this.setFailed(thrown.message, thrown.status, thrown);
    else this.setFailed("the handler failed", RpcStatus.INTERNAL, thrown);
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
    if (listeners !== null) callEach(listeners);
  }

  /** Server: the caller no longer waits: it canceled, its deadline passed or it is gone. */
  isCanceled(): boolean {
    return this.#canceled;
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
