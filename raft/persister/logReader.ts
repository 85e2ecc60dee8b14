/** Reads the whole log of a data directory and judges it. Changes nothing. */
import { LogReplay } from "./logReplay.js";
import {
  checkSegmentHeader,
  readSegmentMark,
  segmentHeaderBytes,
  segmentIdentity,
  segmentSequence,
} from "./segment.js";
import { type ScanResult, scanSegment } from "./segmentScan.js";
import { damageAdvice, damaged, StorageError } from "./storageError.js";
import type { StorageFs } from "./storageFs.js";

export interface LogReaderOptions {
  readonly recordBytesMax: number;
  readonly storageId: Uint8Array;
  /** The file of a segment. */
  readonly path: (sequence: number) => string;
}

/** A segment as read. */
export interface SegmentReading extends ScanResult {
  readonly sequence: number;
  readonly bytes: Uint8Array;
  readonly sealed: boolean;
  /** The smallest index of an entry in it, truncated ones included; 0 when it has none. */
  readonly firstIndex: number;
  /** The largest index of an entry in it, truncated ones included; 0 when it has none. */
  readonly lastIndex: number;
  /** Everything before this offset is known to have been synced; 0 when nothing tells. */
  readonly marked: number;
}

/** Gets what no crash can have left; reading goes on behind it unless this throws. */
export type Refuse = (error: StorageError) => void;

export class LogReader {
  /** One for each run of segments that follow each other: a single one where nothing is refused. */
  readonly stretches: LogReplay[] = [];
  private readonly fs: StorageFs;
  private readonly options: LogReaderOptions;

  constructor(fs: StorageFs, options: LogReaderOptions) {
    this.fs = fs;
    this.options = options;
  }

  /** Reads all segments among `names`, in order; those that can't be believed are left out. */
  async readAll(names: readonly string[], refuse: Refuse): Promise<SegmentReading[]> {
    const sequences = this.sequences(names, refuse);
    const readings: SegmentReading[] = [];
    let before: SegmentReading | null = null;
    let reading = sequences.length === 0 ? null : this.readBytes(sequences[0]!);
    for (const [at, sequence] of sequences.entries()) {
      const current = reading!;
      const next = sequences[at + 1];
      // The next is read while this one's checksums are computed.
      if (next !== undefined) reading = this.readBytes(next);
      if (before?.sequence !== sequence - 1) before = null;
      const found = await this.scan(sequence, current, before?.sealed === true, refuse);
      if (found !== null) readings.push(found);
      if (found !== null && before !== null && hasContent(found)) this.mustBeSealed(before, refuse);
      before = found !== null && this.isWhole(found, refuse) ? found : null;
    }
    this.mustGoOn(sequences, readings, refuse);
    return readings;
  }

  private sequences(names: readonly string[], refuse: Refuse): number[] {
    const found = names.map(segmentSequence).filter((sequence) => sequence !== null);
    found.sort((a, b) => a - b);
    if (found.length === 0) refuse(this.missing(1));
    found.forEach((sequence, at) => {
      if (at > 0 && sequence !== found[at - 1]! + 1) refuse(this.missing(found[at - 1]! + 1));
    });
    return found;
  }

  /**
   * Null when something in it can't be believed although its checksum is right.
   * @param follows it must go on where the one before it ends.
   */
  private async scan(
    sequence: number,
    reading: Promise<Uint8Array>,
    follows: boolean,
    refuse: Refuse,
  ): Promise<SegmentReading | null> {
    const { storageId, recordBytesMax } = this.options;
    const path = this.options.path(sequence);
    const replay = (follows ? this.stretches.at(-1) : undefined) ?? new LogReplay();
    try {
      const bytes = await reading;
      checkSegmentHeader(bytes, storageId, sequence, path);
      replay.beginSegment(bytes, path, !follows);
      const identity = segmentIdentity(storageId, sequence);
      const result = scanSegment(bytes, identity, recordBytesMax, replay.visit);
      // One that was made beforehand and is empty begins no stretch.
      if (result.end > segmentHeaderBytes && !follows) this.stretches.push(replay);
      const { sealed, firstIndexOfSegment: firstIndex, lastIndexOfSegment: lastIndex } = replay;
      const marked = readSegmentMark(bytes, identity);
      return { ...result, sequence, bytes, sealed, firstIndex, lastIndex, marked };
    } catch (error) {
      if (!(error instanceof StorageError)) throw error;
      refuse(error);
      return null;
    }
  }

  private isWhole({ sequence, end, provedBy, marked }: SegmentReading, refuse: Refuse): boolean {
    const path = this.options.path(sequence);
    if (provedBy !== null) {
      const why = `a record that was synced is gone: the one at byte ${provedBy} came later`;
      refuse(damaged(why, path, end));
    } else if (marked > end) {
      refuse(damaged(`the log was synced up to byte ${marked}, and ends here`, path, end));
    } else {
      return true;
    }
    return false;
  }

  private readBytes(sequence: number): Promise<Uint8Array> {
    const reading = this.readFile(this.options.path(sequence));
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
  private mustBeSealed(before: SegmentReading, refuse: Refuse): void {
    if (before.sealed) return;
    const why = "the segment ends before its seal, although the log goes on in the next";
    refuse(damaged(why, this.options.path(before.sequence), before.end));
  }

  private mustGoOn(
    sequences: readonly number[],
    readings: readonly SegmentReading[],
    refuse: Refuse,
  ): void {
    const last = readings.findLast(hasRecords);
    const [first] = sequences;
    if (last === undefined && readings.length === sequences.length && first !== undefined) {
      const path = this.options.path(first);
      refuse(damaged("the log has no record at all", path, segmentHeaderBytes));
    }
    // A sealed segment is complete: the log goes on in the next, which was made before the seal.
    if (last?.sealed === true && last.sequence === sequences.at(-1)) {
      refuse(this.missing(last.sequence + 1));
    }
  }

  private missing(sequence: number): StorageError {
    const why = `segment ${sequence} of the log is not there; ${damageAdvice}`;
    return new StorageError("MISSING", why, { file: this.options.path(sequence) });
  }
}

export function hasRecords({ end }: SegmentReading): boolean {
  return end > segmentHeaderBytes;
}

function hasContent({ contentEnd }: SegmentReading): boolean {
  return contentEnd > segmentHeaderBytes;
}

/** The segment whose end a crash tore, or null. */
export function tornSegment(readings: readonly SegmentReading[]): SegmentReading | null {
  const newest = readings.findLast(hasContent);
  if (newest === undefined || newest.sealed || newest.contentEnd === newest.end) return null;
  return newest;
}
