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
  --proto-path DIR    where to look for imported files first, then beside the importing file and in
                      the working directory; may be given several times. google/protobuf/*.proto
                      come along
  --int64 TYPE        of 64-bit integers: number (default; a value beyond 2^53 is an error) or
                      bigint (all of them; messages have no toJSON)
  --runtime PATH      what generated code imports the runtime from (default: mprpc-raft/rpc)
  --help              this text
`;

class UsageError extends Error {}

/** Where the generator says what it has to say. */
export interface Output {
  stdout(text: string): void;
  stderr(text: string): void;
}

/** Runs the generator; returns the exit code: 0, 1 for bad input, 2 for bad arguments. */
export async function runGenerator(args: string[], output: Output): Promise<number> {
  try {
    await generate(args, output);
    return 0;
  } catch (error) {
    output.stderr(`mprpc-gen: ${error instanceof Error ? error.message : String(error)}\n`);
    if (!(error instanceof UsageError)) return 1;
    output.stderr(usage);
    return 2;
  }
}

async function generate(args: string[], output: Output): Promise<void> {
  const { values, positionals: files } = readArguments(args);
  if (values.help) {
    output.stdout(usage);
    return;
  }
  if (values.out === undefined) throw new UsageError("--out is missing");
  if (files.length === 0) throw new UsageError("no .proto file given");
  const { int64 } = values;
  if (int64 !== "number" && int64 !== "bigint") {
    throw new UsageError(`--int64 is number or bigint, not ${int64}`);
  }
  const schema = loadSchema(files, values["proto-path"]);
  const messages = await generateMessages(schema, values.runtime, int64);
  const services = generateServices(schema, values.runtime, int64);
  mkdirSync(values.out, { recursive: true });
  writeModule(values.out, "messages", messages);
  writeModule(values.out, "services", services);
}

function readArguments(args: string[]) {
  try {
    return parseArgs({
      args,
      allowPositionals: true,
      options: {
        out: { type: "string" },
        "proto-path": { type: "string", multiple: true, default: [] },
        int64: { type: "string", default: "number" },
        runtime: { type: "string", default: "mprpc-raft/rpc" },
        help: { type: "boolean", default: false },
      },
    });
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
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
