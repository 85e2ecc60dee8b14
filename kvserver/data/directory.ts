/** Access to a node's data directory that no running node shares, and that changes none of it. */
import { join } from "node:path";
import {
  inspectDirectory,
  type Inspection,
  type InspectionOptions,
} from "../../raft/persister/inspection.js";
import { segmentSequence } from "../../raft/persister/segment.js";
import { snapshotOfName } from "../../raft/persister/snapshotFormat.js";
import { errnoOf, StorageError } from "../../raft/persister/storageError.js";
import type { StorageFs } from "../../raft/persister/storageFs.js";
import { Progress } from "./progress.js";
import { watchedFs } from "./watchedFs.js";
import type { DataWorld } from "./world.js";

/** A segment is no larger, and so no record: that bounds what is read into memory. */
const recordBytesMax = 2 ** 30;

/**
 * Runs `work` while this process holds the directory.
 * @throws StorageError LOCKED naming the process that has it, UNUSABLE when it is none of a node.
 */
export async function holding<T>(
  { fs }: DataWorld,
  directory: string,
  work: () => Promise<T>,
): Promise<T> {
  // Before the lock is made in it.
  mustBeOfNode(directory, await namesIn(fs, directory));
  const unlock = await lock(fs, directory);
  try {
    return await work();
  } finally {
    await unlock();
  }
}

export async function inspect(
  fs: StorageFs,
  directory: string,
  options: Pick<InspectionOptions, "readsSnapshots">,
): Promise<Inspection> {
  const inspection = await inspectDirectory(fs, directory, { recordBytesMax, ...options });
  if (inspection === null) throw notOfNode(directory, "");
  return inspection;
}

/** As `inspect`, with every block of the snapshots, and a bar that says how far it has come. */
export async function inspectAll(
  world: DataWorld,
  directory: string,
  doing: string,
): Promise<Inspection> {
  const progress = new Progress(world, doing, await bytesToRead(directory, world));
  const fs = watchedFs(world.fs, (bytes) => progress.advance(bytes));
  try {
    return await inspect(fs, directory, { readsSnapshots: true });
  } finally {
    progress.clear();
  }
}

/** Of all files that hold anything. */
async function bytesToRead(directory: string, { fs }: DataWorld): Promise<number> {
  let bytes = 0;
  for (const name of await fs.list(directory)) {
    if (segmentSequence(name) === null && snapshotOfName(name) === null) continue;
    const file = await fs.open(join(directory, name), "read");
    bytes += await file.size();
    await file.close();
  }
  return bytes;
}

async function namesIn(fs: StorageFs, directory: string): Promise<string[]> {
  try {
    return await fs.list(directory);
  } catch (error) {
    if (!(error instanceof StorageError) || errnoOf(error.cause) !== "ENOENT") throw error;
    throw new StorageError("UNUSABLE", "there is no such directory", { file: directory });
  }
}

async function lock(fs: StorageFs, directory: string): Promise<() => Promise<void>> {
  try {
    return await fs.lock(directory);
  } catch (error) {
    if (!(error instanceof StorageError)) throw error;
    const { code, explanation, cause } = error;
    const file = error.file ?? directory;
    const advice =
      code === "LOCKED"
        ? "stop the node first; the tool does not read what may change under it"
        : "the tool keeps a node from starting meanwhile: work on a copy that can be written to";
    throw new StorageError(code, `${explanation}; ${advice}`, { file, cause });
  }
}

function mustBeOfNode(directory: string, names: readonly string[]): void {
  if (names.some((name) => /^(identity$|wal-|snapshot-)/.test(name))) return;
  const nodes = names.filter((name) => /^node\d+$/.test(name)).sort();
  throw notOfNode(directory, nodes.length === 0 ? "" : `; did you mean ${nodes.join(", ")} in it?`);
}

function notOfNode(directory: string, hint: string): StorageError {
  return new StorageError("UNUSABLE", `it holds no data of a node${hint}`, { file: directory });
}
