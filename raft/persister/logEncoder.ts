/**
 * Turns what is saved into batches of records, and decides where a segment ends. Does no I/O:
 * positions follow from what was encoded before.
 */
import type { Entry, HardState } from "../core/types.js";
import { Batch } from "./batch.js";
import { BufferPool } from "./bufferPool.js";
import {
  hardStatePayloadBytes,
  type LogEnd,
  recordBytes,
  RecordType,
  resetPayloadBytes,
  startPayloadBytes,
} from "./record.js";
import { type SegmentIdentity, segmentHeaderBytes, segmentIdentity } from "./segment.js";

/** Room for it is left in every segment. */
const sealBytes = recordBytes(0);

/** Where the log goes on, as recovery found it. */
export interface LogPosition {
  readonly sequence: number;
  readonly offset: number;
  readonly hardState: HardState;
  readonly last: LogEnd;
}

export interface EncoderOptions {
  readonly segmentBytes: number;
  readonly batchBytesMax: number;
  readonly bufferBytesKept: number;
}

export class LogEncoder {
  hardState: HardState;
  last: LogEnd;

  private readonly storageId: Uint8Array;
  private readonly segmentBytes: number;
  private readonly batchBytesMax: number;
  private readonly pool: BufferPool;
  private segment: SegmentIdentity;
  /** End of what was encoded into `segment`, when `gathering` is null. */
  private offset: number;
  /** Those that take in no more: large enough, or the last of their segment. */
  private readonly full: Batch[] = [];
  private gathering: Batch | null = null;

  constructor(storageId: Uint8Array, position: LogPosition, options: EncoderOptions) {
    this.storageId = storageId;
    this.segmentBytes = options.segmentBytes;
    this.batchBytesMax = options.batchBytesMax;
    this.pool = new BufferPool(options.bufferBytesKept);
    this.segment = segmentIdentity(storageId, position.sequence);
    this.offset = position.offset;
    this.hardState = position.hardState;
    this.last = position.last;
  }

  /** The segment that what is encoded next goes to, unless it is full. */
  get sequence(): number {
    return this.segment.sequence;
  }

  /** How much of that segment is taken. */
  get end(): number {
    return this.gathering?.end ?? this.offset;
  }

  get hasPending(): boolean {
    return this.full.length > 0 || this.gathering !== null;
  }

  addHardState(state: HardState): void {
    const batch = this.batchWithRoom(recordBytes(hardStatePayloadBytes));
    this.hardState = state;
    batch.addHardState(state);
  }

  /** Returns the bytes that the entry takes in the log. */
  addEntry(entry: Entry): number {
    this.closeIfLarge();
    // In the new segment it may cost more: no record is open there that it could join.
    const batch = this.batchWithRoom(this.batch().cost(entry));
    const bytes = batch.cost(entry);
    batch.addEntry(entry);
    this.last = { index: entry.index, term: entry.term };
    return bytes;
  }

  addReset(base: LogEnd): void {
    const batch = this.batchWithRoom(recordBytes(resetPayloadBytes));
    this.last = base;
    batch.addReset(base);
  }

  /** Leaves it out when the segment is full: it only sharpens what recovery can tell. */
  addClose(): void {
    if (this.hasRoom(sealBytes)) this.batch().addMark(RecordType.close);
  }

  /** Calls back when everything that was added so far is durable. */
  addCallback(callback: () => void): void {
    this.batch().callbacks.push(callback);
  }

  /** The next batch to be written, or null. It is complete. */
  take(): Batch | null {
    const next = this.full.shift();
    if (next !== undefined) return next;
    const batch = this.gathering;
    if (batch === null) return null;
    this.detach(batch);
    return batch;
  }

  private batchWithRoom(bytes: number): Batch {
    // What is too large for any segment goes into one of its own, which grows for it.
    if (!this.hasRoom(bytes) && !this.isFresh()) this.rotate();
    return this.batch();
  }

  private hasRoom(bytes: number): boolean {
    return this.batch().end + bytes + sealBytes <= this.segmentBytes;
  }

  private isFresh(): boolean {
    return this.batch().end <= segmentHeaderBytes + recordBytes(startPayloadBytes);
  }

  private closeIfLarge(): void {
    const { gathering } = this;
    if (gathering === null || gathering.end - gathering.start < this.batchBytesMax) return;
    this.detach(gathering);
    this.full.push(gathering);
  }

  private rotate(): void {
    const batch = this.batch();
    batch.addMark(RecordType.seal);
    this.detach(batch);
    this.full.push(batch);
    this.segment = segmentIdentity(this.storageId, this.segment.sequence + 1);
    this.offset = segmentHeaderBytes;
  }

  private detach(batch: Batch): void {
    batch.bytes();
    this.offset = batch.end;
    this.gathering = null;
  }

  private batch(): Batch {
    if (this.gathering === null) {
      this.gathering = new Batch(this.segment, this.offset, this.pool);
      if (this.offset === segmentHeaderBytes) this.gathering.addStart(this.hardState, this.last);
    }
    return this.gathering;
  }
}
