import { UsageError } from "../args.js";
import { exitCodeOf, exitCodes } from "../exitCodes.js";
import { helpText, parseDataArguments, type DataCommand } from "./args.js";
import { BackupError } from "./backupFormat.js";
import { dump } from "./dump.js";
import { exportState } from "./exportState.js";
import { importState } from "./importState.js";
import { list } from "./list.js";
import { verify } from "./verify.js";
import { Interrupted, type DataWorld } from "./world.js";

/** Runs one command line to its exit code; never rejects. */
export async function runDataCli(argv: readonly string[], world: DataWorld): Promise<number> {
  try {
    return await run(parseDataArguments(argv, world.env), world);
  } catch (error) {
    return report(error, world);
  }
}

async function run(command: DataCommand, world: DataWorld): Promise<number> {
  switch (command.kind) {
    case "help":
      await world.writeOut(helpText);
      return 0;
    case "version":
      await world.writeOut(`${world.version}\n`);
      return 0;
    case "list":
      return list(command.directory, command.json, world);
    case "dump":
      return dump(command, world);
    case "verify":
      return verify(command.directory, command.json, world);
    case "export":
      return exportState(command, world);
    default:
      return importState(command, world);
  }
}

/** One line for people, whatever happened. */
function report(error: unknown, world: DataWorld): number {
  const cause = world.signal.aborted ? new Interrupted() : error;
  const message = cause instanceof Error ? cause.message : String(cause);
  world.writeErr(`mprpc-data: ${message.replaceAll(/\s*\n\s*/g, " ")}\n`);
  if (cause instanceof Interrupted) return exitCodes.interrupted;
  if (cause instanceof UsageError) return exitCodes.usage;
  if (cause instanceof BackupError) return exitCodes.damaged;
  return exitCodeOf(cause, 1);
}
