/** `Persister` on a data directory: a write-ahead log and snapshots. See docs/storage.md. */
import { randomBytes } from "node:crypto";
import { join } from "node:path";
import {
  type StorageOptions,
  type StorageTuning,
  storageDefaults,
  storageTuningDefaults,
} from "../../config/options.js";
import type { HardState, SnapshotMeta } from "../core/types.js";
import { DiskReserve, type DiskSpace } from "./diskReserve.js";
import { FailureLatch } from "./failureLatch.js";
import { type Identity, loadIdentity, storeIdentity } from "./identity.js";
import type { LogPosition } from "./logEncoder.js";
import { LogRecovery, type RecoveredLog, type StorageLog } from "./logRecovery.js";
import { nodeFs } from "./nodeFs.js";
import type {
  Persister,
  RecoveredState,
  SaveBatch,
  SnapshotReader,
  SnapshotWriter,
} from "./persister.js";
import { entryHeaderBytes } from "./record.js";
import { reconcile } from "./reconcile.js";
import { segmentHeaderBytes, segmentSequence, storageIdBytes } from "./segment.js";
import { checkSegmentBytes, SegmentFiles, temporarySuffix } from "./segmentFiles.js";
import { type SnapshotKind, SnapshotStore } from "./snapshotStore.js";
import { StorageError } from "./storageError.js";
import type { StorageFs } from "./storageFs.js";
import { AdaptiveSync, type SyncPolicy } from "./syncPolicy.js";
import { Wal } from "./wal.js";

export interface WalPersisterOptions extends Partial<StorageOptions & StorageTuning> {
  /** Position in the node list; the directory remembers it. */
  readonly nodeId: number;
  /**
   * Whether a node whose directory is new may vote at once: true only where the whole cluster is
   * known to be new. Otherwise it joins, see `HardState.joining`. Default: true.
   */
  readonly newNodeVotes?: boolean;
  readonly fs?: StorageFs;
  /** Calls `task` once, at the end of this turn of the event loop. Default: setImmediate. */
  readonly schedule?: (task: () => void) => void;
  /** Milliseconds of a clock that never goes back. */
  readonly now?: () => number;
  /** Calls `task` every `ms` until the returned function is called. Default: setInterval. */
  readonly every?: (ms: number, task: () => void) => () => void;
  readonly randomBytes?: (count: number) => Uint8Array;
  readonly syncPolicy?: SyncPolicy;
  /** Told what recovery repaired. */
  readonly log?: StorageLog;
}

type Settings = StorageOptions & StorageTuning & Required<WalPersisterOptions>;

const firstSequence = 1;
/** Of a segment, what is written before the next one is made; by node id. */
const prepareShares = [3 / 8, 1 / 2, 1 / 4, 7 / 16, 5 / 16];
/** With so many times the reserve free, the log need not hold room in segments not yet written. */
const roomyReserves = 4;
const nobody: HardState = { term: 0, votedFor: -1 };
const beginning = { index: 0, term: 0 };

export class WalPersister implements Persister {
  private readonly latch: FailureLatch;
  private readonly wal: Wal;
  private readonly files: SegmentFiles;
  private readonly snapshots: SnapshotStore;
  private readonly reserve: DiskReserve;
  private readonly unlock: () => Promise<void>;
  private recoveredState: RecoveredState;
  private closing: Promise<void> | null = null;

  private constructor(parts: {
    readonly latch: FailureLatch;
    readonly wal: Wal;
    readonly files: SegmentFiles;
    readonly snapshots: SnapshotStore;
    readonly reserve: DiskReserve;
    readonly unlock: () => Promise<void>;
    readonly recovered: RecoveredState;
  }) {
    this.latch = parts.latch;
    this.wal = parts.wal;
    this.files = parts.files;
    this.snapshots = parts.snapshots;
    this.reserve = parts.reserve;
    this.unlock = parts.unlock;
    this.recoveredState = parts.recovered;
  }

