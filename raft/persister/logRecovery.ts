/** Reads the whole log of a data directory, cuts a tail that a crash tore, and syncs the rest. */
import { basename, dirname } from "node:path";
import type { Entry, HardState } from "../core/types.js";
import type { LogPosition } from "./logEncoder.js";
import { hasRecords, LogReader, type SegmentReading, tornSegment } from "./logReader.js";
import type { LogEnd } from "./record.js";
import { segmentHeaderBytes } from "./segment.js";
import { type SegmentFiles, temporarySuffix, writeZeros } from "./segmentFiles.js";
import { dataSync, type StorageFs } from "./storageFs.js";

const asideMax = 9;

/**
 * Where what recovery takes away at `path` is kept: a name that none of `names`, the directory's, has
 * yet. What was kept first tells most, and stays; after nine times the newest takes the last place.
 */
export function asidePath(path: string, names: readonly string[]): string {
  let aside = `${path}.broken`;
  for (let time = 2; time <= asideMax && names.includes(basename(aside)); time++) {
    aside = `${path}.broken-${time}`;
  }
  return aside;
}

/** Tells an operator what recovery did beyond reading. */
export type StorageLog = (message: string, fields: Readonly<Record<string, unknown>>) => void;

export interface LogRecoveryOptions {
  readonly segmentBytes: number;
  readonly recordBytesMax: number;
  readonly storageId: Uint8Array;
  readonly log: StorageLog;
}

export interface RecoveredLog {
  readonly hardState: HardState;
  /** The last entry, or what the log is based on when there is none. */
  readonly last: LogEnd;
  readonly entries: Entry[];
  readonly position: LogPosition;
}

export class LogRecovery {
  private readonly fs: StorageFs;
  private readonly files: SegmentFiles;
  private readonly options: LogRecoveryOptions;
  private readonly reader: LogReader;

  constructor(fs: StorageFs, files: SegmentFiles, options: LogRecoveryOptions) {
    this.fs = fs;
    this.files = files;
    this.options = options;
    this.reader = new LogReader(fs, { ...options, path: (sequence) => files.path(sequence) });
  }

  /** @throws StorageError for everything that a crash alone can't have caused. */
  async run(names: readonly string[]): Promise<RecoveredLog> {
    const readings = await this.reader.readAll(names, (error) => {
      throw error;
    });
    for (const { sequence, lastIndex } of readings.filter(hasRecords)) {
      this.files.add(sequence, lastIndex);
    }
    const torn = tornSegment(readings);
    if (torn !== null) await this.cut(torn, names);
    await this.makeDurable(readings.findLast(hasRecords)!);
    const { hardState, entries, last } = this.reader.stretches[0]!;
    const position = await this.openCurrent(readings);
    return { hardState, last, entries, position: { ...position, hardState, last } };
  }

  /**
   * What a killed process had written and not synced is read from the page cache like the rest, and
   * counts as durable from here on. It is written anew, since a sync alone might do nothing: after
   * one that failed the kernel takes pages for clean that are on no disk.
   */
  private async makeDurable({ sequence, bytes, end, marked }: SegmentReading): Promise<void> {
    const from = Math.max(marked, segmentHeaderBytes);
    if (from >= end) return;
    const file = await this.fs.open(this.files.path(sequence), "update");
    try {
      await file.write(bytes.subarray(from, end), from);
      await dataSync(file);
    } finally {
      await file.close();
    }
  }

  /**
   * Keeps a copy of what was torn, then puts a segment in place of the torn one that ends before it.
   * Not zeros in its place: if their sync failed, the next recovery would read them, take the end
   * for a clean one, and leave behind it what the disk has there still.
   */
  private async cut(tail: SegmentReading, names: readonly string[]): Promise<void> {
    const path = this.files.path(tail.sequence);
    const torn = tail.bytes.subarray(tail.end, tail.contentEnd);
    const aside = asidePath(path, names);
    this.options.log("cut a torn write off the log", {
      file: path,
      offset: tail.end,
      bytes: torn.length,
      keptIn: aside,
    });
    await this.keepAside(aside, torn);
    const file = await this.fs.open(path + temporarySuffix, "create");
    try {
      await file.write(tail.bytes.subarray(0, tail.end), 0);
      // Whole records there would be taken for good once the log has grown up to them.
      await writeZeros(file, tail.end, Math.max(this.options.segmentBytes, tail.bytes.length));
      await dataSync(file);
    } finally {
      await file.close();
    }
    await this.fs.rename(path + temporarySuffix, path);
    await this.fs.syncDirectory(dirname(path));
  }

  private async keepAside(path: string, bytes: Uint8Array): Promise<void> {
    const file = await this.fs.open(path, "create");
    try {
      await file.write(bytes, 0);
      await dataSync(file);
    } finally {
      await file.close();
    }
    await this.fs.syncDirectory(dirname(path));
  }

  /** Those after the current one were made beforehand; the next of them is used when it is due. */
  private async openCurrent(
    readings: readonly SegmentReading[],
  ): Promise<Pick<LogPosition, "sequence" | "offset">> {
    const last = readings.findLast(hasRecords)!;
    const sequence = last.sealed ? last.sequence + 1 : last.sequence;
    for (const reading of readings) {
      if (reading.sequence >= sequence) await this.files.reopen(reading.sequence);
    }
    if (last.sealed) this.files.add(sequence);
    return { sequence, offset: last.sealed ? segmentHeaderBytes : last.end };
  }
}
