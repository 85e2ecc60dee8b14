import pino from "pino";
import { ConfigError, readSettings, type Logger, type MprpcConfig } from "../config/index.js";
import type { RunArguments } from "./args.js";
import { describeNode, KvNode } from "./node.js";
import { packageVersion } from "./version.js";

/** Exit code of a node that stopped because it could not go on: a failed disk, a broken invariant. */
export const failedExitCode = 70;

/**
 * Runs one node in this process until `stop` is called on what it returns, or until it fails.
 * @throws ConfigError, StorageError or RpcError when it can't start.
 */
export async function runNode(
  args: RunArguments,
  nodeList: MprpcConfig,
  id: number,
): Promise<{ readonly ended: Promise<number>; stop(): void }> {
  const count = nodeList.nodes.length;
  if (id >= count)
    throw new ConfigError(
      args.nodeListFile,
      0,
      `there is no node ${id}: it lists 0 to ${count - 1}`,
    );
  const settings = readSettings(nodeList, process.env, args.settings);
  const log = makeLogger(args.logLevel);
  for (const warning of [...nodeList.warnings, ...settings.warnings]) log.warn({}, warning);
  const version = packageVersion();
  const node = await KvNode.start({ nodeList, id, dataDir: args.dataDir, settings, log, version });
  log.info({ pid: process.pid }, `${describeNode(nodeList, id)} serves`);
  let end: (code: number) => void = () => {};
  const ended = new Promise<number>((resolve) => {
    end = resolve;
  });
  node.onFailure = (error) => {
    process.stderr.write(`node ${id} stopped: ${error.message}\n`);
    end(failedExitCode);
  };
  const stop = (): void => {
    log.info({}, `node ${id} is stopping`);
    node.stop().then(
      () => end(0),
      (error: unknown) => {
        process.stderr.write(`node ${id} did not stop cleanly: ${(error as Error).message}\n`);
        end(1);
      },
    );
  };
  return { ended, stop };
}

/** Synchronous, so that nothing is lost when the process is killed; never a line per request. */
function makeLogger(level: string): Logger {
  return pino({ level, base: null }, pino.destination({ dest: 1, sync: true }));
}
