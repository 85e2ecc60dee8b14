#!/usr/bin/env node
import { runGenerator } from "./cli.js";

process.exitCode = await runGenerator(process.argv.slice(2), {
  stdout: (text) => process.stdout.write(text),
  stderr: (text) => process.stderr.write(text),
});
