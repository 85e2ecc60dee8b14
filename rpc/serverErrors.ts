/** What a provider tells its callers when it is not a handler that answers, and its owner. */
import type { MprpcController } from "./mprpcController.js";
import { RpcError, RpcStatus } from "./status.js";

/** Where an error of the serving side happened; for logs. */
export interface ServerErrorContext {
  /** Address and port of the caller. */
  readonly peer: string;
  /** `service.method`; empty when it concerns the connection. */
  readonly method: string;
}

export function shuttingDown(): RpcError {
  return new RpcError(RpcStatus.UNAVAILABLE, "the server is shutting down");
}

export function overloaded(callsMax: number): RpcError {
  const text = `the server has ${callsMax} calls in flight; callsInFlightTotalMax allows no more`;
  return new RpcError(RpcStatus.RESOURCE_EXHAUSTED, text);
}

export function undecodable(cause: unknown): RpcError {
  const text = cause instanceof Error ? cause.message : String(cause);
  return new RpcError(RpcStatus.INVALID_ARGUMENT, `the request can't be decoded: ${text}`);
}

/** Whether a handler's failure is one of its code, rather than an answer or the end of a wait. */
export function isFault(controller: MprpcController): boolean {
  const { cause } = controller;
  if (cause === undefined || cause instanceof RpcError) return false;
  return !(controller.isCanceled() && cause instanceof Error && cause.name === "AbortError");
}

export function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}
