/**
 * A backup: the keys and values of a store at one entry of its log, in a file that belongs to no
 * node. docs/backup.md has every field.
 *
 *     header (64) | blocks: length (4), crc (4), payload | trailer (64)
 *
 * The payloads together are the pairs as a snapshot holds them, in the order of their keys. Each
 * checksum goes on from the one before it, so no block can be lost, doubled or moved.
 */
import type { SnapshotMeta } from "../../raft/core/types.js";
import { getU32, getU64, putU32, putU64 } from "../../raft/persister/bytes.js";
import { crc32c } from "../../raft/persister/crc32c.js";
import { storageIdBytes } from "../../raft/persister/segment.js";

export const backupHeaderBytes = 64;
export const backupTrailerBytes = 64;
export const blockHeadBytes = 8;
/** Of the payload of one block. */
export const blockPayloadBytesMax = 256 * 1024;
export const digestBytes = 32;

const MAGIC = Buffer.from("KVBACKUP", "latin1");
const END_MAGIC = Buffer.from("KVBKEND\0", "latin1");
const VERSION = 1;
const HEADER_CRC_AT = 60;
const throughLogFlag = 1;

/** A file that is no backup, or no longer the one that was written. */
export class BackupError extends Error {
  override readonly name = "BackupError";
  readonly code = "ERR_BACKUP";
  readonly file: string;
  /** Of the first byte that is not as it should be. */
  readonly offset: number;

  constructor(explanation: string, file: string, offset: number, advice = damagedAdvice) {
    super(`${explanation}; ${advice} (${file} at byte ${offset})`);
    this.file = file;
    this.offset = offset;
  }
}

const damagedAdvice = "nothing was imported: use another copy of the backup";

export interface BackupHeader {
  /** The entry of the log up to which it was taken. */
  readonly meta: SnapshotMeta;
  /** Of the directory that it was taken of. */
  readonly storageId: Uint8Array;
  /** It may hold what was never committed. */
  readonly throughLog: boolean;
}

export interface BackupTrailer {
  readonly keys: number;
  readonly payloadBytes: number;
  /** SHA-256 of everything before the trailer. */
  readonly digest: Uint8Array;
}

export function encodeBackupHeader({ meta, storageId, throughLog }: BackupHeader): Uint8Array {
  const bytes = new Uint8Array(backupHeaderBytes);
  bytes.set(MAGIC);
  putU32(bytes, 8, VERSION);
  putU32(bytes, 12, blockPayloadBytesMax);
  bytes.set(storageId, 16);
  putU64(bytes, 32, meta.index);
  putU64(bytes, 40, meta.term);
  putU32(bytes, 48, throughLog ? throughLogFlag : 0);
  putU32(bytes, HEADER_CRC_AT, crc32c(bytes, 0, HEADER_CRC_AT));
  return bytes;
}

/** What the first block's checksum goes on from. */
export function headerCrc(header: Uint8Array): number {
  return getU32(header, HEADER_CRC_AT);
}

/** @throws BackupError. */
export function decodeBackupHeader(bytes: Uint8Array, file: string): BackupHeader {
  if (Buffer.compare(bytes.subarray(0, MAGIC.length), MAGIC) !== 0) {
    throw new BackupError("the file is no backup", file, 0, "name one that export has written");
  }
  const isWhole =
    bytes.length === backupHeaderBytes && headerCrc(bytes) === crc32c(bytes, 0, HEADER_CRC_AT);
  if (!isWhole) throw new BackupError("the header has a wrong checksum", file, 0);
  const version = getU32(bytes, 8);
  if (version > VERSION) {
    const explanation = `the backup has version ${version}, this program knows ${VERSION}`;
    throw new BackupError(explanation, file, 8, "use the version that wrote it, or a later one");
  }
  const meta = { index: getU64(bytes, 32), term: getU64(bytes, 40) };
  if (!Number.isSafeInteger(meta.index) || !Number.isSafeInteger(meta.term)) {
    throw new BackupError("an index or term is above 2^53", file, 32);
  }
  const storageId = bytes.slice(16, 16 + storageIdBytes);
  return { meta, storageId, throughLog: (getU32(bytes, 48) & throughLogFlag) !== 0 };
}

/** Fills in the head of a block; its payload stands behind it already. Returns the checksum. */
export function sealBlock(block: Uint8Array, crcBefore: number): number {
  putU32(block, 0, block.length - blockHeadBytes);
  const crc = blockCrc(block, crcBefore);
  putU32(block, 4, crc);
  return crc;
}

/** Of the length and the payload. */
export function blockCrc(block: Uint8Array, crcBefore: number): number {
  return crc32c(block, blockHeadBytes, block.length, crc32c(block, 0, 4, crcBefore));
}

export function encodeBackupTrailer(trailer: BackupTrailer, crcBefore: number): Uint8Array {
  const bytes = new Uint8Array(backupTrailerBytes);
  bytes.set(END_MAGIC, 8);
  putU64(bytes, 16, trailer.keys);
  putU64(bytes, 24, trailer.payloadBytes);
  bytes.set(trailer.digest, 32);
  putU32(bytes, 4, blockCrc(bytes, crcBefore));
  return bytes;
}

/** @throws BackupError. Its checksum is verified by `checkBackupTrailer`, after the blocks. */
export function decodeBackupTrailer(
  bytes: Uint8Array,
  file: string,
  offset: number,
): BackupTrailer {
  const isTrailer =
    bytes.length === backupTrailerBytes &&
    getU32(bytes, 0) === 0 &&
    Buffer.compare(bytes.subarray(8, 8 + END_MAGIC.length), END_MAGIC) === 0;
  if (!isTrailer) {
    throw new BackupError("the backup does not end with its trailer: it is cut off", file, offset);
  }
  const trailer = {
    keys: getU64(bytes, 16),
    payloadBytes: getU64(bytes, 24),
    digest: bytes.slice(32, 32 + digestBytes),
  };
  if (!Number.isSafeInteger(trailer.keys) || !Number.isSafeInteger(trailer.payloadBytes)) {
    throw new BackupError("a count in the trailer is above 2^53", file, offset + 16);
  }
  return trailer;
}

/** @throws BackupError unless its checksum goes on from that of the last block. */
export function checkBackupTrailer(
  bytes: Uint8Array,
  crcBefore: number,
  file: string,
  offset: number,
): void {
  if (getU32(bytes, 4) === blockCrc(bytes, crcBefore)) return;
  throw new BackupError("the trailer has a wrong checksum", file, offset);
}
