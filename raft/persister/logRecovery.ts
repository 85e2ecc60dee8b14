/** Reads the whole log of a data directory, and cuts a tail that a crash tore. */
import type { Entry, HardState } from "../core/types.js";
import { LogReplay } from "./logReplay.js";
import type { LogPosition } from "./logEncoder.js";
import type { LogEnd } from "./record.js";
import {
  checkSegmentHeader,
  readSegmentMark,
  segmentHeaderBytes,
  segmentIdentity,
  segmentSequence,
} from "./segment.js";
import { type SegmentFiles, writeZeros } from "./segmentFiles.js";
import { type ScanResult, scanSegment } from "./segmentScan.js";
import { damageAdvice, damaged, StorageError } from "./storageError.js";
import { dataSync, type StorageFs } from "./storageFs.js";

export const brokenSuffix = ".broken";

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

/** A segment as read; it comes after those that are known to be whole. */
interface Tail extends ScanResult {
  readonly sequence: number;
  readonly bytes: Uint8Array;
  readonly sealed: boolean;
  readonly lastIndex: number;
}

export class LogRecovery {
  private readonly fs: StorageFs;
  private readonly files: SegmentFiles;
  private readonly options: LogRecoveryOptions;
  private readonly replay = new LogReplay();

  constructor(fs: StorageFs, files: SegmentFiles, options: LogRecoveryOptions) {
    this.fs = fs;
    this.files = files;
    this.options = options;
  }

  /** @throws StorageError for everything that a crash alone can't have caused. */
  async run(names: readonly string[]): Promise<RecoveredLog> {
    const sequences = this.sequences(names);
    const last = await this.readAll(sequences);
    const { hardState, entries } = this.replay;
    // A sealed segment is complete: the log goes on in the next, which was made before the seal.
    const current = last.sealed ? last.sequence + 1 : last.sequence;
    const offset = last.sealed ? segmentHeaderBytes : last.end;
    await this.openCurrent(current, sequences);
    if (last.sealed) this.files.add(current);
    const position = { sequence: current, offset, hardState, last: this.replay.last };
    return { hardState, last: this.replay.last, entries, position };
  }

  private sequences(names: readonly string[]): number[] {
    const found = names.map(segmentSequence).filter((sequence) => sequence !== null);
    found.sort((a, b) => a - b);
    const first = found[0];
    if (first === undefined) throw this.missing(1);
    found.forEach((sequence, at) => {
      if (sequence !== first + at) throw this.missing(first + at);
    });
    return found;
  }

  /** Reads all segments, refuses what no crash can have left, and cuts what one may have. */
  private async readAll(sequences: readonly number[]): Promise<Tail> {
    let before: Tail | null = null;
    let last: Tail | null = null;
    let newest: Tail | null = null;
    let reading = this.readBytes(sequences[0]!);
    for (const sequence of sequences) {
      const bytes = await reading;
      // The next is read while this one's checksums are computed.
      if (sequence !== sequences.at(-1)) reading = this.readBytes(sequence + 1);
      const tail = this.scan(sequence, bytes, before === null);
      if (tail.contentEnd > segmentHeaderBytes) {
        if (before !== null) this.mustBeSealed(before);
        newest = tail;
      }
      if (tail.end > segmentHeaderBytes) {
        last = tail;
        this.files.add(sequence, tail.lastIndex);
      }
      before = tail;
    }
    if (last === null || newest === null) {
      const first = this.files.path(sequences[0]!);
      throw damaged("the log has no record at all", first, segmentHeaderBytes);
    }
    if (!newest.sealed && newest.contentEnd > newest.end) await this.cut(newest);
    return last;
  }

  private scan(sequence: number, bytes: Uint8Array, isFirst: boolean): Tail {
    const { storageId, recordBytesMax } = this.options;
    const path = this.files.path(sequence);
    checkSegmentHeader(bytes, storageId, sequence, path);
    this.replay.beginSegment(bytes, path, isFirst);
    const identity = segmentIdentity(storageId, sequence);
    const result = scanSegment(bytes, identity, recordBytesMax, this.replay.visit);
    if (result.provedBy !== null) {
      const why = `a record that was synced is gone: the one at byte ${result.provedBy} came later`;
      throw damaged(why, path, result.end);
    }
    const marked = readSegmentMark(bytes, identity);
    if (marked > result.end) {
      throw damaged(`the log was synced up to byte ${marked}, and ends here`, path, result.end);
    }
    const { sealed, lastIndexOfSegment } = this.replay;
    return { ...result, sequence, bytes, sealed, lastIndex: lastIndexOfSegment };
  }

  private readBytes(sequence: number): Promise<Uint8Array> {
    const reading = this.readFile(this.files.path(sequence));
    // Whoever waits for it learns of a failure; it may be that nobody comes to that.
    reading.catch(() => {});
    return reading;
  }

  private async readFile(path: string): Promise<Uint8Array> {
    const file = await this.fs.open(path, "read");
    try {
      const size = await file.size();
      const sizeMax = 2 ** 30 + this.options.recordBytesMax;
      if (size > sizeMax) throw damaged(`the segment has ${size} bytes`, path, sizeMax);
      const bytes = new Uint8Array(Buffer.allocUnsafeSlow(size).buffer);
      return bytes.subarray(0, await file.read(bytes, 0));
    } finally {
      await file.close();
    }
  }

  /** A segment's seal is synced before anything is written to the next. */
  private mustBeSealed(tail: Tail): void {
    if (tail.sealed) return;
    const why = "the segment ends before its seal, although the log goes on in the next";
    throw damaged(why, this.files.path(tail.sequence), tail.end);
  }

  /** Keeps a copy of what was torn, then leaves zeros as in a new segment. */
  private async cut(tail: Tail): Promise<void> {
    const path = this.files.path(tail.sequence);
    const torn = tail.bytes.subarray(tail.end, tail.contentEnd);
    this.options.log("cut a torn write off the log", {
      file: path,
      offset: tail.end,
      bytes: torn.length,
      keptIn: path + brokenSuffix,
    });
    await this.keepAside(path + brokenSuffix, torn);
    const file = await this.fs.open(path, "update");
    try {
      // Whole records in it would be taken for good once the log has grown up to them.
      await writeZeros(file, tail.end, Math.max(this.options.segmentBytes, tail.bytes.length));
      await dataSync(file);
    } finally {
      await file.close();
    }
  }

  private async keepAside(path: string, bytes: Uint8Array): Promise<void> {
    const file = await this.fs.open(path, "create");
    try {
      await file.write(bytes, 0);
      await dataSync(file);
    } finally {
      await file.close();
    }
  }

  /** Those after the current one were made beforehand; the next of them is used when it is due. */
  private async openCurrent(current: number, sequences: readonly number[]): Promise<void> {
    if (current > sequences.at(-1)!) throw this.missing(current);
    for (const sequence of sequences) {
      if (sequence >= current) await this.files.reopen(sequence);
    }
  }

  private missing(sequence: number): StorageError {
    const why = `segment ${sequence} of the log is not there; ${damageAdvice}`;
    return new StorageError("MISSING", why, { file: this.files.path(sequence) });
  }
}
