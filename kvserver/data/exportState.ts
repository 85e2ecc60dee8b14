/**
 * `mprpc-data export`: a backup of what a directory holds.
 *
 *     FILE.<pid>.tmp -> synced -> read back -> renamed to FILE -> directory synced
 */
import { basename, dirname, resolve } from "node:path";
import type { SnapshotMeta } from "../../raft/core/types.js";
import type { Inspection, StartingPoint } from "../../raft/persister/inspection.js";
import type { Identity } from "../../raft/persister/identity.js";
import type { StorageFs } from "../../raft/persister/storageFs.js";
import { restoreState } from "../stateRestore.js";
import { KvStateMachine } from "../stateMachine.js";
import { captureState } from "../stateSnapshot.js";
import type { ExportCommand } from "./args.js";
import { BackupReader } from "./backupReader.js";
import { BackupWriter, type BackupSummary } from "./backupWriter.js";
import { describeDamage } from "./damage.js";
import { holding, inspectAll } from "./directory.js";
import { formatBytes, Progress } from "./progress.js";
import { KeyOrder, snapshotChunks, visitState } from "./stateOf.js";
import { newestWhole } from "./verify.js";
import { watchedFs } from "./watchedFs.js";
import { DataError, type DataWorld } from "./world.js";

/** A state to be written, and the entry up to which it goes. */
interface Source {
  readonly meta: SnapshotMeta;
  readonly storageId: Uint8Array;
  /** What errors in it are said of. */
  readonly file: string;
  /** To be read of `chunks`, about. */
  readonly bytes: number;
  readonly chunks: (fs: StorageFs) => AsyncIterable<Uint8Array>;
}

/** Resolves to the exit code. */
export async function exportState(command: ExportCommand, world: DataWorld): Promise<number> {
  const { directory, file, throughLog } = command;
  await mustBeFree(command, world);
  return holding(world, directory, async () => {
    const inspection = await inspectAll(world, directory, "check");
    const source = throughLog ? logSource(inspection) : snapshotSource(inspection);
    warn(inspection, throughLog, world);
    const summary = await writeAndMove(source, command, world);
    await world.writeOut(describe(file, source.meta, summary));
    tellWhatIsLeft(inspection, source.meta, world);
    return 0;
  });
}

/** What was committed, and nothing else: a snapshot holds no more. */
function snapshotSource({ directory, snapshots, identity }: Inspection): Source {
  const newest = newestWhole(snapshots);
  if (newest === null || identity === null) {
    const why = `${directory} has no whole snapshot: everything is in the log`;
    throw new DataError(`${why}; --through-log takes it from there (see --help)`);
  }
  const { storageId } = identity;
  return {
    meta: newest.meta,
    storageId,
    file: newest.file,
    bytes: newest.size ?? 0,
    chunks: (fs) => snapshotChunks(fs, newest, storageId),
  };
}

/** What a node would come to if all of its log were committed. In memory, as in the node. */
function logSource(inspection: Inspection): Source {
  const { identity, start, damages, directory } = inspection;
  if (start === null || identity === null) {
    const [first] = damages;
    if (first !== undefined) throw first;
    throw new DataError(`${directory} holds nothing: its log was never begun`);
  }
  return {
    meta: endOf(start),
    storageId: identity.storageId,
    file: directory,
    bytes: newestWhole(inspection.snapshots)?.size ?? 0,
    chunks: (fs) => stateAfter(start, inspection, identity, fs),
  };
}

function endOf({ snapshot, last, logIsObsolete }: StartingPoint): SnapshotMeta {
  return snapshot !== null && (logIsObsolete || snapshot.index >= last.index) ? snapshot : last;
}

async function* stateAfter(
  start: StartingPoint,
  { snapshots }: Inspection,
  { storageId }: Identity,
  fs: StorageFs,
): AsyncGenerator<Uint8Array, void, undefined> {
  const newest = start.snapshot === null ? null : newestWhole(snapshots);
  const machine =
    newest === null
      ? new KvStateMachine()
      : await restoreState(snapshotChunks(fs, newest, storageId));
  for (const { index, command } of start.entries) {
    if (index > (start.snapshot?.index ?? 0)) machine.apply(command, index);
  }
  yield* captureState(machine);
}

