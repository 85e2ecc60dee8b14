import { readFileSync, statSync } from "node:fs";
import { ConfigError } from "./configError.js";
import { canonicalAddress, parseHost, parsePort } from "./nodeAddress.js";
import { nodeListBytesMax } from "./options.js";

/** One node of the cluster. Its id is its position in the node list. */
export interface NodeAddress {
  readonly id: number;
  readonly host: string;
  readonly port: number;
  /** Where the list names its port; 0 for a node that comes from no file. */
  readonly line: number;
}

/** A value of the node list and the line it stands in. */
export interface ConfigValue {
  readonly value: string;
  readonly line: number;
}

/**
 * The node list, in the original's format:
 *
 *     # three nodes on one machine
 *     node0ip=127.0.0.1
 *     node0port=29016
 *     commandCodec=boost
 *
 * Ids count from 0 without a gap. The lines may stand in any order, with blanks around `=` and CRLF
 * at the end; `#` starts a comment at the beginning of a line or after a blank. The first value of
 * a repeated key wins. Every other key is an option: see `settings.ts`.
 */
export class MprpcConfig {
  readonly fileName: string;
  readonly nodes: readonly NodeAddress[];
  /** What does not describe a node, by key. */
  readonly options: ReadonlyMap<string, ConfigValue>;
  /** What is odd and harmless, each with file and line. */
  readonly warnings: readonly string[];
  private readonly values: ReadonlyMap<string, ConfigValue>;

  private constructor(fileName: string, values: Map<string, ConfigValue>, warnings: string[]) {
    this.fileName = fileName;
    this.values = values;
    this.warnings = warnings;
    this.nodes = readNodes(fileName, values);
    this.options = new Map([...values].filter(([key]) => !nodeKey.test(key)));
  }

  /** @throws ConfigError when the file can't be read, or is no node list. */
  static loadFile(path: string): MprpcConfig {
    let text: string;
    try {
      const { size } = statSync(path);
      if (size > nodeListBytesMax) {
        throw new ConfigError(path, 0, `larger than ${nodeListBytesMax} bytes: not a node list`);
      }
      text = readFileSync(path, "utf8");
    } catch (error) {
      if (error instanceof ConfigError) throw error;
      throw new ConfigError(path, 0, describeReadError(error), { cause: error });
    }
    return MprpcConfig.parse(text, path);
  }

  /**
   * @param fileName stands in front of every error and warning.
   * @throws ConfigError when `text` is no node list.
   */
  static parse(text: string, fileName: string): MprpcConfig {
    const values = new Map<string, ConfigValue>();
    const warnings: string[] = [];
    const lines = text.replace(/^\uFEFF/, "").split("\n");
    for (const [index, content] of lines.entries()) {
      const line = index + 1;
      const pair = parseLine(content, fileName, line);
      if (pair === null) continue;
      const earlier = values.get(pair.key);
      if (earlier === undefined) values.set(pair.key, { value: pair.value, line });
      else
        warnings.push(`${fileName}:${line}: ${pair.key} is ignored: line ${earlier.line} set it`);
    }
    return new MprpcConfig(fileName, values, warnings);
  }

  /** The value of any key as it stands in the file: the original's `Load`. */
  load(key: string): string | undefined {
    return this.values.get(key)?.value;
  }
}

/** A node list that `MprpcConfig.parse` reads back. The ids are the positions in `nodes`. */
export function formatNodeList(nodes: readonly { host: string; port: number }[]): string {
  return nodes.map(({ host, port }, id) => `node${id}ip=${host}\nnode${id}port=${port}\n`).join("");
}

const nodeKey = /^node([0-9]+)(ip|port)$/;

