import { parseArgs } from "node:util";

/** A command line that can't be run. The message is one line that says what to change. */
export class UsageError extends Error {
  override readonly name = "UsageError";
  readonly code = "ERR_USAGE";
}

/** What the command line asks for. */
export type Command =
  | { readonly kind: "help" }
  | { readonly kind: "version" }
  | ({ readonly kind: "run" } & RunArguments);

export interface RunArguments {
  readonly nodeListFile: string;
  /** The one node to run in this process; null: all of them, a process each. */
  readonly nodeId: number | null;
  /** Write a node list of so many free ports first; null: the list is there. */
  readonly newNodes: number | null;
  /** What a node does whose data directory is new: see `Joining`; "rebuild" makes it new first. */
  readonly newNode: NewNode;
  /** Holds a directory for each node. */
  readonly dataDir: string;
  readonly logLevel: LogLevel;
  /** By key, beating the environment and the node list: see `readSettings`. */
  readonly settings: ReadonlyMap<string, string>;
}

/**
 * - "join": it votes once it knows that it has forgotten nothing.
 * - "newCluster": it votes at once.
 * - "rebuild": its present directory is set aside, and it joins.
 */
export type NewNode = "join" | "newCluster" | "rebuild";

const logLevels = ["trace", "debug", "info", "warn", "error", "fatal", "silent"] as const;
export type LogLevel = (typeof logLevels)[number];

/** Nodes of a list that `-n` writes. */
const newNodesMax = 100;

export const helpText = `Usage: mprpc-kvserver -f FILE [-i N | -n N] [options]

Runs a replicated key-value store on the nodes of a node list. Without -i it
runs every node of the list, each in a process of its own, until Ctrl-C.

  -f FILE            the node list
  -i, --id N         run node N alone, in this process
  -n N               write a list of N nodes on free local ports to FILE, which
                     must not exist yet, and run them
  --new-cluster      the whole cluster is new: nodes without data vote at once,
                     without asking all others first
  --rebuild          set node N's data aside and get all of it from the others;
                     needs -i, and all other nodes running
  --data-dir DIR     where the nodes keep their data (default ./data)
  --log-level LEVEL  ${logLevels.join(", ")}
                     (default info)
  --set KEY=VALUE    override a setting of the node list; may be repeated
  -h, --help
  -v, --version

The environment variables KV_DATA_DIR and KV_LOG_LEVEL stand for the options of
the same name, and KV_<SETTING> for a setting (KV_HEARTBEAT_MS for heartbeatMs).
An option beats the environment, and the environment beats the node list.
`;

/**
 * @param argv the arguments behind the program's own name.
 * @throws UsageError
 */
export function parseArguments(
  argv: readonly string[],
  environment: Readonly<Record<string, string | undefined>> = {},
): Command {
  const values = parse(argv);
  if (values.help === true) return { kind: "help" };
  if (values.version === true) return { kind: "version" };
  if (values.file === undefined) throw new UsageError("-f FILE is missing: name the node list");
  const nodeId = values.id === undefined ? null : parseNumber("-i", values.id, 0, 1_000_000);
  const newNodes =
    values.nodes === undefined ? null : parseNumber("-n", values.nodes, 1, newNodesMax);
  if (nodeId !== null && newNodes !== null) {
    throw new UsageError("-i and -n exclude each other: -i runs one node of a list that exists");
  }
  const newNode = parseNewNode(values["new-cluster"] === true, values.rebuild === true);
  if (newNode === "rebuild" && nodeId === null) {
    throw new UsageError("--rebuild needs -i: only one node at a time can be rebuilt");
  }
  return {
    kind: "run",
    newNode,
    nodeListFile: values.file,
    nodeId,
    newNodes,
    dataDir: given(values["data-dir"]) ?? given(environment["KV_DATA_DIR"]) ?? "./data",
    logLevel: parseLogLevel(values["log-level"], environment["KV_LOG_LEVEL"]),
    settings: parseSettings(values.set ?? []),
  };
}

/** The arguments that make a child process run one node of the same command. */
export function nodeArguments(args: RunArguments, nodeId: number): string[] {
  const settings = [...args.settings].flatMap(([key, value]) => ["--set", `${key}=${value}`]);
  const own = ["-f", args.nodeListFile, "-i", String(nodeId), "--data-dir", args.dataDir];
  const newNode = args.newNode === "newCluster" ? ["--new-cluster"] : [];
  return [...own, "--log-level", args.logLevel, ...newNode, ...settings];
}

const options = {
  file: { type: "string", short: "f" },
  id: { type: "string", short: "i" },
  nodes: { type: "string", short: "n" },
  "data-dir": { type: "string" },
  "new-cluster": { type: "boolean" },
  rebuild: { type: "boolean" },
  "log-level": { type: "string" },
  set: { type: "string", multiple: true },
  help: { type: "boolean", short: "h" },
  version: { type: "boolean", short: "v" },
} as const;

function parse(argv: readonly string[]) {
  try {
    return parseArgs({ args: [...argv], options, strict: true, allowPositionals: false }).values;
  } catch (error) {
    throw new UsageError(`${firstSentence(error)}; see --help`, { cause: error });
  }
}

/** Node's message goes on with advice on how to pass what nobody wants to pass. */
export function firstSentence(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  const [sentence = message] = message.split(/\.(?:\s|$)/, 1);
  return sentence.charAt(0).toLowerCase() + sentence.slice(1);
}

function parseNewNode(isNewCluster: boolean, rebuilds: boolean): NewNode {
  if (isNewCluster && rebuilds) {
    throw new UsageError("--new-cluster and --rebuild exclude each other");
  }
  if (isNewCluster) return "newCluster";
  return rebuilds ? "rebuild" : "join";
}

/** Undefined for an empty text: a variable that is set to nothing is not set. */
export function given(value: string | undefined): string | undefined {
  return value === "" ? undefined : value;
}

/** @throws UsageError naming `flag`. */
export function parseNumber(flag: string, text: string, min: number, max: number): number {
  const value = /^[0-9]{1,9}$/.test(text) ? Number(text) : Number.NaN;
  if (value >= min && value <= max) return value;
  throw new UsageError(`${flag} takes a number from ${min} to ${max}, not ${JSON.stringify(text)}`);
}

function parseLogLevel(flag: string | undefined, variable: string | undefined): LogLevel {
  const [name, text] =
    flag === undefined ? ["KV_LOG_LEVEL", given(variable)] : ["--log-level", flag];
  const level = logLevels.find((each) => each === (text ?? "info"));
  if (level !== undefined) return level;
  throw new UsageError(`${name} takes one of ${logLevels.join(", ")}, not ${JSON.stringify(text)}`);
}

function parseSettings(texts: readonly string[]): Map<string, string> {
  const settings = new Map<string, string>();
  for (const text of texts) {
    const [, key, value] = /^([^=\s]+)=(.+)$/.exec(text) ?? [];
    if (key === undefined || value === undefined) {
      throw new UsageError(`--set takes KEY=VALUE, not ${JSON.stringify(text)}`);
    }
    settings.set(key, value);
  }
  return settings;
}
