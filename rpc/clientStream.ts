import type { ClientCall } from "./clientCall.js";
import { streamMessageOverhead, type ReplyHeader } from "./framing.js";
import type { StreamFlow, StreamSink } from "./service.js";
import { RpcError, RpcStatus } from "./status.js";
import { throwLater } from "./turn.js";

/** What a stream needs of the connection that it runs on. */
export interface ClientStreamOwner {
  /** Lets the server of `call` send `bytes` more. */
  grant(call: ClientCall, bytes: number): void;
}

/** As methods, so that the sink of any message type will do: only the caller knows the type. */
export type AnySink = StreamSink<never>;

/**
 * The receiving end of a streaming call: what a `ClientCall` has beside what every call has.
 *
 * What the server may send is `window` at first, and what was granted since. Each message costs its
 * size and an overhead; grants go out when half the window has been taken, so that a steady stream
 * never waits for one.
 */
export class ClientStream implements StreamFlow {
  /** Bytes that the server may send before the first grant. */
  readonly window: number;
  /** When the whole stream must have ended, by the clock of `performance.now`; or Infinity. */
  readonly deadline: number;
  readonly #sink: AnySink;
  #call: ClientCall | null = null;
  #owner: ClientStreamOwner | null = null;
  /** At or below 0 the server must send nothing. */
  #credit: number;
  /** Taken by the consumer, and not granted yet. */
  #taken = 0;
  #begun = false;

  constructor(sink: AnySink, window: number, deadline: number) {
    this.#sink = sink;
    this.window = window;
    this.deadline = deadline;
    this.#credit = window;
  }

  /** The request goes out on a connection. */
  begin(call: ClientCall, owner: ClientStreamOwner): void {
    this.#call = call;
    this.#owner = owner;
  }

  grant(bytes: number): void {
    this.#taken += bytes;
    if (this.#taken * 2 < this.window || this.#call === null || this.#call.ended) return;
    this.#credit += this.#taken;
    this.#owner?.grant(this.#call, this.#taken);
    this.#taken = 0;
  }

  /** One message arrived; returns what was wrong with it, or null. */
  receive(call: ClientCall, header: ReplyHeader, body: Buffer): RpcError | null {
    if (this.#credit <= 0) {
      return new RpcError(RpcStatus.INTERNAL, "the server sent more than it was granted");
    }
    const cost = body.length + streamMessageOverhead;
    this.#credit -= cost;
    this.#noteBegin(call, header);
    let message: unknown;
    try {
      message = call.kind.response.decode(body);
    } catch (cause) {
      const text = cause instanceof Error ? cause.message : String(cause);
      return new RpcError(RpcStatus.INTERNAL, `a message can't be decoded: ${text}`, { cause });
    }
    try {
      this.#sink.onMessage(message as never, cost);
    } catch (error) {
      throwLater(error);
    }
    return null;
  }

  /** The last frame arrived. */
  finish(call: ClientCall, header: ReplyHeader): void {
    this.#noteBegin(call, header);
    call.controller.trailingMetadata = header.metadata;
  }

  /** The call is over, as its controller says. */
  readonly end = (): void => this.#sink.onEnd();

  #noteBegin(call: ClientCall, header: ReplyHeader): void {
    if (this.#begun) return;
    this.#begun = true;
    call.controller.replyMetadata = header.metadata;
  }
}
