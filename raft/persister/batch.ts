/** The records of one write: they become durable together, in one segment, with one sync. */
import type { Entry, HardState } from "../core/types.js";
import type { BufferPool } from "./bufferPool.js";
import { putU32, putU64 } from "./bytes.js";
import { crc32c } from "./crc32c.js";
import {
  aligned,
  entriesHeaderBytes,
  entryHeaderBytes,
  hardStatePayloadBytes,
  type LogEnd,
  putHardState,
  putLogEnd,
  recordBytes,
  recordHeaderBytes,
  RecordType,
  resetPayloadBytes,
  startPayloadBytes,
} from "./record.js";
import type { SegmentIdentity } from "./segment.js";

/**
 * Entries records are closed at this size. It bounds what one torn or damaged record takes along,
 * and is large enough that a busy turn's entries share one header and one checksum.
 */
const entriesRecordBytes = 1024 * 1024;

/** No record is open. */
const NONE = -1;

export class Batch {
  readonly segment: SegmentIdentity;
  /** Offset in the segment of the first byte. */
  readonly start: number;
  /** To be called in order when it is durable. */
  readonly callbacks: (() => void)[] = [];
  /** Entries in it; what the sync policy goes by. */
  entryCount = 0;
  /** It ends with the segment's seal. */
  seals = false;

  private readonly pool: BufferPool;
  private buffer: Uint8Array;
  private used = 0;
  /** The entries record that further entries may join. */
  private openAt = NONE;
  private openCount = 0;
  private openTerm = 0;
  private openNext = 0;

  constructor(segment: SegmentIdentity, start: number, pool: BufferPool) {
    this.segment = segment;
    this.start = start;
    this.pool = pool;
    this.buffer = pool.take();
  }

  /** Offset in the segment of what comes next. */
  get end(): number {
    return this.start + aligned(this.used);
  }

  /** Bytes by which `end` moves when `entry` is added. */
  cost(entry: Entry): number {
    const bytes = entryHeaderBytes + entry.command.length;
    return this.joins(entry)
      ? aligned(this.used + bytes) - aligned(this.used)
      : recordBytes(entriesHeaderBytes + bytes);
  }

  addStart(state: HardState, last: LogEnd): void {
    const at = this.begin(startPayloadBytes);
    putHardState(this.buffer, at, state);
    putLogEnd(this.buffer, at + hardStatePayloadBytes, last);
    this.finish(RecordType.start, at);
  }

  addHardState(state: HardState): void {
    const at = this.begin(hardStatePayloadBytes);
    putHardState(this.buffer, at, state);
    this.finish(RecordType.hardState, at);
  }

  addReset(base: LogEnd): void {
    const at = this.begin(resetPayloadBytes);
    putLogEnd(this.buffer, at, base);
    this.finish(RecordType.reset, at);
  }

  addMark(type: typeof RecordType.seal | typeof RecordType.close): void {
    this.finish(type, this.begin(0));
    if (type === RecordType.seal) this.seals = true;
  }

  addEntry(entry: Entry): void {
    const { index, term, command } = entry;
    if (!this.joins(entry)) {
      const at = this.begin(entriesHeaderBytes + entryHeaderBytes + command.length);
      putU64(this.buffer, at, index);
      putU64(this.buffer, at + 8, term);
      this.used = at + entriesHeaderBytes;
      this.openAt = at;
      this.openCount = 0;
      this.openTerm = term;
    }
    this.reserve(entryHeaderBytes + command.length + recordHeaderBytes);
    putU32(this.buffer, this.used, command.length);
    this.buffer.set(command, this.used + entryHeaderBytes);
    this.used += entryHeaderBytes + command.length;
    this.openCount++;
    this.openNext = index + 1;
    this.entryCount++;
  }

  /** What is to be written at `start`. Nothing may be added after it. */
  bytes(): Uint8Array {
    this.finishEntries();
    return this.buffer.subarray(0, this.used);
  }

  /** Gives the memory back. */
  release(): void {
    this.pool.give(this.buffer);
  }

  private joins(entry: Entry): boolean {
    return (
      this.openAt !== NONE &&
      entry.index === this.openNext &&
      entry.term === this.openTerm &&
      this.used - this.openAt + entry.command.length <= entriesRecordBytes
    );
  }

  /** Makes room for a record; returns where its payload goes. */
  private begin(payloadBytes: number): number {
    this.finishEntries();
    this.reserve(recordBytes(payloadBytes));
    const at = this.used + recordHeaderBytes;
    this.used = at + payloadBytes;
    return at;
  }

  private finishEntries(): void {
    if (this.openAt === NONE) return;
    putU32(this.buffer, this.openAt + 16, this.openCount);
    putU32(this.buffer, this.openAt + 20, 0);
    this.finish(RecordType.entries, this.openAt);
    this.openAt = NONE;
  }

  /** Writes the header of the record whose payload lies from `payload` to `used`. */
  private finish(type: RecordType, payload: number): void {
    const at = payload - recordHeaderBytes;
    const length = this.used - payload;
    const end = aligned(this.used);
    this.buffer.fill(0, this.used, end);
    putU32(this.buffer, at, this.segment.tag);
    putU32(this.buffer, at + 8, length);
    putU32(this.buffer, at + 12, this.start + at);
    putU32(this.buffer, at + 16, this.start);
    putU32(this.buffer, at + 20, type);
    putU32(this.buffer, at + 4, crc32c(this.buffer, at + 8, end, this.segment.seed));
    this.used = end;
  }

  private reserve(bytes: number): void {
    const needed = aligned(this.used) + bytes;
    if (needed > this.buffer.length) this.buffer = this.pool.grow(this.buffer, this.used, needed);
  }
}
