import type { MprpcController } from "./mprpcController.js";
import type { MethodDescriptor } from "./service.js";

/** One call as an interceptor sees it, on the caller's side or the callee's. */
export interface InterceptedCall {
  readonly method: MethodDescriptor;
  /** Metadata, deadline, cancel and outcome of the call; the same one for all interceptors. */
  readonly controller: MprpcController;
  readonly request: unknown;
}

export interface UnaryReply {
  readonly kind: "unary";
  /** `undefined` for a one-way call, which has none. */
  readonly message: unknown;
}

export interface StreamReply {
  readonly kind: "server_stream";
  /** To be gone through once. */
  readonly messages: AsyncIterable<unknown>;
}

/** What `call.method.kind` says it is: an interceptor must not make one of the other. */
export type InterceptedReply = UnaryReply | StreamReply;

/** Carries a call on: rejects with RpcError when it failed, and so may the messages of a stream. */
export type CallNext = (call: InterceptedCall) => Promise<InterceptedReply>;

/**
 * Something that concerns many methods: authentication, logs, measurements, attempts. It is given
 * the way on once, and returns what goes in its place for each call:
 *
 *     const timed: Interceptor = (next) => async (call) => {
 *       const start = performance.now();
 *       try {
 *         return await next(call);
 *       } finally {
 *         note(call.method.name, performance.now() - start);
 *       }
 *     };
 *
 * It may look at the call or hand on another one, answer without going on, go on more than once,
 * or throw: an RpcError is then how the call ends, anything else becomes INTERNAL.
 */
export type Interceptor = (next: CallNext) => CallNext;

/** The first of `interceptors` is the outermost; `last` carries the call out. */
export function chainInterceptors(interceptors: readonly Interceptor[], last: CallNext): CallNext {
  return interceptors.reduceRight((next, interceptor) => interceptor(next), last);
}

/** The message of a reply to a unary call. */
export function messageOf(reply: InterceptedReply): unknown {
  if (reply.kind === "unary") return reply.message;
  throw new TypeError("an interceptor answered a unary call with a stream");
}

/** The messages of a reply to a streaming call. */
export function messagesOf(reply: InterceptedReply): AsyncIterable<unknown> {
  if (reply.kind === "server_stream") return reply.messages;
  throw new TypeError("an interceptor answered a streaming call with one message");
}
