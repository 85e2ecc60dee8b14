import {
  chainInterceptors,
  messageOf,
  messagesOf,
  type CallNext,
  type Interceptor,
  type InterceptedCall,
  type InterceptedReply,
} from "./interceptor.js";
import { MprpcController, type CallOptions } from "./mprpcController.js";
import { callServerStream } from "./serverStream.js";
import type { MethodDescriptor, RpcChannel, StreamFlow, StreamSink } from "./service.js";
import { RpcError, RpcStatus } from "./status.js";
import { throwLater } from "./turn.js";

/**
 * The channel with `interceptors` before it; the first one sees a call first. They run before the
 * call's deadline begins to count, and a cancel ends a call only where they have gone on with it.
 * The channel itself stays as it was, and is the one to close.
 */
export function interceptChannel(channel: RpcChannel, ...interceptors: Interceptor[]): RpcChannel {
  return interceptors.length === 0 ? channel : new InterceptedChannel(channel, interceptors);
}

class InterceptedChannel implements RpcChannel {
  readonly #unary: CallNext;
  readonly #stream: CallNext;
  readonly #notify: CallNext;

  constructor(channel: RpcChannel, interceptors: readonly Interceptor[]) {
    this.#unary = chainInterceptors(interceptors, (call) => callOn(channel, call));
    this.#stream = chainInterceptors(interceptors, (call) => streamOn(channel, call));
    this.#notify = chainInterceptors(interceptors, (call) => notifyOn(channel, call));
  }

  callMethod<Req, Res>(
    method: MethodDescriptor<Req, Res>,
    controller: MprpcController,
    request: Req,
    done: (response: Res | null) => void,
  ): void {
    void this.#call({ method, controller, request }, (response) => done(response as Res | null));
  }

  callStream<Req, Res>(
    method: MethodDescriptor<Req, Res>,
    controller: MprpcController,
    request: Req,
    sink: StreamSink<Res>,
  ): StreamFlow {
    const pump = new StreamPump(controller, {
      onMessage: (message, cost) => sink.onMessage(message as Res, cost),
      onEnd: () => sink.onEnd(),
    });
    void pump.run(() => this.#stream({ method, controller, request }));
    return pump;
  }

  notify<Req, Res>(
    method: MethodDescriptor<Req, Res>,
    request: Req,
    options?: MprpcController | CallOptions,
  ): void {
    const controller = options instanceof MprpcController ? options : new MprpcController(options);
    void this.#sendOneWay({ method, controller, request });
  }

  async #sendOneWay(call: InterceptedCall): Promise<void> {
    try {
      await this.#notify(call);
    } catch (thrown) {
      fail(call.controller, thrown);
    }
  }

  async #call(call: InterceptedCall, done: (response: unknown) => void): Promise<void> {
    let message: unknown = null;
    try {
      message = messageOf(await this.#unary(call));
      if (message === null || message === undefined) throw new TypeError("no message to return");
      // Of an earlier attempt.
      call.controller.clearFailure();
    } catch (thrown) {
      message = null;
      fail(call.controller, thrown);
    }
    guard(() => done(message));
  }
}

function callOn(
  channel: RpcChannel,
  { method, controller, request }: InterceptedCall,
): Promise<InterceptedReply> {
  controller.clearFailure();
  return new Promise((resolve, reject) => {
    channel.callMethod(method, controller, request, (message) => {
      if (message === null) reject(controller.error());
      else resolve({ kind: "unary", message });
    });
  });
}

function streamOn(
  channel: RpcChannel,
  { method, controller, request }: InterceptedCall,
): Promise<InterceptedReply> {
  controller.clearFailure();
  const messages = callServerStream(channel, method, request, controller);
  return Promise.resolve({ kind: "server_stream", messages });
}

function notifyOn(
  channel: RpcChannel,
  { method, controller, request }: InterceptedCall,
): Promise<InterceptedReply> {
  controller.clearFailure();
  channel.notify(method, request, controller);
  if (controller.failed()) return Promise.reject(controller.error());
  return Promise.resolve({ kind: "unary", message: undefined });
}

/**
 * Passes the messages that interceptors let through to a sink: the next one is asked for when the
 * last was taken, so that the consumer's pace is the pace of all that lies before it.
 */
class StreamPump implements StreamFlow {
  readonly #controller: MprpcController;
  readonly #sink: StreamSink<unknown>;
  /** Messages that were passed on and not taken. */
  #untaken = 0;
  #gone = false;
  #wake: (() => void) | null = null;

  constructor(controller: MprpcController, sink: StreamSink<unknown>) {
    this.#controller = controller;
    this.#sink = sink;
  }

  grant(messages: number): void {
    this.#untaken -= messages;
    this.#goOn();
  }

  async run(start: () => Promise<InterceptedReply>): Promise<void> {
    const { signal } = this.#controller;
    this.#controller.notifyOnCancel(this.#leave);
    signal?.addEventListener("abort", this.#leave, { once: true });
    try {
      await this.#passOn(messagesOf(await start()));
      if (this.#gone) this.#failAsCanceled();
      else this.#controller.clearFailure();
    } catch (thrown) {
      fail(this.#controller, thrown);
    }
    signal?.removeEventListener("abort", this.#leave);
    guard(() => this.#sink.onEnd());
  }

  async #passOn(messages: AsyncIterable<unknown>): Promise<void> {
    for await (const message of messages) {
      this.#untaken++;
      guard(() => this.#sink.onMessage(message, 1));
      while (this.#untaken > 0 && !this.#gone) {
        await new Promise<void>((resolve) => (this.#wake = resolve));
      }
      if (this.#gone) return;
    }
  }

  #failAsCanceled(): void {
    if (this.#controller.failed()) return;
    this.#controller.setFailed("the caller canceled", RpcStatus.CANCELLED);
  }

  readonly #leave = (): void => {
    this.#gone = true;
    this.#goOn();
  };

  #goOn(): void {
    const wake = this.#wake;
    this.#wake = null;
    wake?.();
  }
}

/** What goes wrong in an interceptor is no fault of the server: the text says so. */
function fail(controller: MprpcController, thrown: unknown): void {
  if (thrown instanceof RpcError) controller.setThrown(thrown);
  else controller.setFailed("an interceptor failed", RpcStatus.INTERNAL, thrown);
}

function guard(callback: () => void): void {
  try {
    callback();
  } catch (error) {
    throwLater(error);
  }
}
