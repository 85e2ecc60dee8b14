/** Reads a snapshot file and verifies every block that it hands out. */
import type { SnapshotMeta } from "../core/types.js";
import { getU32 } from "./bytes.js";
import { crc32c } from "./crc32c.js";
import type { SnapshotReader } from "./persister.js";
import { readAhead } from "./readAhead.js";
import {
  blockCount,
  checkSnapshotHeader,
  decodeSnapshotTrailer,
  snapshotBlockBytes,
  snapshotHeaderBytes,
  snapshotSeed,
  snapshotTrailerBytes,
} from "./snapshotFormat.js";
import { damaged, StorageError } from "./storageError.js";
import type { StorageFile, StorageFs } from "./storageFs.js";

/** Blocks verified at once; less than a millisecond between turns of the event loop. */
const verifyBytes = 16 * snapshotBlockBytes;

export class FileSnapshotReader implements SnapshotReader {
  readonly meta: SnapshotMeta;
  readonly size: number;

  private readonly file: StorageFile;
  private readonly seed: number;
  /** Checksums of the blocks, as they lie in the file. */
  private readonly table: Uint8Array;
  private closed = false;

  private constructor(
    file: StorageFile,
    meta: SnapshotMeta,
    size: number,
    seed: number,
    table: Uint8Array,
  ) {
    this.file = file;
    this.meta = meta;
    this.size = size;
    this.seed = seed;
    this.table = table;
  }

  /** @throws StorageError when header, trailer or table are not whole; blocks are not read yet. */
  static async open(
    fs: StorageFs,
    path: string,
    meta: SnapshotMeta,
    storageId: Uint8Array,
  ): Promise<FileSnapshotReader> {
    const file = await fs.open(path, "read");
    try {
      const header = await readPart(file, 0, snapshotHeaderBytes);
      checkSnapshotHeader(header, storageId, meta, path);
      const seed = snapshotSeed(header);
      const fileBytes = await file.size();
      const end = fileBytes - snapshotTrailerBytes;
      const trailer = await readPart(file, Math.max(0, end), snapshotTrailerBytes);
      const { size, tableCrc } = decodeSnapshotTrailer(trailer, seed, fileBytes, path);
      const tableAt = snapshotHeaderBytes + size;
      const table = await readPart(file, tableAt, end - tableAt);
      if (crc32c(table, 0, table.length, seed) !== tableCrc) {
        throw damaged("the snapshot's table of checksums is damaged", path, tableAt);
      }
      return new FileSnapshotReader(file, meta, size, seed, table);
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  read(offset: number, length: number): Promise<Uint8Array> {
    return this.readWith(offset, length, (bytes) => new Uint8Array(bytes));
  }

  /** Reads all of it. @throws StorageError DAMAGED naming the block. */
  async verify(): Promise<void> {
    const memories = [new Uint8Array(verifyBytes), new Uint8Array(verifyBytes)];
    const parts = readAhead(Math.ceil(this.size / verifyBytes), (part) => {
      const memory = memories[part % 2]!;
      const place = (bytes: number): Uint8Array => memory.subarray(0, bytes);
      return this.readWith(part * verifyBytes, verifyBytes, place);
    });
    while ((await parts.next()).done !== true);
  }

  async close(): Promise<void> {
    if (this.closed) return;
    this.closed = true;
    await this.file.close();
  }

  private async readWith(
    offset: number,
    length: number,
    memory: (bytes: number) => Uint8Array,
  ): Promise<Uint8Array> {
    if (this.closed) throw new StorageError("CLOSED", "the snapshot reader was closed");
    const from = Math.min(Math.max(0, offset), this.size);
    const to = Math.min(from + Math.max(0, length), this.size);
    if (from === to) return new Uint8Array();
    const firstBlock = Math.floor(from / snapshotBlockBytes);
    const start = firstBlock * snapshotBlockBytes;
    const end = Math.min(blockCount(to) * snapshotBlockBytes, this.size);
    const into = memory(end - start);
    const bytesRead = await this.file.read(into, snapshotHeaderBytes + start);
    const blocks = into.subarray(0, bytesRead);
    this.checkBlocks(blocks, firstBlock, end - start);
    return blocks.subarray(from - start, to - start);
  }

  private checkBlocks(bytes: Uint8Array, firstBlock: number, expected: number): void {
    for (let at = 0, block = firstBlock; at < expected; at += snapshotBlockBytes, block++) {
      const end = Math.min(at + snapshotBlockBytes, expected);
      const isWhole = end <= bytes.length && crc32c(bytes, at, end, this.seed) === this.crc(block);
      if (isWhole) continue;
      const offset = snapshotHeaderBytes + block * snapshotBlockBytes;
      throw damaged("a block of the snapshot has a wrong checksum", this.file.path, offset);
    }
  }

  private crc(block: number): number {
    return getU32(this.table, block * 4);
  }
}

/** Shorter where the file ends. */
async function readPart(file: StorageFile, at: number, length: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(length);
  return bytes.subarray(0, await file.read(bytes, at));
}
