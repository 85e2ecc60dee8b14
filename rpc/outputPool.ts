import { rpcLimits } from "../config/options.js";
import { ByteWriter } from "./byteWriter.js";

const kept: ByteWriter[] = [];

/** A buffer for the output of one turn: only connections that have something to say hold one. */
export function borrowWriter(): ByteWriter {
  return kept.pop() ?? new ByteWriter(rpcLimits.outputBufferBytes);
}

/** Gives back a writer whose bytes nobody needs any more. One that grew is let go. */
export function returnWriter(writer: ByteWriter): void {
  const wanted = kept.length < rpcLimits.outputBuffersKept;
  if (wanted && writer.capacity === rpcLimits.outputBufferBytes) kept.push(writer.reset());
}
