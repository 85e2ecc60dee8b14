import pino from "pino";
import { ConfigError, readSettings, type Logger, type MprpcConfig } from "../config/index.js";
import type { RunArguments } from "./args.js";
import { exitCodeOf, exitCodes } from "./exitCodes.js";
import { describeNode, KvNode } from "./node.js";
import { packageVersion } from "./version.js";
import { settleHeap } from "./heap.js";

/**
 * Runs one node in this process until `stop` is called on what it returns, or until it fails.
 * @throws ConfigError, StorageError or RpcError when it can't start.
 */
export async function runNode(
  args: RunArguments,
  nodeList: MprpcConfig,
  id: number,
): Promise<RunningNode> {
  const count = nodeList.nodes.length;
  if (id >= count)
    throw new ConfigError(
      args.nodeListFile,
      0,
      `there is no node ${id}: it lists 0 to ${count - 1}`,
    );
  settleHeap();
  const settings = readSettings(nodeList, process.env, args.settings);
  const log = makeLogger(args.logLevel);
  for (const warning of [...nodeList.warnings, ...settings.warnings]) log.warn({}, warning);
  const version = packageVersion();
  const { dataDir, newNode } = args;
  const node = await KvNode.start({ nodeList, id, dataDir, newNode, settings, log, version });
  log.info({ pid: process.pid }, `${describeNode(nodeList, id)} serves`);
  return new RunningNode(node, id, log);
}

export class RunningNode {
  /** Resolves with the exit code of the process. */
  readonly ended: Promise<number>;
  private readonly node: KvNode;
  private readonly id: number;
  private readonly log: Logger;

  constructor(node: KvNode, id: number, log: Logger) {
    this.node = node;
    this.id = id;
    this.log = log;
    this.ended = new Promise((resolve) => {
      this.end = resolve;
    });
    node.onFailure = (error) => {
      this.complain(`stopped: ${error.message}`);
      this.end(exitCodeOf(error, exitCodes.failed));
    };
  }

  /** Hands leadership over and closes everything; `ended` tells when that is done. */
  readonly stop = (): void => {
    this.log.info({}, `node ${this.id} is stopping`);
    this.node.stop().then(
      () => this.end(0),
      (error: unknown) => {
        this.complain(`did not stop cleanly: ${(error as Error).message}`);
        this.end(exitCodeOf(error, 1));
      },
    );
  };

  private end: (code: number) => void = () => {};

  private complain(what: string): void {
    process.stderr.write(`node ${this.id} ${what}\n`);
  }
}

/** Synchronous, so that nothing is lost when the process is killed; never a line per request. */
function makeLogger(level: string): Logger {
  return pino({ level, base: null }, pino.destination({ dest: 1, sync: true }));
}
