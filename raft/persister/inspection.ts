/**
 * A data directory as it lies there, judged as recovery would judge it. Nothing is changed, and one
 * damage does not end it: the rest is looked at as well.
 */
import { join } from "node:path";
import type { Entry, HardState, SnapshotMeta } from "../core/types.js";
import { type Identity, readIdentity } from "./identity.js";
import { LogReader, type SegmentReading, tornSegment } from "./logReader.js";
import type { LogEnd } from "./record.js";
import { choose } from "./reconcile.js";
import { segmentName, segmentSequence, storageIdBytes, storageIdOf } from "./segment.js";
import { snapshotBlockBytes, snapshotName, snapshotOfName } from "./snapshotFormat.js";
import { FileSnapshotReader } from "./snapshotReader.js";
import { StorageError } from "./storageError.js";
import type { StorageFs } from "./storageFs.js";

export interface InspectionOptions {
  readonly recordBytesMax: number;
  /** Whether each block of each snapshot is read, or only what frames them. */
  readonly readsSnapshots: boolean;
}

export interface SegmentReport extends Omit<SegmentReading, "bytes"> {
  readonly file: string;
  /** Of the file. */
  readonly fileBytes: number;
}

export interface SnapshotReport {
  readonly meta: SnapshotMeta;
  readonly file: string;
  /** Bytes of the state; null when the file does not tell. */
  readonly size: number | null;
  readonly isWhole: boolean;
}

/** Entries that follow each other. */
export interface LogReport {
  readonly hardState: HardState;
  readonly last: LogEnd;
  readonly entries: readonly Entry[];
}

/** The unfinished last write of a crash: recovery cuts it, for it was never acknowledged. */
export interface TornTail {
  readonly file: string;
  readonly offset: number;
  readonly bytes: number;
}

/** What a node would start from. */
export interface StartingPoint extends LogReport {
  readonly snapshot: SnapshotMeta | null;
  /** The log is not part of the snapshot's history; `entries` is empty. */
  readonly logIsObsolete: boolean;
}

export interface Inspection {
  readonly directory: string;
  /** Names of all files. */
  readonly names: readonly string[];
  /** Null when it is damaged or gone. */
  readonly identity: Identity | null;
  readonly segments: readonly SegmentReport[];
  readonly snapshots: readonly SnapshotReport[];
  /** One where the log is whole; more where damage lies between them. */
  readonly logs: readonly LogReport[];
  readonly torn: TornTail | null;
  /** Null when a node would refuse to start, or when nothing was begun. */
  readonly start: StartingPoint | null;
  /** In the order in which they were met. */
  readonly damages: readonly StorageError[];
}

/**
 * @returns null for a directory that holds nothing of a node.
 * @throws StorageError UNUSABLE when it can't be read at all.
 */
export async function inspectDirectory(
  fs: StorageFs,
  directory: string,
  options: InspectionOptions,
): Promise<Inspection | null> {
  const names = (await fs.list(directory)).sort((a, b) => (a < b ? -1 : 1));
  const inspector = new Inspector(fs, directory, names, options);
  return inspector.run();
}

class Inspector {
  private readonly fs: StorageFs;
  private readonly directory: string;
  private readonly names: readonly string[];
  private readonly options: InspectionOptions;
  private readonly damages: StorageError[] = [];
  private readonly badSnapshots = new Map<string, StorageError>();

  constructor(
    fs: StorageFs,
    directory: string,
    names: readonly string[],
    options: InspectionOptions,
  ) {
    this.fs = fs;
    this.directory = directory;
    this.names = names;
    this.options = options;
  }

  async run(): Promise<Inspection | null> {
    const identity = await this.identity();
    if (identity === null && this.damages.length === 0) return null;
    const empty = { segments: [], snapshots: [], logs: [], torn: null, start: null };
    const common = { directory: this.directory, names: this.names, identity };
    const storageId = identity?.storageId ?? (await this.storageIdInUse());
    // Until the log was begun the directory has promised nothing, and is begun anew.
    const isBegun = identity === null || identity.initialised;
    if (storageId === null || !isBegun) return { ...common, ...empty, damages: this.damages };
    const reader = this.logReader(storageId);
    const readings = await reader.readAll(this.names, (error) => this.damages.push(error));
    const logs = reader.stretches.map(({ hardState, last, entries }) => ({
      hardState,
      last,
      entries,
    }));
    const isRefused = this.damages.length > 0;
    const snapshots = await this.snapshots(storageId);
    const start = await this.start(logs);
    const segments = readings.map((reading) => this.segmentReport(reading));
    const torn = this.torn(readings);
    return {
      ...common,
      segments,
      snapshots,
      logs,
      torn,
      start: isRefused ? null : start,
      damages: this.damages,
    };
  }

