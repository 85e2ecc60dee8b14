/**
 * What codecs that are written by hand share: the messages of the hot path have them, and property
 * tests hold each against the generated one.
 */
import type { ByteWriter } from "./byteWriter.js";
import { keepBytes } from "./keepBytes.js";
import { MessageReader } from "./messageReader.js";
import type { Codec } from "./service.js";
import { RpcError, RpcStatus } from "./status.js";

export interface HandCodecOptions {
  /** What is read owns its bytes: one copy of them serves the whole message. */
  readonly keepsBytes?: boolean;
}

export const noBytes: Uint8Array = new Uint8Array(0);
/** Decoding is synchronous and never nests: one reader serves all. */
const reader = new MessageReader(noBytes);

/** `read` goes on up to the end of what the reader was opened for. `name` is for errors. */
export function handCodec<T, Init = T>(
  name: string,
  write: (message: Init, writer: ByteWriter) => void,
  read: (reader: MessageReader) => T,
  { keepsBytes = false }: HandCodecOptions = {},
): Codec<T, Init> {
  const invalid = (cause: unknown): RpcError => {
    const why = cause instanceof Error ? cause.message : String(cause);
    return new RpcError(RpcStatus.INVALID_ARGUMENT, `${name}: ${why}`, { cause });
  };
  const decodePart = (bytes: Uint8Array, start: number, end: number): T => {
    try {
      if (keepsBytes) reader.open(keepBytes(bytes.subarray(start, end)));
      else reader.open(bytes, start, end);
      return read(reader);
    } catch (cause) {
      throw invalid(cause);
    } finally {
      // Otherwise the last message would keep the whole chunk that it arrived in.
      reader.open(noBytes);
    }
  };
  return {
    encode(message, writer) {
      try {
        write(message, writer);
      } catch (cause) {
        throw invalid(cause);
      }
    },
    decode: (bytes) => decodePart(bytes, 0, bytes.length),
    decodePart,
  };
}

/** `tag` is the field's number * 8 + its wire type, here and below. Zeros are left out. */
export function writeNumber(writer: ByteWriter, tag: number, value: number | undefined): void {
  if (value !== undefined && value !== 0) writer.uint32(tag).int64(value);
}

export function writeBytes(writer: ByteWriter, tag: number, value: Uint8Array | undefined): void {
  if (value !== undefined && value.length > 0) writer.uint32(tag).bytes(value);
}

/** A large one is sent from where it lies: it must not change any more. */
export function lendBytes(writer: ByteWriter, tag: number, value: Uint8Array | undefined): void {
  if (value !== undefined && value.length > 0) writer.uint32(tag).lend(value);
}
