import { RpcError, RpcStatus } from "./status.js";

/** Whether the operating system gave this error, rather than our own code. */
export function isSystemError(error: unknown): boolean {
  return error instanceof Error && "syscall" in error;
}

/**
 * A system error as the RPC layer speaks of it: UNAVAILABLE, with what was being done, and the
 * original as its cause. This is the only place where such errors are translated.
 */
export function unavailable(doing: string, error: unknown): RpcError {
  if (error instanceof RpcError) return error;
  const text = describe(error);
  return new RpcError(RpcStatus.UNAVAILABLE, `${doing}: ${text}`, { cause: error });
}

function describe(error: unknown): string {
  // Several addresses of one name were tried; the error itself says nothing then.
  if (error instanceof AggregateError) return error.errors.map(describe).join("; ");
  return error instanceof Error ? error.message : String(error);
}