  /** What `operation` gives; null when it finds damage, which is noted. */
  private async noting<T>(operation: () => Promise<T>): Promise<T | null> {
    try {
      return await operation();
    } catch (error) {
      if (!(error instanceof StorageError)) throw error;
      this.damages.push(error);
      return null;
    }
  }

  private identity(): Promise<Identity | null> {
    return this.noting(() => readIdentity(this.fs, this.directory, this.names));
  }

  /** Without an identity: what the first segment says of itself. */
  private async storageIdInUse(): Promise<Uint8Array | null> {
    const name = this.names.find((one) => segmentSequence(one) !== null);
    if (name === undefined) return null;
    return this.noting(async () => {
      const file = await this.fs.open(this.path(name), "read");
      try {
        const header = new Uint8Array(storageIdBytes * 4);
        return storageIdOf(header.subarray(0, await file.read(header, 0)));
      } finally {
        await file.close();
      }
    });
  }

  private logReader(storageId: Uint8Array): LogReader {
    const { recordBytesMax } = this.options;
    const path = (sequence: number): string => this.path(segmentName(sequence));
    return new LogReader(this.fs, { recordBytesMax, storageId, path });
  }

  private segmentReport({ bytes, ...reading }: SegmentReading): SegmentReport {
    const file = this.path(segmentName(reading.sequence));
    return { ...reading, file, fileBytes: bytes.length };
  }

  /** Where something else is damaged, what looks torn may be damage as well: it is not told apart. */
  private torn(readings: readonly SegmentReading[]): TornTail | null {
    const torn = tornSegment(readings);
    if (torn === null || torn.provedBy !== null || torn.marked > torn.end) return null;
    const file = this.path(segmentName(torn.sequence));
    return { file, offset: torn.end, bytes: torn.contentEnd - torn.end };
  }

  private async snapshots(storageId: Uint8Array): Promise<SnapshotReport[]> {
    const metas = this.names.map(snapshotOfName).filter((meta) => meta !== null);
    const reports: SnapshotReport[] = [];
    for (const meta of metas) {
      const before = this.damages.length;
      const file = this.path(snapshotName(meta));
      const size = await this.noting(() => this.readSnapshot(file, meta, storageId));
      const isWhole = this.damages.length === before;
      if (!isWhole) this.badSnapshots.set(snapshotName(meta), this.damages[before]!);
      reports.push({ meta, file, size, isWhole });
    }
    return reports;
  }

  private async readSnapshot(
    path: string,
    meta: SnapshotMeta,
    storageId: Uint8Array,
  ): Promise<number> {
    const reader = await FileSnapshotReader.open(this.fs, path, meta, storageId);
    try {
      const end = this.options.readsSnapshots ? reader.size : 0;
      for (let at = 0; at < end; at += snapshotBlockBytes) {
        await this.noting(() => reader.read(at, snapshotBlockBytes));
      }
      return reader.size;
    } finally {
      await reader.close();
    }
  }

  private async start(logs: readonly LogReport[]): Promise<StartingPoint | null> {
    const [log] = logs;
    if (log === undefined || logs.length > 1) return null;
    const verify = async (meta: SnapshotMeta): Promise<void> => {
      const error = this.badSnapshots.get(snapshotName(meta));
      if (error !== undefined) throw error;
    };
    try {
      // A damaged snapshot alone does not keep a node from starting, if the log has all of it.
      return { ...log, ...(await choose(this.directory, this.names, verify, log)) };
    } catch (error) {
      if (!(error instanceof StorageError)) throw error;
      if (!this.damages.includes(error)) this.damages.push(error);
      return null;
    }
  }

  private path(name: string): string {
    return join(this.directory, name);
  }
}
