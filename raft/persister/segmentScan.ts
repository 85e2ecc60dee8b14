/**
 * Reads a segment's records, and judges what follows the last whole one.
 *
 *     | header | whole records ... | end: no whole record |  ... rest ...  |
 *
 * A crash can tear the last write, and only that: a batch is written when all before it is synced.
 * The disk may even have kept the torn batch's later blocks and lost its earlier ones. So a whole
 * record in the rest decides by its `batchStart`: at or before the end, it is of the very write
 * that was torn; after the end, the place had been synced when it was written, and what was synced
 * is gone.
 */
import { endOfContent } from "./bytes.js";
import { readRecord, recordAlignment, type RecordView } from "./record.js";
import { type SegmentIdentity, segmentHeaderBytes } from "./segment.js";

export interface ScanResult {
  /** Where the last whole record ends. */
  readonly end: number;
  /** Offset of a record that proves `end` to be damage, or null when it is a torn tail at most. */
  readonly provedBy: number | null;
  /** One past the last byte after `end` that is not zero, or `end`. */
  readonly contentEnd: number;
}

/** Calls `visit` with each whole record in order. */
export function scanSegment(
  segment: Uint8Array,
  identity: SegmentIdentity,
  recordBytesMax: number,
  visit: (record: RecordView) => void,
): ScanResult {
  let end = segmentHeaderBytes;
  for (;;) {
    const record = readRecord(segment, identity, end, recordBytesMax);
    if (record === null) break;
    visit(record);
    end = record.end;
  }
  const provedBy = findLaterBatch(segment, identity, end, recordBytesMax);
  return { end, provedBy, contentEnd: endOfContent(segment, end) };
}

/** The first whole record after `end` whose write came after the bytes at `end` were synced. */
function findLaterBatch(
  segment: Uint8Array,
  identity: SegmentIdentity,
  end: number,
  recordBytesMax: number,
): number | null {
  // Looks for the tag alone, which costs next to nothing; what has it is then checked in full.
  const words = new Uint32Array(segment.buffer, segment.byteOffset, segment.length >>> 2);
  let word = end >>> 2;
  while ((word = words.indexOf(identity.tag, word)) !== -1) {
    const offset = word * 4;
    const record =
      offset % recordAlignment === 0 ? readRecord(segment, identity, offset, recordBytesMax) : null;
    if (record !== null && record.batchStart > end) return offset;
    word = record === null ? word + 1 : record.end >>> 2;
  }
  return null;
}
