/**
 * The snapshots of a data directory: at most one that counts, and what is being written.
 *
 *     x.local.tmp -> synced -> renamed -> directory synced -> read back -> the older one removed
 */
import { join } from "node:path";
import type { SnapshotMeta } from "../core/types.js";
import type { FailureLatch } from "./failureLatch.js";
import type { SnapshotReader, SnapshotWriter } from "./persister.js";
import { temporarySuffix } from "./segmentFiles.js";
import { snapshotName, snapshotOfName } from "./snapshotFormat.js";
import { FileSnapshotReader } from "./snapshotReader.js";
import { FileSnapshotWriter, type SnapshotWriterOptions } from "./snapshotWriter.js";
import { StorageError } from "./storageError.js";
import type { StorageFs } from "./storageFs.js";

export type SnapshotKind = "local" | "received";

export class SnapshotStore {
  /** The newest that is durable and was read back. */
  newest: SnapshotMeta | null = null;

  private readonly fs: StorageFs;
  private readonly directory: string;
  private readonly storageId: Uint8Array;
  private readonly latch: FailureLatch;
  private readonly options: SnapshotWriterOptions;
  private readonly writers = new Map<SnapshotKind, FileSnapshotWriter | null>();
  /** Commits, one after the other. */
  private committing: Promise<void> = Promise.resolve();

  constructor(
    fs: StorageFs,
    directory: string,
    storageId: Uint8Array,
    latch: FailureLatch,
    options: SnapshotWriterOptions,
  ) {
    this.fs = fs;
    this.directory = directory;
    this.storageId = storageId;
    this.latch = latch;
    this.options = options;
  }

  /** A snapshot is being written, received or read back. */
  get isWriting(): boolean {
    return this.writers.size > 0;
  }

  path(meta: SnapshotMeta): string {
    return join(this.directory, snapshotName(meta));
  }

  /** Reads all of a snapshot. @throws StorageError naming what is not as it should be. */
  async verify(meta: SnapshotMeta): Promise<void> {
    const reader = await this.openFile(meta);
    try {
      await reader.verify();
    } finally {
      await reader.close();
    }
  }

  async create(meta: SnapshotMeta, kind: SnapshotKind): Promise<SnapshotWriter> {
    this.latch.check();
    if (this.writers.has(kind)) {
      throw new StorageError("MISUSE", `a ${kind} snapshot is being written already`);
    }
    if (!Number.isSafeInteger(meta.index) || meta.index < 1 || !Number.isSafeInteger(meta.term)) {
      throw new StorageError("MISUSE", `snapshot at index ${meta.index} of term ${meta.term}`);
    }
    this.writers.set(kind, null);
    const path = `${this.path(meta)}.${kind}${temporarySuffix}`;
    return this.latch.guard(path, async () => {
      const file = await this.fs.open(path, "create");
      const outcome = {
        commit: () => this.commit(meta, kind, path),
        abort: () => this.abort(kind, path, writer),
      };
      const { storageId, latch, options } = this;
      const writer = new FileSnapshotWriter(file, meta, storageId, latch, outcome, options);
      this.writers.set(kind, writer);
      return writer;
    });
  }

  async openNewest(): Promise<SnapshotReader | null> {
    for (;;) {
      this.latch.check();
      const meta = this.newest;
      if (meta === null) return null;
      try {
        return await this.openFile(meta);
      } catch (error) {
        // A newer one took its place between the two lines; only then is trying again any good.
        if (this.newest === meta) throw error;
      }
    }
  }

  /** Drops what is being written. */
  async close(): Promise<void> {
    for (const writer of this.writers.values()) await writer?.abort();
    await this.committing;
  }

  private openFile(meta: SnapshotMeta): Promise<FileSnapshotReader> {
    return FileSnapshotReader.open(this.fs, this.path(meta), meta, this.storageId);
  }

  private async commit(meta: SnapshotMeta, kind: SnapshotKind, path: string): Promise<void> {
    const done = this.committing.then(() => this.makeNewest(meta, path));
    this.committing = done.catch(() => {});
    await done;
    this.writers.delete(kind);
  }

  private async makeNewest(meta: SnapshotMeta, path: string): Promise<void> {
    // A snapshot never moves a node backwards: one that came too late covers nothing new.
    if (this.newest !== null && this.newest.index >= meta.index) {
      await this.fs.unlink(path);
      return;
    }
    await this.fs.rename(path, this.path(meta));
    await this.fs.syncDirectory(this.directory);
    await this.verify(meta);
    this.newest = meta;
    await this.removeOlder(meta);
  }

  /** Those who read one of them can go on. */
  async removeOlder(than: SnapshotMeta): Promise<void> {
    let removed = false;
    for (const name of await this.fs.list(this.directory)) {
      const meta = snapshotOfName(name);
      if (meta === null || name === snapshotName(than) || meta.index > than.index) continue;
      await this.fs.unlink(join(this.directory, name));
      removed = true;
    }
    if (removed) await this.fs.syncDirectory(this.directory);
  }

  private async abort(kind: SnapshotKind, path: string, writer: FileSnapshotWriter): Promise<void> {
    if (this.writers.get(kind) !== writer) return;
    this.writers.delete(kind);
    try {
      await this.fs.unlink(path);
    } catch {
      // It goes away when the directory is opened the next time; nothing depends on it.
    }
  }
}
