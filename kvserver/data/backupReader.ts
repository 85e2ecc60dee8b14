import { createHash } from "node:crypto";
import { getU32 } from "../../raft/persister/bytes.js";
import type { StorageFile, StorageFs } from "../../raft/persister/storageFs.js";
import {
  BackupError,
  backupHeaderBytes,
  backupTrailerBytes,
  blockCrc,
  blockHeadBytes,
  blockPayloadBytesMax,
  checkBackupTrailer,
  decodeBackupHeader,
  decodeBackupTrailer,
  headerCrc,
  type BackupHeader,
  type BackupTrailer,
} from "./backupFormat.js";

/** Reads a backup, and verifies every byte of it on the way. */
export class BackupReader {
  readonly header: BackupHeader;
  /** Believed to be that of this file once `payloads` has come to its end. */
  readonly trailer: BackupTrailer;
  readonly fileBytes: number;
  private readonly file: StorageFile;
  private readonly rawHeader: Uint8Array;

  private constructor(file: StorageFile, fileBytes: number, header: Uint8Array, end: Uint8Array) {
    this.file = file;
    this.fileBytes = fileBytes;
    this.rawHeader = header;
    this.header = decodeBackupHeader(header, file.path);
    this.trailer = decodeBackupTrailer(end, file.path, Math.max(0, this.trailerAt));
  }

  /** @throws BackupError for a file that is no backup or is cut off, StorageError for none at all. */
  static async open(fs: StorageFs, path: string): Promise<BackupReader> {
    const file = await fs.open(path, "read");
    try {
      const size = await file.size();
      const header = await readPart(file, 0, backupHeaderBytes);
      const end = await readPart(file, Math.max(0, size - backupTrailerBytes), backupTrailerBytes);
      return new BackupReader(file, size, header, end);
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  /**
   * The payloads, block by block. Only when there is no further one is the backup known to be whole.
   * @throws BackupError naming the block that is not as it was written.
   */
  async *payloads(): AsyncGenerator<Uint8Array, void, undefined> {
    const hash = createHash("sha256").update(this.rawHeader);
    let crc = headerCrc(this.rawHeader);
    let at = backupHeaderBytes;
    let bytes = 0;
    while (at < this.trailerAt) {
      const block = await this.readBlock(at, crc);
      hash.update(block);
      crc = getU32(block, 4);
      at += block.length;
      bytes += block.length - blockHeadBytes;
      yield block.subarray(blockHeadBytes);
    }
    const trailer = await readPart(this.file, this.trailerAt, backupTrailerBytes);
    checkBackupTrailer(trailer, crc, this.file.path, this.trailerAt);
    const isSame = Buffer.compare(hash.digest(), this.trailer.digest) === 0;
    if (isSame && bytes === this.trailer.payloadBytes) return;
    throw new BackupError(
      "the whole is not what the trailer says",
      this.file.path,
      this.trailerAt + 16,
    );
  }

  close(): Promise<void> {
    return this.file.close();
  }

  private get trailerAt(): number {
    return this.fileBytes - backupTrailerBytes;
  }

  private async readBlock(at: number, crcBefore: number): Promise<Uint8Array> {
    const head = await readPart(this.file, at, blockHeadBytes);
    const length = head.length < blockHeadBytes ? 0 : getU32(head, 0);
    const fits = length > 0 && at + blockHeadBytes + length <= this.trailerAt;
    if (!fits || length > blockPayloadBytesMax) {
      throw new BackupError("a block has an impossible length", this.file.path, at);
    }
    const block = await readPart(this.file, at, blockHeadBytes + length);
    if (block.length < blockHeadBytes + length || getU32(block, 4) !== blockCrc(block, crcBefore)) {
      throw new BackupError("a block has a wrong checksum", this.file.path, at);
    }
    return block;
  }
}

/** Shorter where the file ends. */
async function readPart(file: StorageFile, at: number, length: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(length);
  return bytes.subarray(0, await file.read(bytes, at));
}