async function writeAndMove(
  source: Source,
  { file, throughLog }: ExportCommand,
  world: DataWorld,
): Promise<BackupSummary> {
  const temporary = `${file}.${process.pid}.tmp`;
  try {
    const summary = await write(source, temporary, throughLog, world);
    await readBack(temporary, summary, world);
    await world.fs.rename(temporary, file);
    await world.fs.syncDirectory(dirname(resolve(file)));
    return summary;
  } catch (error) {
    await world.fs.unlink(temporary).catch(() => {});
    throw error;
  }
}

async function write(
  { meta, storageId, file, bytes, chunks }: Source,
  path: string,
  throughLog: boolean,
  world: DataWorld,
): Promise<BackupSummary> {
  const progress = new Progress(world, "export", bytes);
  const fs = watchedFs(world.fs, (count) => progress.advance(count));
  const writer = await BackupWriter.create(world.fs, path, { meta, storageId, throughLog });
  try {
    const order = new KeyOrder();
    const visitor = {
      header: (): void => {},
      session: (): void => {},
      pair: (key: Uint8Array, value: Uint8Array): void => {
        order.check(key);
        writer.pair(key, value);
      },
    };
    await visitState(chunks(fs), file, visitor, async () => {
      progress.advance(0);
      await writer.flush();
    });
    return await writer.finish();
  } finally {
    progress.clear();
    await writer.close();
  }
}

/** Whatever the disk made of it is better known now than when it is needed. */
async function readBack(path: string, summary: BackupSummary, world: DataWorld): Promise<void> {
  const progress = new Progress(world, "read back", summary.fileBytes);
  const fs = watchedFs(world.fs, (count) => progress.advance(count));
  const reader = await BackupReader.open(fs, path);
  try {
    const payloads = reader.payloads();
    while ((await payloads.next()).done !== true) continue;
  } finally {
    progress.clear();
    await reader.close();
  }
}

async function mustBeFree({ file, force }: ExportCommand, { fs }: DataWorld): Promise<void> {
  const names = await fs.list(dirname(resolve(file)));
  if (!names.includes(basename(file)) || force) return;
  throw new DataError(`${file} is there already: name another file, or replace it with --force`);
}

function warn({ damages, logs, start }: Inspection, throughLog: boolean, world: DataWorld): void {
  for (const error of damages) {
    const { what, file, offset } = describeDamage(error, start !== null);
    const place = `${file ?? ""}${offset === null ? "" : ` at byte ${offset}`}`;
    world.writeErr(`mprpc-data: the backup does without what is damaged: ${what} (${place})\n`);
  }
  if (throughLog) {
    world.writeErr(
      "mprpc-data: the last entries of the log may never have been committed; see --help\n",
    );
  }
  if (logs.some(({ hardState }) => hardState.joining === true)) {
    const why = "this node joins: it may lack what the others have acknowledged";
    world.writeErr(`mprpc-data: ${why}; take another node's directory\n`);
  }
}

/** The user must not take a snapshot for all that there is. */
function tellWhatIsLeft({ logs }: Inspection, meta: SnapshotMeta, world: DataWorld): void {
  const last = logs.at(-1)?.last;
  if (last === undefined || last.index <= meta.index) return;
  const rest = `entries ${meta.index + 1} to ${last.index} of the log are not in it`;
  world.writeErr(`mprpc-data: ${rest}; --through-log takes them along (see --help)\n`);
}

function describe(file: string, { index, term }: SnapshotMeta, summary: BackupSummary): string {
  const { keys, fileBytes, digest } = summary;
  const what = `${keys} keys, ${formatBytes(fileBytes)}, as of entry ${index} (term ${term})`;
  return `${file}: ${what}, sha256 ${digest}\n`;
}
