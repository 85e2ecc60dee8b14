import { createHash } from "node:crypto";
import protobuf from "protobufjs";
import type { Int64 } from "./fields.js";
import { runPbjs, type Module } from "./pbjs.js";
import { classPathOf, identifiersFor, type Schema } from "./schema.js";

export type { Module } from "./pbjs.js";

/** The message classes, as pbjs makes them, and an alias for each that has a package in front. */
export async function generateMessages(
  schema: Schema,
  runtime: string,
  int64: Int64,
): Promise<Module> {
  const made = await runPbjs(schema.root, registryName(schema, int64), int64);
  const header = `// Made by mprpc-gen from .proto files. Changes are lost.\n`;
  const js = [header, throughRuntime(made.js, runtime), "\n"];
  const dts = [header, throughRuntime(made.dts, runtime), "\n"];
  for (const [name, path] of aliases(schema)) {
    js.push(`export const ${name} = ${path};\n`);
    dts.push(`export import ${name} = ${path};\n`);
  }
  return { js: js.join(""), dts: dts.join("") };
}

/**
 * Generated classes meet in a registry of the process under this name. It follows from the
 * contents, so that two programs' messages of one name don't replace each other.
 */
function registryName(schema: Schema, int64: Int64): string {
  const hash = createHash("sha256").update(int64);
  for (const { source } of schema.files.values()) hash.update(source.text).update("\0");
  return `mprpc-${hash.digest("hex").slice(0, 16)}`;
}

/**
 * Takes protobufjs from the runtime: there must be one copy of it, its integers must have become
 * plain numbers before the classes are made, and users need not depend on it themselves.
 */
function throughRuntime(source: string, runtime: string): string {
  const imported = /^import (?:\* as )?\$protobuf from "protobufjs\/minimal\.js";$/m;
  if (!imported.test(source)) throw new Error("pbjs does not import protobufjs as it used to");
  const keys = ["integerKey", "bigintKey", "booleanKey"].filter((name) =>
    source.includes(`$${name}(`),
  );
  const names = ["protobuf", ...keys].map((name) => `${name} as $${name}`).join(", ");
  return source.replace(imported, `import { ${names} } from ${JSON.stringify(runtime)};`);
}

/** Top-level messages and enums of packages, by their last name, where that is unique. */
function aliases(schema: Schema): readonly (readonly [string, string])[] {
  const packaged = [...schema.messages, ...schema.enums].filter(({ parent }) => isPackage(parent));
  const exported = new Set(schema.root.nestedArray.map(({ name }) => name));
  return [...identifiersFor(packaged)]
    .filter(([{ name }, alias]) => alias.startsWith(name) && !exported.has(alias))
    .map(([object, alias]) => [alias, classPathOf(object)]);
}

function isPackage(parent: protobuf.ReflectionObject | null): boolean {
  return (
    parent !== null && !(parent instanceof protobuf.Type) && !(parent instanceof protobuf.Root)
  );
}
