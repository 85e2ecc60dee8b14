import { RpcError, RpcStatus } from "./status.js";

/** The code of a system error: `ECONNREFUSED`; empty for other errors. */
export function systemCode(error: unknown): string {
  if (typeof error !== "object" || error === null || !("code" in error)) return "";
  return typeof error.code === "string" ? error.code : "";
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
