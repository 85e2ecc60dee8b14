/** `mprpc-data verify`: every checksum of every file, and whether they fit together. */
import type { Inspection } from "../../raft/persister/inspection.js";
import { StorageError } from "../../raft/persister/storageError.js";
import { exitCodes } from "../exitCodes.js";
import { decodeOp, OpCodecError } from "../opCodec.js";
import { describeDamage, formatDamage, type Damage } from "./damage.js";
import { holding, inspectAll } from "./directory.js";
import { KeyOrder, snapshotChunks, visitState } from "./stateOf.js";
import type { DataWorld } from "./world.js";

interface Verdict {
  readonly good: boolean;
  /** Whether a node would start from it. */
  readonly startable: boolean;
  readonly damages: readonly Damage[];
  /** Entries that are whole, and in them commands that no version known here wrote. */
  readonly entries: number;
  readonly unreadableCommands: number;
  /** Pairs in the newest snapshot; null when there is none. */
  readonly keys: number | null;
  readonly tornBytes: number;
}

/** Resolves to the exit code. */
export async function verify(directory: string, json: boolean, world: DataWorld): Promise<number> {
  const verdict = await holding(world, directory, () => judge(directory, world));
  await world.writeOut(json ? `${JSON.stringify(verdict, null, 2)}\n` : asText(directory, verdict));
  return verdict.good ? 0 : exitCodes.damaged;
}

async function judge(directory: string, world: DataWorld): Promise<Verdict> {
  const inspection = await inspectAll(world, directory, "verify");
  const { logs, torn, start } = inspection;
  const keys = await countKeys(world, inspection);
  const damages = inspection.damages.map((error) => describeDamage(error, start !== null));
  if (keys instanceof StorageError) damages.push(describeDamage(keys, false));
  const entries = logs.flatMap((log) => log.entries);
  return {
    good: damages.length === 0,
    startable: start !== null,
    damages,
    entries: entries.length,
    unreadableCommands: entries.filter(({ command }) => !isReadable(command)).length,
    keys: typeof keys === "number" ? keys : null,
    tornBytes: torn?.bytes ?? 0,
  };
}

/** Pairs of the newest snapshot, null without one that is whole, or what makes it no state. */
async function countKeys(
  { fs }: DataWorld,
  { snapshots, identity }: Inspection,
): Promise<number | StorageError | null> {
  const newest = newestWhole(snapshots);
  if (newest === null || identity === null) return null;
  const order = new KeyOrder();
  let keys = 0;
  const visitor = {
    header: (): void => {},
    session: (): void => {},
    pair: (key: Uint8Array): void => {
      order.check(key);
      keys++;
    },
  };
  try {
    await visitState(snapshotChunks(fs, newest, identity.storageId), newest.file, visitor);
    return keys;
  } catch (error) {
    if (error instanceof StorageError) return error;
    throw error;
  }
}

export function newestWhole(snapshots: Inspection["snapshots"]): Inspection["snapshots"][0] | null {
  const whole = snapshots.filter(({ isWhole }) => isWhole);
  whole.sort((a, b) => b.meta.index - a.meta.index || b.meta.term - a.meta.term);
  return whole[0] ?? null;
}

function isReadable(command: Uint8Array): boolean {
  try {
    if (command.length > 0) decodeOp(command);
    return true;
  } catch (error) {
    if (error instanceof OpCodecError) return false;
    throw error;
  }
}

function asText(directory: string, verdict: Verdict): string {
  const { good, damages, entries, unreadableCommands, keys, tornBytes } = verdict;
  const snapshot = keys === null ? "no snapshot" : `a snapshot of ${keys} keys`;
  const notes = [`${entries} entries, ${snapshot}`];
  if (tornBytes > 0) {
    notes.push(`an unfinished last write of ${tornBytes} bytes, which was never acknowledged`);
  }
  if (unreadableCommands > 0) {
    notes.push(`${unreadableCommands} commands that can't be read, and change nothing`);
  }
  const head = `${good ? "good" : "DAMAGED"}    ${directory}: ${notes.join("; ")}\n`;
  return head + damages.map(formatDamage).join("");
}
