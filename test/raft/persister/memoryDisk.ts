/**
 * A disk in memory that behaves as badly as a real one may: at a crash it keeps any part of what
 * was not synced, sector by sector, and any beginning of what was not synced in the directory.
 * And it fails on demand; what a failed sync was to write stays readable, and no later sync writes it.
 */
import { dirname } from "node:path";
import { StorageError, systemError } from "../../../raft/persister/storageError.js";
import type { StorageFile, StorageFs } from "../../../raft/persister/storageFs.js";

const sectorBytes = 512;

class Inode {
  /** What a reader sees. */
  bytes: Uint8Array<ArrayBuffer> = new Uint8Array();
  /** What a crash leaves at least. */
  durable: Uint8Array<ArrayBuffer> = new Uint8Array();
  unsynced: { readonly position: number; readonly bytes: Uint8Array }[] = [];

  write(bytes: Uint8Array, position: number): void {
    this.bytes = overwrite(this.bytes, bytes, position);
    this.unsynced.push({ position, bytes: new Uint8Array(bytes) });
  }

  sync(writes: number): void {
    for (const { position, bytes } of this.unsynced.splice(0, writes)) {
      this.durable = overwrite(this.durable, bytes, position);
    }
  }

  /** The kernel takes the pages for clean after a failed sync; few of them may be on the disk. */
  syncFailed(keeps: () => boolean): void {
    this.writeSome(keeps);
  }

  crash(keeps: () => boolean): void {
    this.writeSome(keeps);
    this.bytes = this.durable.slice();
  }

  copy(): Inode {
    const copy = new Inode();
    copy.bytes = this.bytes.slice();
    copy.durable = this.durable.slice();
    copy.unsynced = [...this.unsynced];
    return copy;
  }

  /** Of what is unsynced, and ends being it, the sectors that `keeps` decides for become durable. */
  private writeSome(keeps: () => boolean): void {
    for (const { position, bytes } of this.unsynced) {
      for (let at = 0; at < bytes.length;) {
        const end = Math.min(at + sectorBytes - ((position + at) % sectorBytes), bytes.length);
        if (keeps()) this.durable = overwrite(this.durable, bytes.subarray(at, end), position + at);
        at = end;
      }
    }
    this.unsynced = [];
  }
}

