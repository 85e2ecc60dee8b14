#!/usr/bin/env node
import { nodeFs } from "../../raft/persister/nodeFs.js";
import { packageVersion } from "../version.js";
import { runDataCli } from "./cli.js";

const interrupted = new AbortController();
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
  process.once(signal, () => interrupted.abort());
}
// Whoever read our output has had enough of it, and wants no complaint.
let isRead = true;
process.stdout.on("error", () => {
  isRead = false;
  interrupted.abort();
});

process.exitCode = await runDataCli(process.argv.slice(2), {
  env: process.env,
  version: packageVersion(),
  fs: nodeFs,
  stderrIsTty: process.stderr.isTTY,
  signal: interrupted.signal,
  now: () => performance.now(),
  writeOut: (text) =>
    new Promise((resolve) => {
      process.stdout.write(text, () => resolve());
    }),
  writeErr: (text) => {
    if (isRead) process.stderr.write(text);
  },
});
