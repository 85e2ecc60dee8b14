#!/usr/bin/env node
/** mprpc-gen: makes messages, codecs, services and stubs from .proto files. */
import { mkdirSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { generateMessages, type Module } from "./messages.js";
import { loadSchema } from "./schema.js";
import { generateServices } from "./services.js";

const usage = `usage: mprpc-gen --out DIR [options] FILE.proto ...

Writes messages.js and services.js, each with its .d.ts, to DIR.

  --out DIR           where to write; made if missing
  --proto-path DIR    where to look for imported files; may be given several times
  --runtime PATH      what generated code imports the runtime from (default: mprpc-raft/rpc)
  --help              this text
`;

class UsageError extends Error {}

function readArguments(args: string[]) {
  try {
    return parseArgs({
      args,
      allowPositionals: true,
      options: {
        out: { type: "string" },
        "proto-path": { type: "string", multiple: true, default: [] },
        runtime: { type: "string", default: "mprpc-raft/rpc" },
        help: { type: "boolean", default: false },
      },
    });
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
}

async function main(args: string[]): Promise<void> {
  const { values, positionals: files } = readArguments(args);
  if (values.help) {
    process.stdout.write(usage);
    return;
  }
  if (values.out === undefined) throw new UsageError("--out is missing");
  if (files.length === 0) throw new UsageError("no .proto file given");
  const schema = loadSchema(files, values["proto-path"]);
  const messages = await generateMessages(schema, files, values["proto-path"], values.runtime);
  const services = generateServices(schema, values.runtime);
  mkdirSync(values.out, { recursive: true });
  writeModule(values.out, "messages", messages);
  writeModule(values.out, "services", services);
}

function writeModule(folder: string, name: string, module: Module): void {
  writeWhole(join(folder, `${name}.js`), module.js);
  writeWhole(join(folder, `${name}.d.ts`), module.dts);
}

/** Whoever reads meanwhile sees the old file or the new one. */
function writeWhole(path: string, text: string): void {
  const temporary = `${path}.${process.pid}.tmp`;
  writeFileSync(temporary, text);
  renameSync(temporary, path);
}

try {
  await main(process.argv.slice(2));
} catch (error) {
  const text = error instanceof Error ? error.message : String(error);
  process.stderr.write(`mprpc-gen: ${text}\n`);
  if (error instanceof UsageError) process.stderr.write(usage);
  process.exitCode = error instanceof UsageError ? 2 : 1;
}
