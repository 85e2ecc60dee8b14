import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import protobuf from "protobufjs";
import { main as pbjs } from "protobufjs-cli/pbjs.js";
import type { Schema } from "./schema.js";

export interface Module {
  readonly js: string;
  readonly dts: string;
}

/** Exact integers rather than `Long`; int64 fields are numbers in the types as well. */
const flags = [
  ..."--target static-module --wrap esm --es6 --dts --keep-case --alt-comment".split(" "),
  ..."--force-number --no-verify --no-delimited --no-typeurl --no-service".split(" "),
];

/** The message classes, as pbjs makes them, and an alias for each that has a package in front. */
export async function generateMessages(
  schema: Schema,
  files: readonly string[],
  importPaths: readonly string[],
  runtime: string,
): Promise<Module> {
  const made = await runPbjs(files, importPaths);
  const names = aliases(schema);
  const header = `// Made by mprpc-gen from .proto files. Changes are lost.\n`;
  const js = [header, throughRuntime(made.js, runtime), "\n"];
  const dts = [header, throughRuntime(withoutLong(made.dts), runtime), "\n"];
  for (const [name, path] of names) {
    js.push(`export const ${name} = ${path};\n`);
    dts.push(`export import ${name} = ${path};\n`);
  }
  return { js: js.join(""), dts: dts.join("") };
}

async function runPbjs(files: readonly string[], importPaths: readonly string[]): Promise<Module> {
  const folder = mkdtempSync(join(tmpdir(), "mprpc-gen-"));
  const out = join(folder, "messages.js");
  try {
    const paths = importPaths.flatMap((path) => ["--path", path]);
    const args = [...flags, ...paths, "--root", rootName(files), "--out", out, ...files];
    await new Promise<void>((resolve, reject) => {
      pbjs(args, (error) => (error === null ? resolve() : reject(error)));
    });
    return {
      js: readFileSync(out, "utf8"),
      dts: readFileSync(join(folder, "messages.d.ts"), "utf8"),
    };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/**
 * Generated classes meet in a registry of the process under this name. It follows from the
 * contents, so that two programs' messages of one name don't replace each other.
 */
function rootName(files: readonly string[]): string {
  const hash = createHash("sha256");
  for (const file of files) hash.update(readFileSync(file)).update("\0");
  return `mprpc-${hash.digest("hex").slice(0, 16)}`;
}

/**
 * Takes protobufjs from the runtime: there must be one copy of it, its integers must have become
 * plain numbers before the classes are made, and users need not depend on it themselves.
 */
function throughRuntime(source: string, runtime: string): string {
  const imported = /^import (?:\* as )?\$protobuf from "protobufjs\/minimal\.js";$/m;
  if (!imported.test(source)) throw new Error("pbjs does not import protobufjs as it used to");
  return source.replace(
    imported,
    `import { protobuf as $protobuf } from ${JSON.stringify(runtime)};`,
  );
}

/** With --force-number the import of `long` is left over, and would be one more dependency. */
function withoutLong(dts: string): string {
  return dts.replace('import Long = require("long");\n', "");
}

/** Top-level messages of packages, by their last name, where that is unique. */
function aliases(schema: Schema): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  const ambiguous = new Set<string>();
  for (const message of schema.messages) {
    const parent = message.parent;
    if (parent === null || parent instanceof protobuf.Type || parent instanceof protobuf.Root) {
      continue;
    }
    if (found.has(message.name)) ambiguous.add(message.name);
    found.set(message.name, message.fullName.slice(1));
  }
  for (const name of ambiguous) found.delete(name);
  for (const { root } of schema.messages.slice(0, 1)) {
    for (const { name } of root.nestedArray) found.delete(name);
  }
  return found;
}
