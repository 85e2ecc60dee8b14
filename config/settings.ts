/**
 * The options that a node list, the environment and flags may set, read into typed partial options.
 */
import { ConfigError } from "./configError.js";
import type { MprpcConfig } from "./mprpcConfig.js";
import {
  kvOptionsOf,
  raftDefaults,
  rpcDefaults,
  storageDefaults,
  type KvOptions,
  type RaftOptions,
  type RpcOptions,
  type StorageOptions,
} from "./options.js";
import { checkTogether, type Sources } from "./settingsChecks.js";
import { kvRules, raftRules, rpcRules, storageRules, type Rule } from "./settingsRules.js";

/** What was set; spread it over the defaults. */
export interface Settings {
  readonly rpc: Partial<RpcOptions>;
  readonly raft: Partial<RaftOptions>;
  readonly storage: Partial<StorageOptions>;
  readonly kv: Partial<KvOptions>;
  /** Keys that nobody knows, each with file and line. */
  readonly warnings: readonly string[];
}

/** One value, and how an error names the place it came from. */
interface Given {
  readonly value: string;
  readonly source: string;
  readonly line: number;
}

/**
 * Reads every known setting: a flag (`flags`, by key) beats the environment variable
 * `KV_<UPPER_SNAKE>`, which beats the node list. The keys are the fields' names in `options.ts`.
 * @throws ConfigError for a value that is malformed, out of range or at odds with another one, and
 * for a flag whose key nobody knows.
 */
export function readSettings(
  config: MprpcConfig,
  environment: Readonly<Record<string, string | undefined>> = {},
  flags: ReadonlyMap<string, string> = new Map(),
): Settings {
  refuseUnknownFlags(flags);
  const given = (key: string): Given | null => findValue(key, config, environment, flags);
  const sources: Sources = (key) => given(key);
  const rpc = readGroup<RpcOptions>(rpcRules, given);
  const raft = readGroup<RaftOptions>(raftRules, given);
  const storage = readGroup<StorageOptions>(storageRules, given);
  const kv = readGroup<KvOptions>(kvRules, given);
  checkTogether(
    { ...rpcDefaults, ...rpc },
    { ...raftDefaults, ...raft },
    { ...storageDefaults, ...storage },
    kvOptionsOf(kv),
    sources,
  );
  return { rpc, raft, storage, kv, warnings: unknownKeys(config) };
}

/** The environment variable that sets `key`: `KV_HEARTBEAT_MS` for `heartbeatMs`. */
export function environmentName(key: string): string {
  return `KV_${key.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase()}`;
}

function isKnown(key: string): boolean {
  return [rpcRules, raftRules, storageRules, kvRules].some((rules) => Object.hasOwn(rules, key));
}

function findValue(
  key: string,
  config: MprpcConfig,
  environment: Readonly<Record<string, string | undefined>>,
  flags: ReadonlyMap<string, string>,
): Given | null {
  const flag = flags.get(key);
  if (flag !== undefined) return { value: flag, source: "--set", line: 0 };
  const name = environmentName(key);
  const variable = environment[name];
  if (variable !== undefined && variable !== "") {
    return { value: variable.trim(), source: name, line: 0 };
  }
  const option = config.options.get(key);
  return option === undefined ? null : { ...option, source: config.fileName };
}

function readGroup<T extends object>(
  rules: { readonly [Key in keyof T]: Rule<T[Key]> },
  given: (key: string) => Given | null,
): Partial<T> {
  const group: Partial<T> = {};
  for (const key in rules) {
    const found = given(key);
    if (found === null) continue;
    const rule = rules[key];
    const value = rule.parse(found.value);
    if (value === null) {
      const problem = `${key} must be ${rule.expected}, not ${JSON.stringify(found.value)}`;
      throw new ConfigError(found.source, found.line, problem);
    }
    group[key] = value;
  }
  return group;
}

function refuseUnknownFlags(flags: ReadonlyMap<string, string>): void {
  for (const key of flags.keys()) {
    if (!isKnown(key)) throw new ConfigError("--set", 0, `there is no setting named ${key}`);
  }
}

function unknownKeys(config: MprpcConfig): string[] {
  return [...config.options]
    .filter(([key]) => !isKnown(key))
    .map(([key, { line }]) => `${config.fileName}:${line}: unknown key ${key} is ignored`);
}
