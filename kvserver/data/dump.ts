/** `mprpc-data dump`: the entries of a log, or the pairs of a snapshot, a line each. */
import type { Entry } from "../../raft/core/types.js";
import { exitCodes } from "../exitCodes.js";
import { decodeOp, isBoostOp, OpCodecError, type Op } from "../opCodec.js";
import type { DumpCommand } from "./args.js";
import { describeDamage, formatDamage } from "./damage.js";
import { holding, inspect } from "./directory.js";
import { escapeBytes } from "./escape.js";
import { snapshotChunks, visitState } from "./stateOf.js";
import { newestWhole } from "./verify.js";
import { DataError, Interrupted, type DataWorld } from "./world.js";

/** Characters gathered before they are written. */
const outputChars = 64 * 1024;

/** Resolves to the exit code. */
export function dump(command: DumpCommand, world: DataWorld): Promise<number> {
  const { directory, state } = command;
  return holding(world, directory, () =>
    state ? dumpState(command, world) : dumpLog(command, world),
  );
}

/** With damage: what is whole before and after it, then what is damaged. */
async function dumpLog(command: DumpCommand, world: DataWorld): Promise<number> {
  const inspection = await inspect(world.fs, command.directory, { readsSnapshots: false });
  const lines = new Lines(world);
  for (const { entries } of inspection.logs) {
    for (const entry of entries) {
      if (entry.index < command.from || entry.index > command.to) continue;
      await lines.add(entryLine(entry, command.keysOnly));
    }
  }
  await lines.flush();
  for (const error of inspection.damages) {
    world.writeErr(formatDamage(describeDamage(error, inspection.start !== null)));
  }
  return inspection.damages.length === 0 ? 0 : exitCodes.damaged;
}

async function dumpState(command: DumpCommand, world: DataWorld): Promise<number> {
  const { directory, keysOnly } = command;
  const { snapshots, identity } = await inspect(world.fs, directory, { readsSnapshots: false });
  const newest = newestWhole(snapshots);
  if (newest === null || identity === null) {
    throw new DataError(`${directory} has no whole snapshot; without --state its log is shown`);
  }
  const lines = new Lines(world);
  const visitor = {
    header: (): void => {},
    session: (): void => {},
    pair: (key: Uint8Array, value: Uint8Array): void =>
      lines.gather(`key=${escapeBytes(key)} ${valueField(value, keysOnly)}`),
  };
  const chunks = snapshotChunks(world.fs, newest, identity.storageId);
  await visitState(chunks, newest.file, visitor, () => lines.flush());
  return 0;
}

class Lines {
  private readonly world: DataWorld;
  private text = "";

  constructor(world: DataWorld) {
    this.world = world;
  }

  async add(line: string): Promise<void> {
    this.gather(line);
    if (this.text.length >= outputChars) await this.flush();
  }

  gather(line: string): void {
    this.text += `${line}\n`;
  }

  async flush(): Promise<void> {
    if (this.world.signal.aborted) throw new Interrupted();
    const { text } = this;
    this.text = "";
    if (text !== "") await this.world.writeOut(text);
  }
}

function entryLine({ index, term, command }: Entry, keysOnly: boolean): string {
  const head = `index=${index} term=${term}`;
  if (command.length === 0) return `${head} kind=noop`;
  const op = tryDecode(command);
  if (op === null) return `${head} kind=unreadable ${valueField(command, keysOnly)}`;
  const kind = isBoostOp(command) ? "boost" : "compact";
  const client = `client=${escapeBytes(op.clientId)} request=${op.requestId}`;
  const session = `unfinished=${op.firstUnfinished} time=${op.logTimeMs}`;
  const pair = `key=${escapeBytes(op.key)} ${valueField(op.value, keysOnly)}`;
  return `${head} kind=${kind} op=${op.operation} ${client} ${session} ${pair}`;
}

function tryDecode(command: Uint8Array): Op | null {
  try {
    return decodeOp(command);
  } catch (error) {
    if (error instanceof OpCodecError) return null;
    throw error;
  }
}

function valueField(value: Uint8Array, lengthOnly: boolean): string {
  return lengthOnly ? `valueBytes=${value.length}` : `value=${escapeBytes(value)}`;
}
