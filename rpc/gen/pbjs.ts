/**
 * What pbjs makes, and what is changed in it: its output is taken by its text, and each change is
 * checked to have found what it is for, so that another version of pbjs can't slip through.
 */
import protobuf from "protobufjs";
import * as cli from "protobufjs-cli/pbjs.js";
import type { Int64 } from "./fields.js";

export interface Module {
  readonly js: string;
  readonly dts: string;
}

/** What `pbjs --target static-module` calls itself; missing in its types. */
type Generate = (
  root: protobuf.Root,
  options: Readonly<Record<string, unknown>>,
  done: (error: Error | null, js?: string, dts?: string) => void,
) => void;

const options = {
  target: "static-module",
  wrap: "esm",
  dts: true,
  "keep-case": true,
  verify: false,
  delimited: false,
  typeurl: false,
  service: false,
};

/**
 * The message classes. Those of all modules in a process meet in a registry under `registryName`.
 */
export async function runPbjs(
  root: protobuf.Root,
  registryName: string,
  int64: Int64,
): Promise<Module> {
  // The runtime removes Long from its process, and then pbjs knows no 64-bit fields.
  if (int64 === "bigint" && protobuf.util.Long === undefined) {
    throw new Error("bigint code must be generated in a process that has not loaded the runtime");
  }
  const generate = Reflect.get(cli.default, "generate") as Generate;
  // Bigints have no JSON form: toObject and toJSON, which the conversions are, could only fail.
  const integers =
    int64 === "bigint" ? { "force-long": true, convert: false } : { "force-number": true };
  const made = await new Promise<Module>((resolve, reject) => {
    generate(root, { ...options, ...integers, root: registryName }, (error, js = "", dts = "") => {
      if (error === null) resolve({ js, dts });
      else reject(error);
    });
  });
  const js = withStrictKeys(withoutComments(made.js), int64);
  return int64 === "bigint"
    ? { js: withBigints(js), dts: bigintTypes(made.dts) }
    : { js, dts: withoutLong(made.dts) };
}

/** They stand in the .d.ts, where people look. */
function withoutComments(js: string): string {
  return js
    .replaceAll(/^ *\/\*\*\n(?: *\*[^\n]*\n)*? *\*\/\n/gm, "")
    .replaceAll(/\/\* id \d+, wireType \d =\*\//g, "")
    .replaceAll(/\n{2,}/g, "\n");
}

/** A map's keys are strings in JavaScript: written as they are, an integer's check would fail. */
function withStrictKeys(js: string, int64: Int64): string {
  const key64 = int64 === "bigint" ? "$bigintKey" : "$integerKey";
  return js
    .replaceAll(/\.((?:u|s)?int32|s?fixed32)\(keys\[i\]\)/g, ".$1($integerKey(keys[i]))")
    .replaceAll(/\$util\.longFromKey\(keys\[i\], (?:true|false)\)/g, `${key64}(keys[i])`)
    .replaceAll("$util.boolFromKey(keys[i])", "$booleanKey(keys[i])");
}

const type64 = /\.(u?int64|sint64|s?fixed64)(s?)\(/g;

/** Reading, writing, defaults and the comparison with them. */
function withBigints(js: string): string {
  const changed = js
    .replaceAll(type64, (_all, type: string, many: string) => `.big${capital(type)}${many}(`)
    .replaceAll(
      /\$util\.Long \? \$util\.Long\.fromBits\((-?\d+), ?(-?\d+), ?(true|false)\) : -?[\d.e+]+/g,
      (_all, low: string, high: string, unsigned: string) =>
        `${fromHalves(Number(low), Number(high), unsigned === "true")}n`,
    )
    .replaceAll(/\$util\.Long \? \$util\.Long\.fromNumber\(0, (?:true|false)\) : 0/g, "0n")
    .replaceAll(
      /typeof \(value = (reader\.\w+\(\))\) === "object" \? value\.low \|\| value\.high : value !== 0/g,
      "(value = $1) !== 0n",
    )
    .replaceAll(
      /\(typeof (message\S+) === "object" \? \1\.low \|\| \1\.high : \1 !== 0\)/g,
      "$1 !== 0n",
    );
  if (/\bLong\b|\.low\b/.test(changed.replaceAll("$util.longToHash", ""))) {
    throw new Error("pbjs treats 64-bit integers in a way that is not known here");
  }
  return changed;
}

function fromHalves(low: number, high: number, unsigned: boolean): bigint {
  const bits = (BigInt(high >>> 0) << 32n) | BigInt(low >>> 0);
  return unsigned ? bits : BigInt.asIntN(64, bits);
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

const longImport = 'import Long = require("long");\n';

/** With --force-number the import of `long` is left over, and would be one more dependency. */
function withoutLong(dts: string): string {
  return dts.replace(longImport, "");
}

/** Comments are left alone, and names that only end like the type. */
function bigintTypes(dts: string): string {
  return withoutLong(dts)
    .split("\n")
    .map((line) =>
      /^\s*(?:\*|\/\*)/.test(line)
        ? line
        : line.replaceAll(/(?<![\w.$])Long(?=[[\]|);,} ]|$)/g, "bigint"),
    )
    .join("\n");
}