function parseLine(
  content: string,
  fileName: string,
  line: number,
): { key: string; value: string } | null {
  const text = content.replace(/(^|\s)#[^]*$/, "").trim();
  if (text === "") return null;
  const split = text.indexOf("=");
  if (split < 0) {
    throw new ConfigError(fileName, line, `expected key=value, found ${clip(text)}`);
  }
  const key = text.slice(0, split).trim();
  const value = text.slice(split + 1).trim();
  if (key === "") throw new ConfigError(fileName, line, 'there is no key before "="');
  if (value === "") {
    throw new ConfigError(fileName, line, `${key} has no value: give it one or remove the line`);
  }
  return { key, value };
}

/** The two keys of a node, as far as they are there. */
interface NodeKeys {
  ip?: ConfigValue;
  port?: ConfigValue;
}

function readNodes(fileName: string, values: ReadonlyMap<string, ConfigValue>): NodeAddress[] {
  const found = collectNodeKeys(fileName, values);
  if (found.size === 0) {
    throw new ConfigError(fileName, 0, "no nodes: add node0ip=... and node0port=...");
  }
  const nodes = [...found.keys()]
    .sort((a, b) => a - b)
    .map((id, position) => readNode(fileName, id, position, found.get(id) ?? {}));
  refuseSharedAddress(fileName, nodes);
  return nodes;
}

function collectNodeKeys(
  fileName: string,
  values: ReadonlyMap<string, ConfigValue>,
): Map<number, NodeKeys> {
  const found = new Map<number, NodeKeys>();
  for (const [key, value] of values) {
    const [, digits = "", field] = nodeKey.exec(key) ?? [];
    if (field !== "ip" && field !== "port") continue;
    const id = Number(digits);
    if (String(id) !== digits) {
      throw new ConfigError(fileName, value.line, `${key}: write the number as ${id}`);
    }
    const keys = found.get(id) ?? {};
    keys[field] = value;
    found.set(id, keys);
  }
  return found;
}

function readNode(fileName: string, id: number, position: number, keys: NodeKeys): NodeAddress {
  const line = (keys.ip ?? keys.port)?.line ?? 0;
  if (id !== position) {
    const problem = `node${id} leaves a gap: node${position}ip and node${position}port are missing`;
    throw new ConfigError(fileName, line, `${problem}; number the nodes from 0 without gaps`);
  }
  if (keys.ip === undefined) {
    throw new ConfigError(fileName, line, `node${id}ip is missing: add it beside node${id}port`);
  }
  if (keys.port === undefined) {
    throw new ConfigError(fileName, line, `node${id}port is missing: add it beside node${id}ip`);
  }
  const host = parseHost(keys.ip.value);
  if (host === null) {
    const problem = `node${id}ip must be an IP address or a host name, not ${clip(keys.ip.value)}`;
    throw new ConfigError(fileName, keys.ip.line, problem);
  }
  const port = parsePort(keys.port.value);
  if (port === null) {
    const problem = `node${id}port must be a number from 1 to 65535, not ${clip(keys.port.value)}`;
    throw new ConfigError(fileName, keys.port.line, problem);
  }
  return { id, host, port, line: keys.port.line };
}

function refuseSharedAddress(fileName: string, nodes: readonly NodeAddress[]): void {
  const owners = new Map<string, number>();
  for (const { id, host, port, line } of nodes) {
    const address = canonicalAddress(host, port);
    const owner = owners.get(address);
    if (owner !== undefined) {
      const problem = `node${id} has the address of node${owner}, ${address}: change one of them`;
      throw new ConfigError(fileName, line, problem);
    }
    owners.set(address, id);
  }
}

function describeReadError(error: unknown): string {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  if (code === "ENOENT") return "no such file: name the node list with -f FILE";
  if (code === "EACCES") return "may not be read: check its permissions";
  if (code === "EISDIR") return "is a directory: name the node list itself";
  return `can't be read: ${error instanceof Error ? error.message : String(error)}`;
}

/** Keeps what an error quotes to one short line without control characters. */
function clip(text: string): string {
  return JSON.stringify(text.length <= 60 ? text : `${text.slice(0, 57)}...`);
}
