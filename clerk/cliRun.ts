import { ConfigError } from "../config/configError.js";
import { rpcDefaults } from "../config/options.js";
import { Clerk, type ClerkSettings } from "./clerk.js";
import {
  helpText,
  parseCliArgs,
  UsageError,
  type BenchPlan,
  type CliBytes,
  type CliRequest,
} from "./cliArgs.js";
import { formatBench, runBench, type BenchProgress } from "./cliBench.js";
import { formatStatus } from "./cliStatus.js";
import { ClerkError } from "./errors.js";

export const exitCodes = { done: 0, failed: 1, usage: 2, mayHaveHappened: 3 } as const;

/** What the command line takes from its process. */
export interface CliWorld {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly version: string;
  readonly stdin: AsyncIterable<Uint8Array>;
  readonly stderrIsTty: boolean;
  readonly settings?: ClerkSettings;
  writeOut(bytes: string | Uint8Array): void;
  writeErr(text: string): void;
}

const progressMsOnTty = 200;
const progressMsElsewhere = 5_000;
const newline = Buffer.from("\n");

/** Runs one command line to its exit code; never rejects. */
export async function runCli(args: readonly string[], world: CliWorld): Promise<number> {
  try {
    const parsed = parseCliArgs(args, world.env);
    if (parsed.kind === "run") return await runRequest(parsed.request, world);
    world.writeOut(parsed.kind === "help" ? helpText : `${world.version}\n`);
    return exitCodes.done;
  } catch (error) {
    return report(error, world);
  }
}

/** One line for people, whatever happened. */
function report(error: unknown, world: CliWorld): number {
  const message = error instanceof Error ? error.message : String(error);
  world.writeErr(`mprpc-clerk: ${message.replaceAll(/\s*\n\s*/g, " ")}\n`);
  if (error instanceof UsageError) {
    world.writeErr("try: mprpc-clerk --help\n");
    return exitCodes.usage;
  }
  const perhaps = error instanceof ClerkError && error.mayHaveHappened;
  return perhaps ? exitCodes.mayHaveHappened : exitCodes.failed;
}

async function runRequest(request: CliRequest, world: CliWorld): Promise<number> {
  const clerk = openClerk(request, world);
  try {
    return await runCommand(clerk, request, world);
  } finally {
    await clerk.close();
  }
}

function openClerk({ nodes, command, timeoutMs }: CliRequest, world: CliWorld): Clerk {
  const timeout = timeoutMs === undefined ? {} : { timeoutMs };
  const concurrency = command.name === "bench" ? command.plan.concurrency : 1;
  try {
    return new Clerk(nodes, { ...world.settings, ...timeout, callsInFlightMax: concurrency });
  } catch (error) {
    // A node list that isn't there is a slip on the command line; one that is wrong is not.
    if (error instanceof ConfigError && error.line === 0) throw new UsageError(error.message);
    throw error;
  }
}

async function runCommand(clerk: Clerk, request: CliRequest, world: CliWorld): Promise<number> {
  const { command, hex } = request;
  if (command.name === "get") return await get(clerk, command.key, hex, world);
  if (command.name === "status") return await status(clerk, request, world);
  if (command.name === "bench") return await bench(clerk, command.plan, world);
  await clerk[command.name](command.key, await readValue(command.value, hex, world));
  return exitCodes.done;
}

async function get(clerk: Clerk, key: Uint8Array, hex: boolean, world: CliWorld): Promise<number> {
  const value = await clerk.get(key);
  if (value === undefined) {
    world.writeErr("mprpc-clerk: there is no such key\n");
    return exitCodes.failed;
  }
  const shown = hex ? Buffer.from(value.toString("hex")) : value;
  world.writeOut(Buffer.concat([shown, newline]));
  return exitCodes.done;
}

async function status(clerk: Clerk, request: CliRequest, world: CliWorld): Promise<number> {
  const { timeoutMs } = request;
  const nodes = await clerk.status(timeoutMs === undefined ? {} : { timeoutMs });
  world.writeOut(formatStatus(nodes));
  return nodes.every((node) => node.status !== null) ? exitCodes.done : exitCodes.failed;
}

async function bench(clerk: Clerk, plan: BenchPlan, world: CliWorld): Promise<number> {
  const progress = new ProgressLine(world);
  const phases = await runBench(clerk, plan, (at) => progress.update(at));
  progress.clear();
  world.writeOut(formatBench(phases));
  return phases.every(({ failures }) => failures === 0) ? exitCodes.done : exitCodes.failed;
}

async function readValue(value: CliBytes, hex: boolean, world: CliWorld): Promise<Uint8Array> {
  if (value !== "stdin") return value;
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of world.stdin) {
    bytes += chunk.length;
    // In hexadecimal two characters are one byte.
    if (bytes > rpcDefaults.requestBytesMax * (hex ? 2 : 1)) {
      throw new ClerkError("TOO_LARGE", "standard input is longer than a value may be");
    }
    chunks.push(chunk);
  }
  const all = Buffer.concat(chunks);
  return hex ? decodeHex(all.toString("latin1").trim()) : all;
}

function decodeHex(text: string): Uint8Array {
  if (/^([0-9a-f]{2})*$/i.test(text)) return Buffer.from(text, "hex");
  throw new UsageError("standard input is not hexadecimal");
}

/** Says on stderr how far a bench has come: in place on a terminal, seldom anywhere else. */
class ProgressLine {
  private readonly world: CliWorld;
  private nextAt: number;
  private shown = false;

  constructor(world: CliWorld) {
    this.world = world;
    this.nextAt = performance.now() + this.everyMs;
  }

  private get everyMs(): number {
    return this.world.stderrIsTty ? progressMsOnTty : progressMsElsewhere;
  }

  update({ phase, done, total }: BenchProgress): void {
    const now = performance.now();
    if (now < this.nextAt) return;
    this.nextAt = now + this.everyMs;
    const line = `${phase}: ${done} of ${total}`;
    this.world.writeErr(this.world.stderrIsTty ? `\r\x1b[K${line}` : `${line}\n`);
    this.shown = true;
  }

  clear(): void {
    if (this.shown && this.world.stderrIsTty) this.world.writeErr("\r\x1b[K");
  }
}
