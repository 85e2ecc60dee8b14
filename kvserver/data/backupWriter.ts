import { createHash } from "node:crypto";
import { dataSync, type StorageFile, type StorageFs } from "../../raft/persister/storageFs.js";
import { pairHeadBytes, writePairHead } from "../snapshotRecords.js";
import {
  blockHeadBytes,
  blockPayloadBytesMax,
  encodeBackupHeader,
  encodeBackupTrailer,
  headerCrc,
  sealBlock,
  type BackupHeader,
} from "./backupFormat.js";

/** What became of a backup. */
export interface BackupSummary {
  readonly keys: number;
  readonly fileBytes: number;
  /** SHA-256 of the backup, in hex: see `BackupTrailer.digest`. */
  readonly digest: string;
}

/** Writes a backup: pairs go in, full blocks wait for `flush`. */
export class BackupWriter {
  private readonly file: StorageFile;
  private readonly hash = createHash("sha256");
  private readonly head = new Uint8Array(pairHeadBytes);
  private crc: number;
  private keys = 0;
  private payloadBytes = 0;
  private written = 0;
  private block = new Uint8Array(blockHeadBytes + blockPayloadBytesMax);
  private used = blockHeadBytes;
  private waiting: Uint8Array[] = [];

  private constructor(file: StorageFile, header: Uint8Array) {
    this.file = file;
    this.crc = headerCrc(header);
    this.add(header);
  }

  static async create(fs: StorageFs, path: string, header: BackupHeader): Promise<BackupWriter> {
    return new BackupWriter(await fs.open(path, "create"), encodeBackupHeader(header));
  }

  /** In the order of the keys. Copies both. */
  pair(key: Uint8Array, value: Uint8Array): void {
    writePairHead(this.head, 0, { key, value });
    for (const part of [this.head, key, value]) this.append(part);
    this.keys++;
  }

  /** Writes the blocks that are full. */
  async flush(): Promise<void> {
    const { waiting } = this;
    this.waiting = [];
    for (const bytes of waiting) {
      await this.file.write(bytes, this.written);
      this.written += bytes.length;
    }
  }

  /** Resolves when all of it would survive a crash, under the name that it has. */
  async finish(): Promise<BackupSummary> {
    this.endBlock();
    const digest = this.hash.digest();
    const { keys, payloadBytes } = this;
    this.waiting.push(encodeBackupTrailer({ keys, payloadBytes, digest }, this.crc));
    await this.flush();
    await dataSync(this.file);
    return { keys, fileBytes: this.written, digest: digest.toString("hex") };
  }

  close(): Promise<void> {
    return this.file.close();
  }

  private append(bytes: Uint8Array): void {
    this.payloadBytes += bytes.length;
    for (let at = 0; at < bytes.length;) {
      if (this.used === this.block.length) this.endBlock();
      const end = Math.min(bytes.length, at + this.block.length - this.used);
      this.block.set(bytes.subarray(at, end), this.used);
      this.used += end - at;
      at = end;
    }
  }

  private endBlock(): void {
    if (this.used === blockHeadBytes) return;
    const block = this.block.subarray(0, this.used);
    this.crc = sealBlock(block, this.crc);
    this.add(block);
    this.block = new Uint8Array(blockHeadBytes + blockPayloadBytesMax);
    this.used = blockHeadBytes;
  }

  private add(bytes: Uint8Array): void {
    this.hash.update(bytes);
    this.waiting.push(bytes);
  }
}