  /**
   * Opens a node's data directory, or creates it, and recovers what it holds.
   * @throws StorageError LOCKED, UNUSABLE, WRONG_NODE, DAMAGED, MISSING, FOREIGN, NEWER_FORMAT,
   *   DISK_FULL or IO.
   */
  static async open(directory: string, options: WalPersisterOptions): Promise<WalPersister> {
    const settings: Settings = {
      ...storageDefaults,
      ...storageTuningDefaults,
      newNodeVotes: true,
      fs: nodeFs,
      schedule: setImmediate,
      now: () => performance.now(),
      every: inBackground,
      randomBytes,
      syncPolicy: new AdaptiveSync({ ...storageTuningDefaults, ...options }),
      log: () => {},
      ...options,
    };
    checkSegmentBytes(settings.segmentBytes);
    await settings.fs.makeDirectory(directory);
    const unlock = await settings.fs.lock(directory);
    try {
      return await WalPersister.recover(directory, settings, unlock);
    } catch (error) {
      await unlock();
      throw error;
    }
  }

  /** Entries that were compacted away since leave it, so that their memory can go. */
  get recovered(): RecoveredState {
    return this.recoveredState;
  }

  get diskSteps(): number {
    return this.wal.diskSteps;
  }

  get logSyncs(): number {
    return this.wal.syncs;
  }

  get logBytes(): number {
    return this.wal.sizes.bytes;
  }

  get onFailure(): (error: Error) => void {
    return this.latch.onFailure;
  }

  set onFailure(handler: (error: Error) => void) {
    this.latch.onFailure = handler;
  }

  get space(): DiskSpace {
    return this.reserve.space;
  }

  get onSpace(): (space: DiskSpace) => void {
    return this.reserve.onChange;
  }

  set onSpace(handler: (space: DiskSpace) => void) {
    this.reserve.onChange = handler;
  }

  /** @throws StorageError what ended the persister; MISUSE for a batch that leaves a gap. */
  save(batch: SaveBatch, onDurable: () => void): void {
    this.check();
    this.wal.save(batch, onDurable);
  }

  async createSnapshot(meta: SnapshotMeta, kind: SnapshotKind): Promise<SnapshotWriter> {
    this.check();
    void this.reserve.check();
    return this.snapshots.create(meta, kind);
  }

  async openSnapshot(): Promise<SnapshotReader | null> {
    this.check();
    return this.snapshots.openNewest();
  }

  async compact(meta: SnapshotMeta, throughIndex: number): Promise<void> {
    this.check();
    this.mustHaveSnapshot(meta);
    const through = Math.min(throughIndex, meta.index);
    this.forget(through);
    await this.wal.compactThrough(through);
  }

  async resetLog(meta: SnapshotMeta): Promise<void> {
    this.check();
    this.mustHaveSnapshot(meta);
    this.forget(Infinity);
    await this.wal.reset(meta);
  }

  close(): Promise<void> {
    this.closing ??= this.shutDown();
    return this.closing;
  }

  private static async recover(
    directory: string,
    settings: Settings,
    unlock: () => Promise<void>,
  ): Promise<WalPersister> {
    const { fs, log } = settings;
    const identity = await openDirectory(directory, settings);
    const { storageId } = identity;
    const latch = new FailureLatch();
    const reserve = new DiskReserve(directory, settings);
    const files = new SegmentFiles(fs, directory, storageId, settings.segmentBytes);
    files.onMake = () => void reserve.check();
    try {
      const names = await fs.list(directory);
      // The process before may have been killed between a rename and its sync.
      await fs.syncDirectory(directory);
      const found = await new LogRecovery(fs, files, { ...settings, storageId }).run(names);
      const snapshots = new SnapshotStore(fs, directory, storageId, latch, settings);
      const { snapshot, entries, logIsObsolete } = await reconcile(
        fs,
        directory,
        names,
        snapshots,
        found,
        log,
      );
      const diskIsBusy = (): boolean => snapshots.isWriting || files.isPreparing;
      const diskIsRoomy = (): boolean =>
        reserve.space.freeBytes >= roomyReserves * reserve.space.reserveBytes;
      const options = {
        ...settings,
        diskIsBusy,
        diskIsRoomy,
        prepareFromBytes: prepareFromBytes(settings),
      };
      const wal = new Wal(storageId, found.position, files, settings.syncPolicy, latch, options);
      for (const { index, command } of entries) {
        wal.sizes.append(index, entryHeaderBytes + command.length);
      }
      if (logIsObsolete && snapshot !== null) await wal.reset(snapshot);
      const hardState = settings.newNodeVotes ? votingIfBlank(found) : found.hardState;
      const recovered = { hardState, snapshot, entries };
      await reserve.start();
      return new WalPersister({ latch, wal, files, snapshots, reserve, unlock, recovered });
    } catch (error) {
      reserve.close();
      await files.close();
      throw error;
    }
  }

