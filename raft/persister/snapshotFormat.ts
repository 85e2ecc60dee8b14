/**
 * A snapshot file: header, the state as it is, the checksums of its blocks, trailer.
 *
 *     header (64) | state (size) | CRC-32C of each block (4 each) | trailer (32)
 *
 * The state lies in one piece, so that a part of it can be handed on without a copy, and each
 * block can be verified alone. docs/storage.md has every field.
 */
import type { SnapshotMeta } from "../core/types.js";
import { getU32, getU64, putU32, putU64 } from "./bytes.js";
import { crc32c } from "./crc32c.js";
import { storageIdBytes } from "./segment.js";
import { damaged, StorageError } from "./storageError.js";

export const snapshotHeaderBytes = 64;
export const snapshotTrailerBytes = 32;
export const snapshotBlockBytes = 64 * 1024;

const MAGIC = Buffer.from("RAFTSNAP", "latin1");
const END_MAGIC = Buffer.from("SNAPEND\0", "latin1");
const VERSION = 1;
const HEADER_CRC_AT = 60;
const TRAILER_CRC_AT = 28;

export function snapshotName(meta: SnapshotMeta): string {
  return `snapshot-${meta.term}-${meta.index}`;
}

/** The snapshot with this file name, or null when it is none. */
export function snapshotOfName(name: string): SnapshotMeta | null {
  const match = /^snapshot-(\d{1,16})-(\d{1,16})$/.exec(name);
  return match === null ? null : { term: Number(match[1]), index: Number(match[2]) };
}

export function encodeSnapshotHeader(storageId: Uint8Array, meta: SnapshotMeta): Uint8Array {
  const header = new Uint8Array(snapshotHeaderBytes);
  header.set(MAGIC);
  putU32(header, 8, VERSION);
  putU32(header, 12, snapshotBlockBytes);
  header.set(storageId, 16);
  putU64(header, 32, meta.index);
  putU64(header, 40, meta.term);
  putU32(header, HEADER_CRC_AT, crc32c(header, 0, HEADER_CRC_AT));
  return header;
}

/** Seed of the checksums of blocks, table and trailer: ties them to this snapshot. */
export function snapshotSeed(header: Uint8Array): number {
  return getU32(header, HEADER_CRC_AT);
}

/** @throws StorageError when `bytes` does not open with this very snapshot's header. */
export function checkSnapshotHeader(
  bytes: Uint8Array,
  storageId: Uint8Array,
  meta: SnapshotMeta,
  file: string,
): void {
  const isHeader =
    bytes.length === snapshotHeaderBytes &&
    Buffer.compare(bytes.subarray(0, MAGIC.length), MAGIC) === 0 &&
    getU32(bytes, HEADER_CRC_AT) === crc32c(bytes, 0, HEADER_CRC_AT);
  if (!isHeader) throw damaged("the snapshot's header is not whole", file, 0);
  const version = getU32(bytes, 8);
  if (version > VERSION) {
    const explanation = `the snapshot has version ${version}, this program knows ${VERSION}`;
    throw new StorageError("NEWER_FORMAT", explanation, { file, offset: 8 });
  }
  if (getU32(bytes, 12) !== snapshotBlockBytes) throw damaged("unknown block size", file, 12);
  const id = bytes.subarray(16, 16 + storageIdBytes);
  if (Buffer.compare(id, storageId) !== 0) {
    throw new StorageError("FOREIGN", "the snapshot has another storage id", { file, offset: 16 });
  }
  if (getU64(bytes, 32) !== meta.index || getU64(bytes, 40) !== meta.term) {
    const explanation = "the snapshot is not the one that its name says: was it renamed?";
    throw new StorageError("FOREIGN", explanation, { file, offset: 32 });
  }
}

export function blockCount(size: number): number {
  return Math.ceil(size / snapshotBlockBytes);
}

/** What follows the state: the table of checksums and the trailer. */
export function encodeSnapshotEnd(size: number, crcs: readonly number[], seed: number): Uint8Array {
  const tableBytes = crcs.length * 4;
  const bytes = new Uint8Array(tableBytes + snapshotTrailerBytes);
  crcs.forEach((crc, block) => putU32(bytes, block * 4, crc));
  const trailer = bytes.subarray(tableBytes);
  trailer.set(END_MAGIC);
  putU64(trailer, 8, size);
  putU32(trailer, 16, crc32c(bytes, 0, tableBytes, seed));
  putU32(trailer, TRAILER_CRC_AT, crc32c(trailer, 0, TRAILER_CRC_AT, seed));
  return bytes;
}

/** The trailer's word on the size of the state. @throws StorageError DAMAGED. */
export function decodeSnapshotTrailer(
  trailer: Uint8Array,
  seed: number,
  fileBytes: number,
  file: string,
): { size: number; tableCrc: number } {
  const at = fileBytes - snapshotTrailerBytes;
  const isTrailer =
    trailer.length === snapshotTrailerBytes &&
    Buffer.compare(trailer.subarray(0, END_MAGIC.length), END_MAGIC) === 0 &&
    getU32(trailer, TRAILER_CRC_AT) === crc32c(trailer, 0, TRAILER_CRC_AT, seed);
  if (!isTrailer)
    throw damaged("the snapshot does not end with its trailer", file, Math.max(0, at));
  const size = getU64(trailer, 8);
  if (snapshotHeaderBytes + size + blockCount(size) * 4 !== at) {
    throw damaged(`the snapshot's state of ${size} bytes does not fit its file`, file, at + 8);
  }
  return { size, tableCrc: getU32(trailer, 16) };
}
