#!/usr/bin/env node
import { fileURLToPath } from "node:url";
import { MprpcConfig } from "../config/index.js";
import { helpText, nodeArguments, parseArguments, UsageError, type RunArguments } from "./args.js";
import { exitCodeOf, exitCodes } from "./exitCodes.js";
import { writeFreeNodeList } from "./freeNodeList.js";
import { launch, stopWhenParentDies } from "./launcher.js";
import { queryStatus } from "./queryStatus.js";
import { runNode } from "./runNode.js";
import { packageVersion } from "./version.js";

async function main(): Promise<number> {
  const command = parseArguments(process.argv.slice(2), process.env);
  if (command.kind === "help") {
    process.stdout.write(helpText);
    return 0;
  }
  if (command.kind === "version") {
    process.stdout.write(`${packageVersion()}\n`);
    return 0;
  }
  if (command.newNodes !== null) await writeFreeNodeList(command.nodeListFile, command.newNodes);
  const nodeList = MprpcConfig.loadFile(command.nodeListFile);
  return command.nodeId === null
    ? runAll(command, nodeList)
    : runOne(command, nodeList, command.nodeId);
}

async function runOne(args: RunArguments, nodeList: MprpcConfig, id: number): Promise<number> {
  const node = await runNode(args, nodeList, id);
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, node.stop);
  stopWhenParentDies(node.stop);
  return node.ended;
}

function runAll(args: RunArguments, nodeList: MprpcConfig): Promise<number> {
  for (const warning of nodeList.warnings) process.stderr.write(`${warning}\n`);
  const script = fileURLToPath(import.meta.url);
  const cli = fileURLToPath(new URL("../clerk/cli.js", import.meta.url));
  const clerk = `node ${shorten(cli)} -f ${args.nodeListFile}`;
  return launch({
    nodes: nodeList.nodes,
    dataDir: args.dataDir,
    script: (id) => [script, ...nodeArguments(args, id)],
    queryStatus,
    hints: [`${clerk} put x 1`, `${clerk} get x`],
    print: (line) => process.stdout.write(`${line}\n`),
    printError: (line) => process.stderr.write(`${line}\n`),
  });
}

/** Relative where the file lies below the current folder. */
function shorten(file: string): string {
  const here = `${process.cwd()}/`;
  return file.startsWith(here) ? file.slice(here.length) : file;
}

main().then(
  (code) => process.exit(code),
  (error: unknown) => {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
    process.exit(error instanceof UsageError ? exitCodes.usage : exitCodeOf(error, 1));
  },
);
