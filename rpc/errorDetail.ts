import { ByteWriter } from "./byteWriter.js";
import type { NamedCodec } from "./service.js";
import { RpcError, type ErrorDetail } from "./status.js";

/**
 * Packs a message as a detail of an error:
 *
 *     throw new RpcError(RpcStatus.FAILED_PRECONDITION, "sold out", {
 *       details: [detail(OutOfStockCodec, { item })],
 *     });
 *
 * @throws RpcError with INVALID_ARGUMENT for a message that can't be encoded.
 */
export function detail<T, Init>(codec: NamedCodec<T, Init>, message: Init): ErrorDetail {
  const writer = new ByteWriter();
  codec.encode(message, writer);
  return { type: codec.fullName, value: writer.finish() };
}

/**
 * The first detail of this type beside what a call threw; null when there is none.
 * @throws RpcError with INVALID_ARGUMENT for one that can't be decoded.
 */
export function findDetail<T, Init>(error: unknown, codec: NamedCodec<T, Init>): T | null {
  if (!(error instanceof RpcError)) return null;
  const found = error.details.find(({ type }) => type === codec.fullName);
  return found === undefined ? null : codec.decode(found.value);
}
