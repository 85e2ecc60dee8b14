#!/usr/bin/env node
// First of all: see there.
import { restoreLongs } from "./longs.js";
import { rpcLimits } from "../../config/options.js";
import { UsageError } from "./arguments.js";
import { runCall } from "./cli.js";

async function readInput(): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of process.stdin) {
    chunks.push(chunk as Buffer);
    bytes += (chunk as Buffer).length;
    if (bytes > rpcLimits.requestJsonBytesMax) {
      throw new UsageError(`standard input holds more than ${rpcLimits.requestJsonBytesMax} bytes`);
    }
  }
  return Buffer.concat(chunks).toString();
}

// Whoever read our output has had enough of it.
process.stdout.on("error", () => process.exit(1));

restoreLongs();
process.exitCode = await runCall(process.argv.slice(2), {
  stdout: (text) => new Promise((resolve) => process.stdout.write(text, () => resolve())),
  stderr: (text) => process.stderr.write(text),
  stdin: readInput,
});
