import { rpcLimits } from "../config/options.js";
import { streamCreditMax, streamMessageOverhead } from "./framing.js";
import type { ServerCall } from "./serverCall.js";

/** What a stream needs of the connection that it is sent on. */
export interface StreamSenderOwner {
  /** Whether output may be added now. After a false answer `wake` will be called. */
  streamMaySend(): boolean;
  /** Puts one message into the output; returns its size, or -1 after it has ended the call. */
  sendMessage(call: ServerCall, message: unknown): number;
}

/**
 * The sending end of a streaming call. The handler's iterator is asked for a message only when that
 * can be sent: while there is credit, the output has room, and others had their turn.
 *
 *     waiting ── credit, room ──► next() ──► message ──► output ─┐
 *        ▲                          └─ done, thrown ─► status    │
 *        └──────────── no credit, or too much output ◄───────────┘
 *     stop(), from anywhere: the iterator's return()
 */
export class StreamSender {
  readonly #owner: StreamSenderOwner;
  readonly #call: ServerCall;
  /** Bytes that may be sent: 0 or less after the message that used them up. */
  #credit: number;
  #iterator: AsyncIterator<unknown> | null = null;
  #begun = false;
  #stopped = false;
  #wake: (() => void) | null = null;

  constructor(owner: StreamSenderOwner, call: ServerCall, credit: number) {
    this.#owner = owner;
    this.#call = call;
    this.#credit = credit;
  }

  /** Whether a message was sent, and the initial metadata with it. */
  get begun(): boolean {
    return this.#begun;
  }

  /** Runs the handler, and sends what it has to say. */
  async run(request: unknown): Promise<void> {
    const { offered, controller, done } = this.#call;
    try {
      const iterable = await offered.service.callStream?.(offered.method, controller, request);
      this.#iterator = iterate(iterable);
      if (this.#stopped) await this.#close();
      else if (!(await this.#sendAll(this.#iterator))) return;
    } catch (thrown) {
      // Of a stopped iterator only what its `return` throws matters: `stop` sees to that.
      if (this.#stopped && this.#iterator !== null) return;
      controller.setThrown(thrown);
    }
    done(null);
  }

  /** The caller takes `bytes` more; false when no caller can mean that much. */
  grant(bytes: number): boolean {
    this.#credit += bytes;
    if (this.#credit > streamCreditMax) return false;
    this.wake();
    return true;
  }

  /** There may be room in the output again. */
  wake(): void {
    const wake = this.#wake;
    this.#wake = null;
    wake?.();
  }

  /** Nobody wants more: the handler's iterator is closed. The call is done when that is. */
  stop(): void {
    if (this.#stopped) return;
    this.#stopped = true;
    this.wake();
    if (this.#iterator !== null) void this.#close();
  }

  async #close(): Promise<void> {
    try {
      await this.#iterator?.return?.();
    } catch (thrown) {
      this.#call.controller.setThrown(thrown);
    }
    this.#call.done(null);
  }

  /** Whether the iterator came to its end by itself. */
  async #sendAll(iterator: AsyncIterator<unknown>): Promise<boolean> {
    let inTurn = 0;
    for (;;) {
      while (!this.#stopped && (this.#credit <= 0 || !this.#owner.streamMaySend())) {
        await new Promise<void>((resolve) => (this.#wake = resolve));
      }
      // An iterator that never waits would keep the event loop to itself.
      if (inTurn++ === rpcLimits.streamMessagesPerTurn) {
        inTurn = 0;
        await new Promise<void>((resolve) => setImmediate(resolve));
      }
      if (this.#stopped) return false;
      const result = await iterator.next();
      if (this.#stopped) return false;
      if (result.done === true) return true;
      const size = this.#owner.sendMessage(this.#call, result.value);
      if (size < 0) return false;
      this.#begun = true;
      this.#credit -= size + streamMessageOverhead;
    }
  }
}

/** What a handler returned, as it was promised to be. */
function iterate(returned: unknown): AsyncIterator<unknown> {
  const iterable = returned as Partial<AsyncIterable<unknown>> | null | undefined;
  if (typeof iterable?.[Symbol.asyncIterator] !== "function") {
    throw new TypeError("the handler of a stream returned no AsyncIterable");
  }
  return (iterable as AsyncIterable<unknown>)[Symbol.asyncIterator]();
}
