import type { MprpcController } from "./mprpcController.js";
import type { ClientStream } from "./clientStream.js";
import type { RequestFramer } from "./framing.js";
import type { Codec } from "./service.js";
import { noDetails, RpcError, RpcStatus, type ErrorDetail } from "./status.js";
import { throwLater, turn } from "./turn.js";

/** What a call needs of the channel that it was made on. */
export interface ClientCallOwner {
  /** The caller gave the call up; it has ended already, but may have been sent. */
  onAbandoned(call: ClientCall): void;
}

/** What carries a call that was sent: a connection. */
export interface CallCarrier {
  /** The call ended before its reply came; `cancel`: the server is to know. */
  abandon(call: ClientCall, cancel: boolean): void;
}

/** How a reply becomes a message, and a request a frame; the types are the caller's business. */
export interface CallKind {
  readonly framer: RequestFramer<unknown>;
  readonly response: Codec<unknown>;
}

/** As a method, so that the callback of any reply type will do: only the caller knows the type. */
interface DoneHolder {
  done(response: unknown): void;
}
export type Done = DoneHolder["done"];

/** One call in a channel, from `callMethod` until its `done`, which is called exactly once. */
export class ClientCall {
  readonly kind: CallKind;
  readonly controller: MprpcController;
  readonly request: unknown;
  /** By the clock of `performance.now`; Infinity for a stream without one that has begun. */
  deadline: number;
  /** What only a streaming call has. */
  readonly stream: ClientStream | null;
  /** 0 until it was given a place in a connection's window. */
  id = 0;
  /** Where it was sent; null before that. */
  carrier: CallCarrier | null = null;
  /** It was refused once without being run, and made anew elsewhere. */
  repeated = false;
  /** `Connection.flushes` when its request was put into the output. */
  sentInFlush = 0;
  #ended = false;
  readonly #owner: ClientCallOwner;
  readonly #done: Done;
  #signal: AbortSignal | null = null;

  constructor(
    owner: ClientCallOwner,
    kind: CallKind,
    controller: MprpcController,
    request: unknown,
    done: Done,
    deadline: number,
    stream: ClientStream | null = null,
  ) {
    this.stream = stream;
    this.#owner = owner;
    this.kind = kind;
    this.controller = controller;
    this.request = request;
    this.#done = done;
    this.deadline = deadline;
    controller.setRunning(this);
    if (controller.isCanceled()) this.cancel();
    else if (controller.signal !== undefined) this.#listen(controller.signal);
  }

  /** Back to where it was before it was sent; it was certainly not run. */
  recall(): void {
    this.id = 0;
    this.carrier = null;
    this.repeated = true;
  }

  get ended(): boolean {
    return this.#ended;
  }

  /** Ends the call with its reply. */
  succeed(response: unknown): void {
    this.#end();
    this.#tell(response);
  }

  /** Ends the call without one. `done` is called later: the caller may be about to go on. */
  fail(
    reason: string,
    status: RpcStatus,
    notSent: boolean,
    cause?: unknown,
    details: readonly ErrorDetail[] = noDetails,
  ): void {
    if (this.#ended) return;
    this.#end();
    this.controller.setFailed(reason, status, cause, details);
    this.controller.notSent = notSent;
    turn.work(() => this.#tell(null));
  }

  /** Ends the call as `error` says: an `RpcError`, or what a codec threw. */
  failWith(error: unknown, notSent: boolean): void {
    if (error instanceof RpcError) this.fail(error.message, error.status, notSent, error);
    else this.fail(String(error), RpcStatus.INTERNAL, notSent, error);
  }

  /** From the controller: `startCancel` was called. */
  cancel(): void {
    this.#abandon("the caller canceled");
  }

  readonly #onAbort = (): void => this.#abandon("the caller's signal was aborted");

  #abandon(reason: string): void {
    if (this.#ended) return;
    this.fail(reason, RpcStatus.CANCELLED, this.id === 0);
    this.#owner.onAbandoned(this);
  }

  #listen(signal: AbortSignal): void {
    this.#signal = signal;
    if (signal.aborted) this.#onAbort();
    else signal.addEventListener("abort", this.#onAbort, { once: true });
  }

  #end(): void {
    this.#ended = true;
    this.controller.setRunning(null);
    this.#signal?.removeEventListener("abort", this.#onAbort);
  }

  /** A callback that throws must not take the other calls of this turn with it. */
  #tell(response: unknown): void {
    try {
      this.#done(response);
    } catch (error) {
      throwLater(error);
    }
  }
}
