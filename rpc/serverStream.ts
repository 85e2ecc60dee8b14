import { Fifo } from "./fifo.js";
import { MprpcController, type CallOptions } from "./mprpcController.js";
import type { MethodDescriptor, RpcChannel, StreamFlow, StreamSink } from "./service.js";

/** A message that the consumer has not taken yet, and what it gives back when it does. */
interface Arrived<Res> {
  readonly message: Res;
  readonly cost: number;
}

interface Waiter<Res> {
  resolve(result: IteratorResult<Res, undefined>): void;
  reject(error: unknown): void;
}

/**
 * What a stub's method returns for `returns (stream Res)`: the messages, in their order. They can
 * be gone through once.
 *
 *     for await (const event of stub.Watch({ prefix })) show(event);
 *
 * The loop ends when the stream does; it throws RpcError, after all messages that arrived, when the
 * stream failed. Leaving the loop early cancels the call, and the handler with it. The server sends
 * no more than the window ahead of what was taken here. The `bytes` fields of a message may be views
 * into memory that they share with others: whoever keeps one for long copies it.
 */
export class ServerStream<Res> implements AsyncIterableIterator<Res, undefined> {
  /** The call's: its status and, once the stream has ended, its trailing metadata. */
  readonly controller: MprpcController;
  readonly #arrived = new Fifo<Arrived<Res>>();
  readonly #waiting = new Fifo<Waiter<Res>>();
  readonly #flow: StreamFlow;
  #ended = false;
  /** The consumer left: what still comes is dropped, and no error is told. */
  #left = false;

  /** Starts the call. */
  constructor(start: (sink: StreamSink<Res>) => StreamFlow, controller: MprpcController) {
    this.controller = controller;
    this.#flow = start({
      onMessage: (message, cost) => this.#onMessage(message, cost),
      onEnd: () => this.#onEnd(),
    });
  }

  /** Gives the call up; a loop over the messages then throws CANCELLED. */
  cancel(): void {
    this.controller.startCancel();
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  /** The next message; rejects with RpcError, once, when the stream has failed. */
  next(): Promise<IteratorResult<Res, undefined>> {
    const arrived = this.#arrived.shift();
    if (arrived !== undefined) {
      this.#flow.grant(arrived.cost);
      return Promise.resolve({ value: arrived.message, done: false });
    }
    return new Promise((resolve, reject) => {
      this.#waiting.push({ resolve, reject });
      if (this.#ended) this.#settle();
    });
  }

  /** Ends the call early; `for await` calls this when its loop is left. */
  return(): Promise<IteratorResult<Res, undefined>> {
    this.#leave();
    if (!this.#ended) this.controller.startCancel();
    return Promise.resolve({ value: undefined, done: true });
  }

  #onMessage(message: Res, cost: number): void {
    const waiter = this.#waiting.shift();
    if (waiter === undefined) {
      this.#arrived.push({ message, cost });
      return;
    }
    this.#flow.grant(cost);
    waiter.resolve({ value: message, done: false });
  }

  #onEnd(): void {
    this.#ended = true;
    // Who gave up waits for nothing; who lost the call still gets what had come.
    const { signal } = this.controller;
    if (this.controller.isCanceled() || signal?.aborted === true) this.#arrived.filter(() => false);
    this.#settle();
  }

  #leave(): void {
    this.#left = true;
    this.#arrived.filter(() => false);
    this.#settle();
  }

  #settle(): void {
    for (let w = this.#waiting.shift(); w !== undefined; w = this.#waiting.shift()) {
      if (this.#left || !this.controller.failed()) {
        w.resolve({ value: undefined, done: true });
        continue;
      }
      this.#left = true;
      w.reject(this.controller.error());
    }
  }
}

/** One server-streaming call. */
export function callServerStream<Req, Res>(
  channel: RpcChannel,
  method: MethodDescriptor<Req, Res>,
  request: Req,
  options?: MprpcController | CallOptions,
): ServerStream<Res> {
  const controller = options instanceof MprpcController ? options : new MprpcController(options);
  return new ServerStream(
    (sink) => channel.callStream(method, controller, request, sink),
    controller,
  );
}
