import { parseArgs } from "node:util";

/** A key or a value as the command line gives it. */
export type CliBytes = Uint8Array | "stdin";

export interface BenchPlan {
  /** Puts, and then as many gets. */
  readonly count: number;
  /** Calls in flight. */
  readonly concurrency: number;
  readonly valueBytes: number;
  /** Different keys, used in turn. */
  readonly keyCount: number;
}

export type CliCommand =
  | { readonly name: "put" | "append"; readonly key: Uint8Array; readonly value: CliBytes }
  | { readonly name: "get"; readonly key: Uint8Array }
  | { readonly name: "status" }
  | { readonly name: "bench"; readonly plan: BenchPlan };

export interface CliRequest {
  readonly command: CliCommand;
  /** The path of the node list. */
  readonly nodes: string;
  readonly timeoutMs: number | undefined;
  /** Keys and values are written in hexadecimal. */
  readonly hex: boolean;
}

export type CliArgs =
  { readonly kind: "run"; readonly request: CliRequest } | { readonly kind: "help" | "version" };

/** The command line makes no sense: exit code 2. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

export const benchDefaults: BenchPlan = {
  count: 500,
  concurrency: 1,
  valueBytes: 16,
  keyCount: 1_000,
};

/** Of every number on the command line. */
const numberMax = 1_000_000_000;

export const helpText = `Usage: mprpc-clerk [-f FILE] [--timeout MS] [--hex] COMMAND

commands
  put KEY VALUE      set KEY
  append KEY VALUE   add VALUE to the end of what KEY has
  get KEY            print the value and a newline
  status             print what each node knows of itself
  bench              measure puts, then gets
  VALUE "-" reads the value from standard input, to its end. After "--" nothing is an option.

options
  -f, --file FILE    the node list; by default the one that KV_NODES names
  --timeout MS       give up after MS milliseconds (30000; status: 2000)
  --hex              KEY, VALUE and what get prints are hexadecimal
  -h, --help
  -v, --version

options of bench
  -n, --count N        puts, and gets (${benchDefaults.count})
  -c, --concurrency N  calls in flight (${benchDefaults.concurrency})
  --value-bytes N      size of a value (${benchDefaults.valueBytes})
  --key-count N        different keys (${benchDefaults.keyCount})

exit codes
  0  done
  1  failed; a write did not happen. Also: get found no such key, a node has no status,
     or a call of bench failed
  2  the command line makes no sense
  3  a write failed and may have happened
`;

const optionTypes = {
  file: { type: "string", short: "f" },
  timeout: { type: "string" },
  hex: { type: "boolean" },
  help: { type: "boolean", short: "h" },
  version: { type: "boolean", short: "v" },
  count: { type: "string", short: "n" },
  concurrency: { type: "string", short: "c" },
  "value-bytes": { type: "string" },
  "key-count": { type: "string" },
} as const;

interface OptionValues {
  readonly file?: string;
  readonly timeout?: string;
  readonly hex?: boolean;
  readonly help?: boolean;
  readonly version?: boolean;
  readonly count?: string;
  readonly concurrency?: string;
  readonly "value-bytes"?: string;
  readonly "key-count"?: string;
}

const benchOptions = ["count", "concurrency", "value-bytes", "key-count"] as const;

/**
 * @param args without the names of program and script.
 * @throws UsageError
 */
export function parseCliArgs(
  args: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
): CliArgs {
  const { values, positionals } = parse(args);
  if (values.help === true) return { kind: "help" };
  if (values.version === true) return { kind: "version" };
  const hex = values.hex === true;
  const command = parseCommand(positionals, values, hex);
  const nodes = values.file ?? env["KV_NODES"];
  if (nodes === undefined || nodes === "") {
    throw new UsageError("name the node list with -f FILE or in KV_NODES");
  }
  const timeoutMs = optionalNumber("--timeout", values.timeout, 1);
  return { kind: "run", request: { command, nodes, timeoutMs, hex } };
}

function parse(args: readonly string[]): { values: OptionValues; positionals: string[] } {
  try {
    return parseArgs({ args: [...args], options: optionTypes, allowPositionals: true });
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error), { cause: error });
  }
}

function parseCommand(
  positionals: readonly string[],
  values: OptionValues,
  hex: boolean,
): CliCommand {
  const [name, ...operands] = positionals;
  if (name === undefined) throw new UsageError("there is no command");
  const stray = benchOptions.find((option) => values[option] !== undefined);
  if (stray !== undefined && name !== "bench") throw new UsageError(`--${stray} is for bench`);
  switch (name) {
    case "put":
    case "append": {
      const [key, value] = takeOperands(name, operands, ["KEY", "VALUE"]);
      const bytes = value === "-" ? "stdin" : toBytes(value!, hex);
      return { name, key: toBytes(key!, hex), value: bytes };
    }
    case "get": {
      const [key] = takeOperands(name, operands, ["KEY"]);
      return { name, key: toBytes(key!, hex) };
    }
    case "status":
      takeOperands(name, operands, []);
      return { name };
    case "bench":
      takeOperands(name, operands, []);
      return { name, plan: benchPlan(values) };
    default:
      throw new UsageError(`there is no command ${JSON.stringify(name)}`);
  }
}

function takeOperands(
  name: string,
  operands: readonly string[],
  names: readonly string[],
): readonly string[] {
  if (operands.length === names.length) return operands;
  const wanted = names.length === 0 ? "nothing" : names.join(" ");
  throw new UsageError(`${name} takes ${wanted}, not ${operands.length} operands`);
}

function benchPlan(values: OptionValues): BenchPlan {
  return {
    count: optionalNumber("--count", values.count, 1) ?? benchDefaults.count,
    concurrency:
      optionalNumber("--concurrency", values.concurrency, 1) ?? benchDefaults.concurrency,
    valueBytes:
      optionalNumber("--value-bytes", values["value-bytes"], 0) ?? benchDefaults.valueBytes,
    keyCount: optionalNumber("--key-count", values["key-count"], 1) ?? benchDefaults.keyCount,
  };
}

function optionalNumber(name: string, text: string | undefined, min: number): number | undefined {
  if (text === undefined) return undefined;
  const number = Number(text);
  if (/^[0-9]{1,10}$/.test(text) && number >= min && number <= numberMax) return number;
  throw new UsageError(
    `${name} must be a number from ${min} to ${numberMax}, not ${JSON.stringify(text)}`,
  );
}

function toBytes(text: string, hex: boolean): Uint8Array {
  if (!hex) return Buffer.from(text, "utf8");
  if (/^([0-9a-f]{2})*$/i.test(text)) return Buffer.from(text, "hex");
  throw new UsageError(`${JSON.stringify(text)} is not hexadecimal`);
}
