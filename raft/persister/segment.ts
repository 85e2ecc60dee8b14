/**
 * One file of the write-ahead log: its name, its header, and the identity that goes into every
 * checksum in it. docs/storage.md has the layout.
 */
import { getU32, getU64, putU32, putU64 } from "./bytes.js";
import { crc32c } from "./crc32c.js";
import { damaged, StorageError } from "./storageError.js";

/** Header and mark; records follow. */
export const segmentHeaderBytes = 128;
const MAGIC = Buffer.from("RAFTWAL\0", "latin1");
const VERSION = 1;
/** Where the header's own checksum lies; all versions keep it, the magic and the version there. */
const CRC_AT = 60;

const SIZE_AT = 40;
/** The mark has a sector with the header, and none with the records at the end of a long log. */
export const segmentMarkAt = 64;
const MARK_BYTES = 64;
const MARK_CRC_AT = 60;

export const storageIdBytes = 16;

/** What ties a record to its place: a block of another segment has another checksum. */
export interface SegmentIdentity {
  readonly sequence: number;
  /** Checksum of storage id and sequence: the seed of every record's checksum. */
  readonly seed: number;
  /** Stands in clear at the start of each record, so that a scan finds where one may be. */
  readonly tag: number;
}

export function segmentIdentity(storageId: Uint8Array, sequence: number): SegmentIdentity {
  const bytes = new Uint8Array(storageIdBytes + 8);
  bytes.set(storageId);
  putU64(bytes, storageIdBytes, sequence);
  const seed = crc32c(bytes);
  // Odd, and so never the zero that a place without a record has.
  return { sequence, seed, tag: (seed | 1) >>> 0 };
}

export function segmentName(sequence: number): string {
  return `wal-${sequence.toString().padStart(16, "0")}.log`;
}

/** The sequence of the segment with this file name, or null when it is none. */
export function segmentSequence(name: string): number | null {
  const match = /^wal-(\d{16})\.log$/.exec(name);
  return match === null ? null : Number(match[1]);
}

/** @param size Bytes of the file when it comes into use; later it is never shorter. */
export function encodeSegmentHeader(
  storageId: Uint8Array,
  sequence: number,
  size: number,
): Uint8Array {
  const header = new Uint8Array(segmentHeaderBytes);
  header.set(MAGIC);
  putU32(header, 8, VERSION);
  putU32(header, 12, segmentHeaderBytes);
  header.set(storageId, 16);
  putU64(header, 32, sequence);
  putU64(header, SIZE_AT, size);
  putU32(header, CRC_AT, crc32c(header, 0, CRC_AT));
  return header;
}

/** @throws StorageError when `bytes` does not open with this very segment's header. */
export function checkSegmentHeader(
  bytes: Uint8Array,
  storageId: Uint8Array,
  sequence: number,
  file: string,
): void {
  if (bytes.length < segmentHeaderBytes) throw damaged("the segment has no header", file, 0);
  if (Buffer.compare(bytes.subarray(0, MAGIC.length), MAGIC) !== 0) {
    throw damaged("the file is not a log segment", file, 0);
  }
  // Before the version: a flipped bit in it must not pass for a later version's file.
  if (getU32(bytes, CRC_AT) !== crc32c(bytes, 0, CRC_AT)) {
    throw damaged("the segment's header has a wrong checksum", file, 0);
  }
  const version = getU32(bytes, 8);
  if (version > VERSION) {
    const explanation = `the segment has version ${version}, this program knows ${VERSION}`;
    throw new StorageError("NEWER_FORMAT", explanation, { file, offset: 8 });
  }
  const id = bytes.subarray(16, 16 + storageIdBytes);
  if (Buffer.compare(id, storageId) !== 0) {
    throw new StorageError("FOREIGN", "the segment has another storage id", { file, offset: 16 });
  }
  const found = getU64(bytes, 32);
  if (found !== sequence) {
    const explanation = `the segment says that it is number ${found}: was it renamed?`;
    throw new StorageError("FOREIGN", explanation, { file, offset: 32 });
  }
  const size = getU64(bytes, SIZE_AT);
  if (bytes.length < size) {
    const explanation = `the segment was made with ${size} bytes and has ${bytes.length}`;
    throw damaged(explanation, file, bytes.length);
  }
}

/** The storage id in a segment's header, or null when the header is not whole. */
export function storageIdOf(header: Uint8Array): Uint8Array | null {
  const isWhole =
    header.length >= CRC_AT + 4 &&
    Buffer.compare(header.subarray(0, MAGIC.length), MAGIC) === 0 &&
    getU32(header, CRC_AT) === crc32c(header, 0, CRC_AT);
  return isWhole ? header.slice(16, 16 + storageIdBytes) : null;
}

/**
 * Says that everything before `end` was synced. It is written now and then, in place of the one
 * before, so that damage at the log's end is told from a write that was torn there.
 */
export function encodeSegmentMark({ seed }: SegmentIdentity, end: number): Uint8Array {
  const mark = new Uint8Array(MARK_BYTES);
  putU64(mark, 0, end);
  putU32(mark, MARK_CRC_AT, crc32c(mark, 0, MARK_CRC_AT, seed));
  return mark;
}

/** What the mark says; 0 when there is none, or it was torn itself. */
export function readSegmentMark(segment: Uint8Array, { seed }: SegmentIdentity): number {
  const mark = segment.subarray(segmentMarkAt, segmentMarkAt + MARK_BYTES);
  if (mark.length < MARK_BYTES) return 0;
  const isWhole = getU32(mark, MARK_CRC_AT) === crc32c(mark, 0, MARK_CRC_AT, seed);
  return isWhole ? getU64(mark, 0) : 0;
}
