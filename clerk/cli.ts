#!/usr/bin/env node
import { readFileSync } from "node:fs";
import { runCli, exitCodes } from "./cliRun.js";

/** Read from the package: the compiled file lies two folders below it. */
function packageVersion(): string {
  const text = readFileSync(new URL("../../package.json", import.meta.url), "utf8");
  const description: unknown = JSON.parse(text);
  const known = typeof description === "object" && description !== null && "version" in description;
  return known ? String(description.version) : "unknown";
}

// Whoever read our output has had enough of it.
process.stdout.on("error", () => process.exit(exitCodes.failed));

process.exitCode = await runCli(process.argv.slice(2), {
  env: process.env,
  version: packageVersion(),
  stdin: process.stdin,
  stderrIsTty: process.stderr.isTTY,
  writeOut: (bytes) => process.stdout.write(bytes),
  writeErr: (text) => process.stderr.write(text),
});
