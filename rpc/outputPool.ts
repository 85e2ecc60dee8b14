import { rpcLimits } from "../config/options.js";
import { ByteWriter } from "./byteWriter.js";

const kept: ByteWriter[] = [];
let keptBytes = 0;

/** A buffer for the output of one turn: only connections that have something to say hold one. */
export function borrowWriter(): ByteWriter {
  const writer = kept.pop();
  if (writer === undefined) return new ByteWriter(rpcLimits.outputBufferBytes, true);
  keptBytes -= writer.capacity;
  return writer;
}

/** Gives back a writer whose bytes nobody needs any more, and of which nothing was taken. */
export function returnWriter(writer: ByteWriter): void {
  if (keptBytes + writer.capacity > rpcLimits.outputPoolBytesMax) return;
  keptBytes += writer.capacity;
  kept.push(writer.reset());
}
