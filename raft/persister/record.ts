/**
 * A log record: a header of 24 bytes, a payload, zeros up to the next multiple of 8.
 *
 *      0 tag          of the segment; never 0
 *      4 crc          CRC-32C of the rest, seeded with the segment's identity
 *      8 length       of the payload
 *     12 offset       of this record in its segment
 *     16 batchStart   offset of the first record of the same write
 *     20 type, 0, 0, 0
 *
 * Everything before `batchStart` was synced when the record was written: that is how recovery
 * tells a write that a crash tore from damage to what had been acknowledged.
 */
import type { HardState } from "../core/types.js";
import { getU32, getU64, putU32, putU64 } from "./bytes.js";
import { crc32c } from "./crc32c.js";
import type { SegmentIdentity } from "./segment.js";

export const recordHeaderBytes = 24;
export const recordAlignment = 8;

export const RecordType = {
  /** The first of each segment: hard state and the log's last entry at this point. */
  start: 1,
  hardState: 2,
  /** Entries of one term; the log is truncated in front of the first when it reaches further. */
  entries: 3,
  /** The log is empty from here on, and what follows comes after the entry named. */
  reset: 4,
  /** The last of a segment: the next segment exists and goes on. */
  seal: 5,
  /** Closed in order: everything before it was synced. */
  close: 6,
} as const;
export type RecordType = (typeof RecordType)[keyof typeof RecordType];

export const startPayloadBytes = 32;
export const hardStatePayloadBytes = 16;
export const resetPayloadBytes = 16;
/** index, term, count, 0; then for each entry its length (4) and its command. */
export const entriesHeaderBytes = 24;
export const entryHeaderBytes = 4;

export function aligned(bytes: number): number {
  return (bytes + recordAlignment - 1) & -recordAlignment;
}

/** Bytes of a whole record with such a payload. */
export function recordBytes(payloadBytes: number): number {
  return recordHeaderBytes + aligned(payloadBytes);
}

/** Position in the log: its last entry, or what it is based on. */
export interface LogEnd {
  readonly index: number;
  readonly term: number;
}

/** In the flags of a hard state: the node does not vote. */
const joiningFlag = 1;

export function putHardState(bytes: Uint8Array, at: number, state: HardState): void {
  putU64(bytes, at, state.term);
  putU32(bytes, at + 8, state.votedFor);
  putU32(bytes, at + 12, state.joining === true ? joiningFlag : 0);
}

export function getHardState(bytes: Uint8Array, at: number): HardState {
  // votedFor is signed: -1 stands for nobody.
  const state = { term: getU64(bytes, at), votedFor: getU32(bytes, at + 8) | 0 };
  return (getU32(bytes, at + 12) & joiningFlag) === 0 ? state : { ...state, joining: true };
}

export function putLogEnd(bytes: Uint8Array, at: number, end: LogEnd): void {
  putU64(bytes, at, end.index);
  putU64(bytes, at + 8, end.term);
}

export function getLogEnd(bytes: Uint8Array, at: number): LogEnd {
  return { index: getU64(bytes, at), term: getU64(bytes, at + 8) };
}

/** A record found whole. */
export interface RecordView {
  readonly type: number;
  readonly offset: number;
  readonly batchStart: number;
  readonly payloadStart: number;
  readonly payloadEnd: number;
  /** Where the next record begins. */
  readonly end: number;
}

/** The record at `offset` of the segment, or null when there is no whole one. */
export function readRecord(
  segment: Uint8Array,
  identity: SegmentIdentity,
  offset: number,
  recordBytesMax: number,
): RecordView | null {
  const payloadStart = offset + recordHeaderBytes;
  if (payloadStart > segment.length || getU32(segment, offset) !== identity.tag) return null;
  const length = getU32(segment, offset + 8);
  if (length > recordBytesMax || getU32(segment, offset + 12) !== offset) return null;
  const end = payloadStart + aligned(length);
  if (end > segment.length) return null;
  const crc = crc32c(segment, offset + 8, end, identity.seed);
  if (crc !== getU32(segment, offset + 4)) return null;
  return {
    type: segment[offset + 20]!,
    offset,
    batchStart: getU32(segment, offset + 16),
    payloadStart,
    payloadEnd: payloadStart + length,
    end,
  };
}
