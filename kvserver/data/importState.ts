/**
 * `mprpc-data import`: data directories for a new cluster that begins with what a backup holds.
 *
 *     node0.importing-<pid> -> whole, synced, closed -> renamed to node0 -> directory synced
 *
 * Why that is safe is in docs/backup.md.
 */
import { readdir, rename, rm } from "node:fs/promises";
import path from "node:path";
import { ConfigError, MprpcConfig, readSettings } from "../../config/index.js";
import type { SnapshotMeta } from "../../raft/core/types.js";
import type { Persister } from "../../raft/persister/persister.js";
import { WalPersister, type WalPersisterOptions } from "../../raft/persister/walPersister.js";
import { nodeFs } from "../../raft/persister/nodeFs.js";
import { errnoOf } from "../../raft/persister/storageError.js";
import { headerBytes, SnapshotFormatError, writeHeader } from "../snapshotRecords.js";
import { StateParser } from "../stateParser.js";
import type { ImportCommand } from "./args.js";
import { BackupError, backupHeaderBytes } from "./backupFormat.js";
import { BackupReader } from "./backupReader.js";
import { beginningOf } from "./beginning.js";
import { Progress } from "./progress.js";
import { KeyOrder } from "./stateOf.js";
import { watchedFs } from "./watchedFs.js";
import { DataError, type DataWorld } from "./world.js";

/** One node's directory: where it is made, and where it goes. */
interface Target {
  readonly id: number;
  readonly directory: string;
  readonly temporary: string;
}

/** Resolves to the exit code. */
export async function importState(command: ImportCommand, world: DataWorld): Promise<number> {
  const nodeList = MprpcConfig.loadFile(command.nodeListFile);
  const { storage, kv } = readSettings(nodeList, world.env);
  const targets = targetsOf(command, nodeList.nodes.length);
  for (const { directory } of targets) await mustBeEmpty(directory);
  if (kv.commandCodec === "boost") {
    const why = "nodes of the original can load no snapshot";
    world.writeErr(`mprpc-data: ${why}: none of them can be in this cluster\n`);
  }
  const beginning = await makeAll(command.file, targets, storage, world);
  for (const { directory } of targets) {
    const { index, term } = beginning;
    await world.writeOut(`${directory}: begins after entry ${index} of term ${term}\n`);
  }
  return 0;
}

function targetsOf({ dataDir, nodeId, nodeListFile }: ImportCommand, count: number): Target[] {
  if (nodeId !== null && nodeId >= count) {
    throw new ConfigError(
      nodeListFile,
      0,
      `there is no node ${nodeId}: it lists 0 to ${count - 1}`,
    );
  }
  const ids = nodeId === null ? Array.from({ length: count }, (_, id) => id) : [nodeId];
  return ids.map((id) => {
    const directory = path.join(dataDir, `node${id}`);
    return { id, directory, temporary: `${directory}.importing-${process.pid}` };
  });
}

/** Each is whole before the first gets its name. */
async function makeAll(
  file: string,
  targets: readonly Target[],
  storage: Partial<WalPersisterOptions>,
  world: DataWorld,
): Promise<SnapshotMeta> {
  try {
    let beginning: SnapshotMeta = { index: 0, term: 0 };
    for (const target of targets) beginning = await make(file, target, storage, world);
    for (const { temporary, directory } of targets) await moveTo(temporary, directory);
    await nodeFs.syncDirectory(path.dirname(path.resolve(targets[0]!.directory)));
    return beginning;
  } finally {
    for (const { temporary } of targets) await rm(temporary, { recursive: true, force: true });
  }
}

async function make(
  file: string,
  { id, temporary }: Target,
  storage: Partial<WalPersisterOptions>,
  world: DataWorld,
): Promise<SnapshotMeta> {
  const fs = watchedFs(world.fs, (bytes) => progress.advance(bytes));
  const size = await sizeOf(file, world);
  const progress = new Progress(world, `node ${id}`, size);
  const backup = await BackupReader.open(fs, file);
  try {
    // Of a process that had the same pid, and was killed.
    await rm(temporary, { recursive: true, force: true });
    const persister = await WalPersister.open(temporary, { ...storage, nodeId: id });
    try {
      return await fill(persister, backup, file);
    } finally {
      await persister.close();
    }
  } finally {
    progress.clear();
    await backup.close();
  }
}

/** Writes the snapshot, and a log that goes on after it. */
async function fill(persister: Persister, backup: BackupReader, file: string) {
  const beginning = beginningOf(backup.header.meta, backup.trailer.digest);
  // Nobody has led or voted in this term, so its first leader is one of the next.
  const hardState = { term: beginning.term, votedFor: -1 };
  await new Promise<void>((resolve, reject) => {
    persister.onFailure = reject;
    persister.save({ hardState, entries: [] }, resolve);
  });
  const writer = await persister.createSnapshot(beginning, "local");
  try {
    for await (const chunk of stateOf(backup, file)) await writer.write(chunk);
    await writer.commit();
  } catch (error) {
    await writer.abort();
    throw error;
  }
  await persister.resetLog(beginning);
  return beginning;
}

/**
 * A state of the backup's pairs, without sessions: whoever had one before is told that it expired,
 * and nothing that it repeats is applied twice unnoticed.
 */
async function* stateOf(
  backup: BackupReader,
  file: string,
): AsyncGenerator<Uint8Array, void, undefined> {
  const { keys } = backup.trailer;
  const header = new Uint8Array(headerBytes);
  writeHeader(header, { logTimeMs: 0, sessionCount: 0, keyCount: keys });
  const order = new KeyOrder();
  const parser = new StateParser({
    header: () => {},
    session: () => {},
    pair: (key) => order.check(key),
  });
  parser.push(header);
  yield header;
  let at = backupHeaderBytes;
  try {
    for await (const payload of backup.payloads()) {
      parser.push(payload);
      at += payload.length;
      yield payload;
    }
    parser.finish();
  } catch (error) {
    if (!(error instanceof SnapshotFormatError)) throw error;
    throw new BackupError(error.message, file, at);
  }
}

async function sizeOf(file: string, { fs }: DataWorld): Promise<number> {
  const opened = await fs.open(file, "read");
  try {
    return await opened.size();
  } finally {
    await opened.close();
  }
}

async function mustBeEmpty(directory: string): Promise<void> {
  try {
    if ((await readdir(directory)).length === 0) return;
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return;
    throw error;
  }
  throw notEmpty(directory);
}

async function moveTo(temporary: string, directory: string): Promise<void> {
  try {
    await rename(temporary, directory);
  } catch (error) {
    throw errnoOf(error) === "ENOTEMPTY" ? notEmpty(directory) : error;
  }
}

function notEmpty(directory: string): DataError {
  return new DataError(
    `${directory} is not empty: what is in it is not replaced; move it away first`,
  );
}