function overwrite(
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

type NameChange = { readonly path: string; readonly inode: Inode | null };

export type Operation =
  "write" | "sync" | "read" | "open" | "rename" | "unlink" | "syncDirectory" | "freeBytes";
/** Returns the errno with which the operation fails, or null. */
export type Fault = (operation: Operation, path: string) => string | null;

export class MemoryDisk {
  fault: Fault = () => null;
  /** `operation path`, in order. */
  readonly calls: string[] = [];
  /** Runs what an asynchronous sync does at its end; a test may hold it back. */
  defer: (task: () => void, path: string) => void = (task) => setImmediate(task);

  /** What is left, as the file system tells it; writes don't count. */
  freeBytes: () => number = () => Infinity;

  private names = new Map<string, Inode>();
  private durableNames = new Map<string, Inode>();
  private nameChanges: NameChange[] = [];
  private readonly locked = new Set<string>();
  private boots = 0;

  /** The file system of a process; it dies with the next crash. */
  mount(): StorageFs {
    const boot = this.boots;
    const alive = (operation: Operation, path: string): void => {
      if (boot !== this.boots) throw systemError(errno("EIO"), "a dead process'", path);
      this.calls.push(`${operation} ${path}`);
      const code = this.fault(operation, path);
      if (code === null) return;
      if (operation === "sync") this.syncFailed(path);
      throw systemError(errno(code), operation, path);
    };
    return {
      makeDirectory: async () => {},
      lock: async (directory) => {
        if (boot !== this.boots) throw systemError(errno("EIO"), "a dead process'", directory);
        if (this.locked.has(directory)) throw new StorageError("LOCKED", directory);
        this.locked.add(directory);
        return async () => {
          if (boot === this.boots) this.locked.delete(directory);
        };
      },
      list: async (directory) =>
        [...this.names.keys()]
          .filter((path) => dirname(path) === directory)
          .map((path) => path.slice(directory.length + 1)),
      open: async (path, how) => {
        alive("open", path);
        return new MemoryFile(path, this.inode(path, how), alive, (task) => this.defer(task, path));
      },
      rename: async (from, to) => {
        alive("rename", from);
        this.change(to, this.existing(from));
        this.change(from, null);
      },
      unlink: async (path) => {
        alive("unlink", path);
        this.existing(path);
        this.change(path, null);
      },
      syncDirectory: async (path) => {
        alive("syncDirectory", path);
        this.syncNames(this.nameChanges.length);
      },
      freeBytes: async (path) => {
        alive("freeBytes", path);
        return this.freeBytes();
      },
    };
  }

  /** Power off. `keeps` decides about each sector and each change of a name. */
  crash(keeps: () => boolean): void {
    this.boots++;
    this.locked.clear();
    let kept = 0;
    while (kept < this.nameChanges.length && keeps()) kept++;
    this.syncNames(kept);
    this.nameChanges = [];
    this.names = new Map(this.durableNames);
    for (const inode of new Set(this.names.values())) inode.crash(keeps);
  }

  /** The process is gone. The page cache survives it: all can be read, and is no more synced. */
  kill(): void {
    this.boots++;
    this.locked.clear();
  }

  /** See `Inode.syncFailed`; for a file system above this one that failed the sync. */
  syncFailed(path: string, keeps: () => boolean = () => false): void {
    this.names.get(path)?.syncFailed(keeps);
  }

  /** Another disk in the same state; nobody has mounted it. */
  copy(): MemoryDisk {
    const copies = new Map<Inode, Inode>();
    const copyOf = (inode: Inode): Inode => {
      const copy = copies.get(inode) ?? inode.copy();
      copies.set(inode, copy);
      return copy;
    };
    const disk = new MemoryDisk();
    for (const [path, inode] of this.names) disk.names.set(path, copyOf(inode));
    for (const [path, inode] of this.durableNames) disk.durableNames.set(path, copyOf(inode));
    disk.nameChanges = this.nameChanges.map(({ path, inode }) => ({
      path,
      inode: inode === null ? null : copyOf(inode),
    }));
    return disk;
  }

  /** A new disk in place of the old one, whose process is dead. */
  wipe(): void {
    this.crash(() => false);
    this.names.clear();
    this.durableNames.clear();
  }

  paths(): string[] {
    return [...this.names.keys()].sort((a, b) => (a < b ? -1 : 1));
  }

  /** A copy of what a file holds. */
  contents(path: string): Uint8Array {
    return this.existing(path).bytes.slice();
  }

  /** Puts other bytes in a file, durably; makes it when it is not there. */
  replace(path: string, bytes: Uint8Array): void {
    const inode = this.names.get(path) ?? new Inode();
    inode.bytes = new Uint8Array(bytes);
    inode.durable = new Uint8Array(bytes);
    inode.unsynced = [];
    this.names.set(path, inode);
    this.durableNames.set(path, inode);
  }

  remove(path: string): void {
    this.names.delete(path);
    this.durableNames.delete(path);
  }

  private inode(path: string, how: "read" | "update" | "create"): Inode {
    if (how !== "create") return this.existing(path);
    const inode = new Inode();
    this.change(path, inode);
    return inode;
  }

  private existing(path: string): Inode {
    const inode = this.names.get(path);
    if (inode === undefined) throw systemError(errno("ENOENT"), "open", path);
    return inode;
  }

  private change(path: string, inode: Inode | null): void {
    apply(this.names, { path, inode });
    this.nameChanges.push({ path, inode });
  }

  private syncNames(count: number): void {
    for (const change of this.nameChanges.splice(0, count)) apply(this.durableNames, change);
  }
}

class MemoryFile implements StorageFile {
  readonly path: string;
  private readonly inode: Inode;
  private readonly alive: (operation: Operation, path: string) => void;
  private readonly defer: (task: () => void) => void;

  constructor(
    path: string,
    inode: Inode,
    alive: (operation: Operation, path: string) => void,
    defer: (task: () => void) => void,
  ) {
    this.path = path;
    this.inode = inode;
    this.alive = alive;
    this.defer = defer;
  }

  writeSync(bytes: Uint8Array, position: number): void {
    this.alive("write", this.path);
    this.inode.write(bytes, position);
  }

  async write(bytes: Uint8Array, position: number): Promise<void> {
    this.writeSync(bytes, position);
  }

  async read(into: Uint8Array, position: number): Promise<number> {
    this.alive("read", this.path);
    const part = this.inode.bytes.subarray(position, position + into.length);
    into.set(part);
    return part.length;
  }

  dataSyncSync(): void {
    this.alive("sync", this.path);
    this.inode.sync(this.inode.unsynced.length);
  }

  dataSync(done: (error: Error | null) => void): void {
    // What is written while the sync is on its way is not part of it.
    const writes = this.inode.unsynced.length;
    this.defer(() => {
      try {
        this.alive("sync", this.path);
        this.inode.sync(writes);
      } catch (error) {
        done(systemError(error, "sync", this.path));
        return;
      }
      done(null);
    });
  }

  async size(): Promise<number> {
    return this.inode.bytes.length;
  }

  async close(): Promise<void> {}
}

function apply(names: Map<string, Inode>, { path, inode }: NameChange): void {
  if (inode === null) names.delete(path);
  else names.set(path, inode);
}

function errno(code: string): Error {
  return Object.assign(new Error(code), { code });
}
