/**
 * A disk in memory that keeps every operation which changes it, in order, and what was promised
 * when each began. `DiskImage` makes of a beginning of that all that a crash may leave.
 */
import { dirname } from "node:path";
import { StorageError, systemError } from "../../../../raft/persister/storageError.js";
import type { StorageFile, StorageFs } from "../../../../raft/persister/storageFs.js";

export type Files = ReadonlyMap<string, Uint8Array>;

export type DiskOperation =
  | { readonly kind: "create"; readonly path: string; readonly inode: number }
  | { readonly kind: "truncate"; readonly inode: number }
  | {
      readonly kind: "write";
      readonly inode: number;
      readonly position: number;
      readonly bytes: Uint8Array;
    }
  /** Covers what was recorded before `began`: a sync takes time, and others go on meanwhile. */
  | { readonly kind: "sync"; readonly inode: number; readonly began: number }
  | {
      readonly kind: "rename";
      readonly inode: number;
      readonly from: string;
      readonly to: string;
    }
  | { readonly kind: "unlink"; readonly path: string }
  | { readonly kind: "syncDirectory"; readonly began: number };

export interface Recorded<Promise_> {
  readonly operation: DiskOperation;
  /** What had been promised when it was carried out. */
  readonly promised: Promise_;
}

/** What a reader of the live disk sees of a file. */
class LiveFile {
  readonly id: number;
  bytes: Uint8Array<ArrayBuffer>;

  constructor(id: number, bytes: Uint8Array) {
    this.id = id;
    this.bytes = new Uint8Array(bytes);
  }
}

export class RecordingDisk<Promise_> {
  readonly trace: Recorded<Promise_>[] = [];
  private readonly promised: () => Promise_;
  private readonly names = new Map<string, LiveFile>();
  private inodes = 0;
  private locked = false;

  /** @param files What is there, durably, to begin with; their inodes count up from 1. */
  constructor(promised: () => Promise_, files: Files = new Map()) {
    this.promised = promised;
    for (const [path, bytes] of files) this.names.set(path, new LiveFile(++this.inodes, bytes));
  }

  mount(): StorageFs {
    return {
      makeDirectory: async () => {},
      lock: async (directory) => {
        if (this.locked) throw new StorageError("LOCKED", directory);
        this.locked = true;
        return async () => {
          this.locked = false;
        };
      },
      list: async (directory) =>
        [...this.names.keys()]
          .filter((path) => dirname(path) === directory)
          .map((path) => path.slice(directory.length + 1)),
      open: async (path, how) => new RecordedFile(path, this.openFile(path, how), this),
      rename: async (from, to) => {
        const file = this.existing(from);
        this.record({ kind: "rename", inode: file.id, from, to });
        this.names.delete(from);
        this.names.set(to, file);
      },
      unlink: async (path) => {
        this.existing(path);
        this.record({ kind: "unlink", path });
        this.names.delete(path);
      },
      syncDirectory: async () => {
        const began = this.trace.length;
        await new Promise(setImmediate);
        this.record({ kind: "syncDirectory", began });
      },
      freeBytes: async () => Infinity,
    };
  }

  record(operation: DiskOperation): void {
    this.trace.push({ operation, promised: this.promised() });
  }

  private openFile(path: string, how: "read" | "update" | "create"): LiveFile {
    const there = this.names.get(path);
    if (how !== "create") return this.existing(path);
    if (there !== undefined) {
      this.record({ kind: "truncate", inode: there.id });
      there.bytes = new Uint8Array();
      return there;
    }
    const file = new LiveFile(++this.inodes, new Uint8Array());
    this.record({ kind: "create", path, inode: file.id });
    this.names.set(path, file);
    return file;
  }

  private existing(path: string): LiveFile {
    const file = this.names.get(path);
    if (file !== undefined) return file;
    throw systemError(Object.assign(new Error("ENOENT"), { code: "ENOENT" }), "open", path);
  }
}

class RecordedFile<Promise_> implements StorageFile {
  readonly path: string;
  private readonly file: LiveFile;
  private readonly disk: RecordingDisk<Promise_>;

  constructor(path: string, file: LiveFile, disk: RecordingDisk<Promise_>) {
    this.path = path;
    this.file = file;
    this.disk = disk;
  }

  writeSync(bytes: Uint8Array, position: number): void {
    const { file } = this;
    this.disk.record({ kind: "write", inode: file.id, position, bytes: new Uint8Array(bytes) });
    file.bytes = overwrite(file.bytes, bytes, position);
  }

  async write(bytes: Uint8Array, position: number): Promise<void> {
    this.writeSync(bytes, position);
  }

  async read(into: Uint8Array, position: number): Promise<number> {
    const part = this.file.bytes.subarray(position, position + into.length);
    into.set(part);
    return part.length;
  }

  dataSyncSync(): void {
    this.disk.record({ kind: "sync", inode: this.file.id, began: this.disk.trace.length });
  }

  dataSync(done: (error: Error | null) => void): void {
    const began = this.disk.trace.length;
    setImmediate(() => {
      this.disk.record({ kind: "sync", inode: this.file.id, began });
      done(null);
    });
  }

  async size(): Promise<number> {
    return this.file.bytes.length;
  }

  async close(): Promise<void> {}
}

/** A copy of `old` only where it has to grow. */
export function overwrite(
  old: Uint8Array<ArrayBuffer>,
  bytes: Uint8Array,
  position: number,
): Uint8Array<ArrayBuffer> {
  let target = old;
  if (position + bytes.length > old.length) {
    target = new Uint8Array(position + bytes.length);
    target.set(old);
  }
  target.set(bytes, position);
  return target;
}
