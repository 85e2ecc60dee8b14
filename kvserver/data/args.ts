import { parseArgs } from "node:util";
import { firstSentence, given, parseNumber, UsageError } from "../args.js";

/** What the command line asks for. */
export type DataCommand =
  | { readonly kind: "help" }
  | { readonly kind: "version" }
  | { readonly kind: "list"; readonly directory: string; readonly json: boolean }
  | { readonly kind: "verify"; readonly directory: string; readonly json: boolean }
  | DumpCommand
  | ExportCommand
  | ImportCommand;

export interface DumpCommand {
  readonly kind: "dump";
  readonly directory: string;
  /** Indexes, both included. */
  readonly from: number;
  readonly to: number;
  /** Only the lengths of values. */
  readonly keysOnly: boolean;
  /** The snapshot's pairs rather than the log's entries. */
  readonly state: boolean;
}

export interface ExportCommand {
  readonly kind: "export";
  readonly directory: string;
  readonly file: string;
  readonly throughLog: boolean;
  readonly force: boolean;
}

export interface ImportCommand {
  readonly kind: "import";
  readonly file: string;
  readonly nodeListFile: string;
  /** Null: all nodes of the list. */
  readonly nodeId: number | null;
  readonly dataDir: string;
}

export const helpText = `Usage: mprpc-data COMMAND ...

Looks at the data directory of a node that does not run, and makes backups of
it. Nothing in the directory is changed; the node can't start meanwhile.

  list DIR [--json]
      whose it is, term, vote, log, segments, snapshots, damage
  dump DIR [--from I] [--to I] [--keys]
      the entries of the log, a line each; --keys: of values only their length
  dump DIR --state [--keys]
      the keys and values of the snapshot, a line each
  verify DIR [--json]
      every checksum of every file, and whether they fit together
  export DIR FILE [--through-log] [--force]
      a backup: the keys and values of the newest snapshot, which is what was
      committed up to there. --through-log: with every entry of the log after
      it. That is newer, but the last of them may never have been committed;
      take the node whose log ends last, by term and then by index (list tells),
      of a majority that all stand still. --force: replace FILE
  import FILE -f NODES [-i N] [--data-dir DIR]
      begins a new cluster with what is in a backup: makes the data directory of
      node N of the node list, or of every node. All nodes must be made from the
      same FILE, and none may have another directory already

  -f FILE            the node list
  -i, --id N         node N alone
  --data-dir DIR     where the nodes keep their data (default ./data, or the
                     environment variable KV_DATA_DIR); node i has DIR/nodei
  -h, --help
  -v, --version

Bytes in dumps: printable ASCII stands for itself, \\xNN for everything else.

Exit codes: 0 done, 2 wrong usage, 65 something is damaged, 73 no space, 74 the
disk failed, 77 a directory is in use or can't be used, 130 interrupted, 1
anything else. Errors name the file, the place in it, and what to do.
`;

const options = {
  json: { type: "boolean" },
  from: { type: "string" },
  to: { type: "string" },
  keys: { type: "boolean" },
  state: { type: "boolean" },
  "through-log": { type: "boolean" },
  force: { type: "boolean" },
  file: { type: "string", short: "f" },
  id: { type: "string", short: "i" },
  "data-dir": { type: "string" },
  help: { type: "boolean", short: "h" },
  version: { type: "boolean", short: "v" },
} as const;

type Option = keyof typeof options;

/** For each command the operands that it wants, and the options that it knows. */
const commands: Readonly<
  Record<string, { readonly operands: readonly string[]; readonly options: readonly Option[] }>
> = {
  list: { operands: ["DIR"], options: ["json"] },
  dump: { operands: ["DIR"], options: ["from", "to", "keys", "state"] },
  verify: { operands: ["DIR"], options: ["json"] },
  export: { operands: ["DIR", "FILE"], options: ["through-log", "force"] },
  import: { operands: ["FILE"], options: ["file", "id", "data-dir"] },
};

/**
 * @param argv the arguments behind the program's own name.
 * @throws UsageError
 */
export function parseDataArguments(
  argv: readonly string[],
  environment: Readonly<Record<string, string | undefined>> = {},
): DataCommand {
  const { values, positionals } = parse(argv);
  if (values.help === true) return { kind: "help" };
  if (values.version === true) return { kind: "version" };
  const [name = "", ...operands] = positionals;
  checkCommand(name, operands, Object.keys(values));
  const [first = "", second = ""] = operands;
  switch (name) {
    case "dump":
      return dumpCommand(first, values);
    case "export": {
      const { "through-log": throughLog = false, force = false } = values;
      return { kind: "export", directory: first, file: second, throughLog, force };
    }
    case "import":
      return importCommand(first, values, environment);
    default:
      return {
        kind: name === "list" ? "list" : "verify",
        directory: first,
        json: values.json === true,
      };
  }
}

type Values = ReturnType<typeof parse>["values"];

function parse(argv: readonly string[]) {
  try {
    return parseArgs({ args: [...argv], options, strict: true, allowPositionals: true });
  } catch (error) {
    throw new UsageError(`${firstSentence(error)}; see --help`, { cause: error });
  }
}

function checkCommand(name: string, words: readonly string[], used: readonly string[]): void {
  const known = Object.keys(commands).join(", ");
  if (name === "") throw new UsageError(`name a command: ${known}`);
  const command = Object.hasOwn(commands, name) ? commands[name] : undefined;
  if (command === undefined) {
    throw new UsageError(`there is no command ${JSON.stringify(name)}: ${known}`);
  }
  const { operands } = command;
  if (words.length !== operands.length || words.includes("")) {
    throw new UsageError(`${name} takes ${operands.join(" and ")}, not ${words.length} operands`);
  }
  const odd = used.find((option) => !command.options.includes(option as Option));
  if (odd !== undefined) throw new UsageError(`${name} knows no --${odd}; see --help`);
}

function dumpCommand(directory: string, values: Values): DumpCommand {
  const state = values.state === true;
  if (state && (values.from !== undefined || values.to !== undefined)) {
    throw new UsageError("--state excludes --from and --to: a snapshot has no entries");
  }
  const from = values.from === undefined ? 0 : parseIndex("--from", values.from);
  const to = values.to === undefined ? Infinity : parseIndex("--to", values.to);
  return { kind: "dump", directory, from, to, keysOnly: values.keys === true, state };
}

function importCommand(
  file: string,
  values: Values,
  environment: Readonly<Record<string, string | undefined>>,
): ImportCommand {
  if (values.file === undefined) throw new UsageError("-f FILE is missing: name the node list");
  return {
    kind: "import",
    file,
    nodeListFile: values.file,
    nodeId: values.id === undefined ? null : parseNumber("-i", values.id, 0, 1_000_000),
    dataDir: given(values["data-dir"]) ?? given(environment["KV_DATA_DIR"]) ?? "./data",
  };
}

function parseIndex(flag: string, text: string): number {
  const value = /^[0-9]{1,16}$/.test(text) ? Number(text) : Number.NaN;
  if (Number.isSafeInteger(value)) return value;
  throw new UsageError(`${flag} takes the index of an entry, not ${JSON.stringify(text)}`);
}
