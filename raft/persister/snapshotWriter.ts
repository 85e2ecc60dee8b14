/** Writes a snapshot under a temporary name, until `SnapshotStore` makes it the newest. */
import type { SnapshotMeta } from "../core/types.js";
import { crc32c } from "./crc32c.js";
import type { FailureLatch } from "./failureLatch.js";
import type { SnapshotWriter } from "./persister.js";
import {
  encodeSnapshotEnd,
  encodeSnapshotHeader,
  snapshotBlockBytes,
  snapshotHeaderBytes,
  snapshotSeed,
} from "./snapshotFormat.js";
import { StorageError } from "./storageError.js";
import { dataSync, type StorageFile } from "./storageFs.js";

export interface SnapshotWriterOptions {
  /** Bytes gathered before they are written: from the first to the second, by how busy all is. */
  readonly snapshotBufferBytes: number;
  readonly snapshotBufferBytesMax: number;
  /** A write that comes back later than this lets the next one be twice as large. */
  readonly snapshotWriteMsMax: number;
  /** Bytes written between syncs, so that the last one does not hold up the log's for long. */
  readonly snapshotSyncBytes: number;
  /** Milliseconds of a clock that never goes back. */
  readonly now: () => number;
}

/** What becomes of the file in the end. */
export interface SnapshotOutcome {
  /** The whole file is written, synced and closed. */
  commit(): Promise<void>;
  /** The file is not wanted. Does nothing the second time. */
  abort(): Promise<void>;
}

type State = "writing" | "committing" | "committed" | "aborted";

export class FileSnapshotWriter implements SnapshotWriter {
  readonly meta: SnapshotMeta;

  private readonly file: StorageFile;
  private readonly latch: FailureLatch;
  private readonly outcome: SnapshotOutcome;
  private readonly options: SnapshotWriterOptions;
  private readonly seed: number;
  private buffer: Uint8Array;
  private buffered: number;
  /** Bytes after which the buffer is written. */
  private gathers: number;
  /** Bytes of the file that are written, and those of them that are synced. */
  private written = 0;
  private synced = 0;
  /** Of the whole blocks; that of the one in progress runs along in `crc`. */
  private readonly crcs: number[] = [];
  private crc: number;
  private stateBytes = 0;
  private state: State = "writing";
  private isOpen = true;
  /** Settled when no operation is on its way. */
  private busy: Promise<void> = Promise.resolve();

  constructor(
    file: StorageFile,
    meta: SnapshotMeta,
    storageId: Uint8Array,
    latch: FailureLatch,
    outcome: SnapshotOutcome,
    options: SnapshotWriterOptions,
  ) {
    this.file = file;
    this.meta = meta;
    this.latch = latch;
    this.outcome = outcome;
    this.options = options;
    this.gathers = Math.max(options.snapshotBufferBytes, snapshotHeaderBytes);
    this.buffer = new Uint8Array(this.gathers);
    const header = encodeSnapshotHeader(storageId, meta);
    this.buffer.set(header);
    this.buffered = header.length;
    this.seed = snapshotSeed(header);
    this.crc = this.seed;
  }

  get size(): number {
    return this.stateBytes;
  }

  async write(chunk: Uint8Array): Promise<void> {
    this.mustBeWriting();
    this.addToBlocks(chunk);
    await this.inTurn(() => this.append(chunk));
  }

  async commit(): Promise<void> {
    this.mustBeWriting();
    this.state = "committing";
    await this.inTurn(async () => {
      if (this.stateBytes % snapshotBlockBytes !== 0) this.crcs.push(this.crc);
      await this.append(encodeSnapshotEnd(this.stateBytes, this.crcs, this.seed));
      await this.flush();
      await dataSync(this.file);
      await this.closeFile();
      await this.outcome.commit();
      this.state = "committed";
    });
  }

  async abort(): Promise<void> {
    if (this.state === "writing") this.state = "aborted";
    await this.busy;
    if (this.state === "committed") return;
    await this.closeFile();
    await this.outcome.abort();
  }

  private async closeFile(): Promise<void> {
    if (!this.isOpen) return;
    this.isOpen = false;
    await this.file.close();
  }

  /** One operation after the other: the file is not closed under one that is on its way. */
  private inTurn(operation: () => Promise<void>): Promise<void> {
    const done = this.busy.then(() => this.latch.guard(this.file.path, operation));
    this.busy = done.catch(() => {});
    return done;
  }

  private mustBeWriting(): void {
    if (this.state === "writing") return;
    throw new StorageError("MISUSE", `the snapshot is ${this.state}`, { file: this.file.path });
  }

  private addToBlocks(chunk: Uint8Array): void {
    for (let at = 0; at < chunk.length;) {
      const room = snapshotBlockBytes - (this.stateBytes % snapshotBlockBytes);
      const end = Math.min(at + room, chunk.length);
      this.crc = crc32c(chunk, at, end, this.crc);
      this.stateBytes += end - at;
      if (end - at === room) {
        this.crcs.push(this.crc);
        this.crc = this.seed;
      }
      at = end;
    }
  }

  private async append(bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length;) {
      const end = Math.min(at + this.gathers - this.buffered, bytes.length);
      this.buffer.set(bytes.subarray(at, end), this.buffered);
      this.buffered += end - at;
      at = end;
      if (this.buffered === this.gathers) await this.flush();
    }
  }

  private async flush(): Promise<void> {
    const startedAt = this.options.now();
    await this.file.write(this.buffer.subarray(0, this.buffered), this.written);
    this.written += this.buffered;
    this.buffered = 0;
    this.adapt(this.options.now() - startedAt);
    if (this.written - this.synced < this.options.snapshotSyncBytes) return;
    await dataSync(this.file);
    this.synced = this.written;
  }

  /**
   * Each write costs a turn of the event loop. In a loop that is busy, small ones would make the
   * snapshot take so long that more log than it replaces gathers meanwhile, in memory too.
   */
  private adapt(writeMs: number): void {
    const { snapshotBufferBytes, snapshotBufferBytesMax, snapshotWriteMsMax } = this.options;
    const next = writeMs > snapshotWriteMsMax ? this.gathers * 2 : this.gathers / 2;
    const least = Math.max(snapshotBufferBytes, snapshotHeaderBytes);
    this.gathers = Math.max(least, Math.min(snapshotBufferBytesMax, Math.floor(next)));
    if (this.gathers > this.buffer.length) this.buffer = new Uint8Array(this.gathers);
  }
}