  private check(): void {
    if (this.closing !== null) {
      throw new StorageError("CLOSED", "nothing can be done with it any more");
    }
    this.latch.check();
  }

  private mustHaveSnapshot(meta: SnapshotMeta): void {
    const newest = this.snapshots.newest;
    if (newest !== null && newest.index >= meta.index) return;
    throw new StorageError("MISUSE", `the snapshot at index ${meta.index} is not committed`);
  }

  private forget(throughIndex: number): void {
    const { entries } = this.recoveredState;
    if (entries.length === 0) return;
    const kept = entries.filter(({ index }) => index > throughIndex);
    this.recoveredState = { ...this.recoveredState, entries: kept };
  }

  private async shutDown(): Promise<void> {
    this.reserve.close();
    try {
      // What failed has told the owner so; closing then only gives everything back.
      if (!this.latch.failed) await this.wal.close();
    } finally {
      this.latch.close();
      await this.snapshots.close();
      await this.files.close();
      await this.unlock();
    }
  }
}

/** Keeps no process alive. */
function inBackground(ms: number, task: () => void): () => void {
  const timer = setInterval(task, ms).unref();
  return () => clearInterval(timer);
}

/** A directory that has waited to learn whether the cluster is new, and now is told that it is. */
function votingIfBlank({ hardState, last }: RecoveredLog): HardState {
  return hardState.term === 0 && last.index === 0 ? nobody : hardState;
}

/** The directory's identity; begins its log when that was not done, or not to the end. */
async function openDirectory(directory: string, settings: Settings): Promise<Identity> {
  const { fs, nodeId } = settings;
  const names = await fs.list(directory);
  // What was not renamed was not needed yet.
  for (const name of names) {
    if (isTemporary(name)) await fs.unlink(join(directory, name));
  }
  const found = await loadIdentity(fs, directory, names, nodeId);
  if (found?.initialised === true) return found;
  const storageId = found?.storageId ?? settings.randomBytes(storageIdBytes);
  const identity = { nodeId, storageId, initialised: false };
  await storeIdentity(fs, directory, identity);
  await beginLog(directory, names, identity, settings);
  // From here on a log that is gone is a loss, and not a beginning.
  const initialised = { ...identity, initialised: true };
  await storeIdentity(fs, directory, initialised);
  return initialised;
}

function isTemporary(name: string): boolean {
  return name.endsWith(temporarySuffix) && /^(identity|wal-|snapshot-)/.test(name);
}

/** Makes the first segment with nothing but its start. */
async function beginLog(
  directory: string,
  names: readonly string[],
  { storageId }: Identity,
  settings: Settings,
): Promise<void> {
  const { fs, segmentBytes } = settings;
  for (const name of names) {
    if (segmentSequence(name) !== null) await fs.unlink(join(directory, name));
  }
  const latch = new FailureLatch();
  const files = new SegmentFiles(fs, directory, storageId, segmentBytes);
  const position: LogPosition = {
    sequence: firstSequence,
    offset: segmentHeaderBytes,
    hardState: settings.newNodeVotes ? nobody : { ...nobody, joining: true },
    last: beginning,
  };
  try {
    await files.prepare(firstSequence);
    files.add(firstSequence);
    const options = {
      ...settings,
      diskIsBusy: () => false,
      diskIsRoomy: () => true,
      prepareFromBytes: segmentBytes,
    };
    const wal = new Wal(storageId, position, files, settings.syncPolicy, latch, options);
    await wal.flush();
  } finally {
    await files.close();
  }
}

/**
 * The logs of all nodes fill up at the same time. Each makes its next segment at another moment, so
 * that those whose syncs have to wait for that are seldom a majority.
 */
function prepareFromBytes({ nodeId, segmentBytes }: Settings): number {
  return segmentBytes * prepareShares[nodeId % prepareShares.length]!;
}
