/** A file system over another one, of which one call fails, or writes less than it was given. */
import { systemError } from "../../../../raft/persister/storageError.js";
import type { StorageFile, StorageFs } from "../../../../raft/persister/storageFs.js";
import { writeFully, writeFullySync } from "../../../../raft/persister/writeFully.js";

export type Fault =
  | {
      readonly kind: "error";
      readonly errno: string;
      /** "after": it was carried out, and fails all the same. "midway": half of a write was. */
      readonly when: "before" | "midway" | "after";
      /** Every later call fails too. */
      readonly lasts: boolean;
    }
  /** A write takes no more than `takes(asked)` of the bytes; that call, or all from it on. */
  | { readonly kind: "short"; readonly takes: (asked: number) => number; readonly lasts: boolean };

/** What came of a call. */
type Outcome<T> = T | Promise<T>;

export class FaultyDisk {
  /** `operation path`, in order. */
  readonly calls: string[] = [];
  /** The fault came about. */
  struck: string | null = null;
  /** Told of each call before it is carried out. */
  onCall: (call: string) => void = () => {};
  /** Told of each sync that failed. */
  onSyncFailed: (path: string) => void = () => {};
  private readonly fault: Fault | null;
  /** Position in `calls` of the one that fails. */
  private readonly at: number;
  private readonly inner: () => StorageFs;

  constructor(inner: () => StorageFs, fault: Fault | null = null, at = -1) {
    this.inner = inner;
    this.fault = fault;
    this.at = at;
  }

  mount(): StorageFs {
    const fs = this.inner();
    return {
      makeDirectory: (path) => this.async("makeDirectory", path, () => fs.makeDirectory(path)),
      lock: (path) => this.async("lock", path, () => fs.lock(path)),
      list: (path) => this.async("list", path, () => fs.list(path)),
      open: (path, how) =>
        this.async(how, path, async () => new FaultyFile(await fs.open(path, how), this)),
      rename: (from, to) => this.async("rename", from, () => fs.rename(from, to)),
      unlink: (path) => this.async("unlink", path, () => fs.unlink(path)),
      syncDirectory: (path) => this.async("sync", path, () => fs.syncDirectory(path)),
      // Its failure is none of the log's: it is not known then how much is free.
      freeBytes: (path) => fs.freeBytes(path),
    };
  }

  sync<T>(operation: string, path: string, carryOut: () => T): T {
    return this.strike(operation, path, carryOut) as T;
  }

  async async<T>(operation: string, path: string, carryOut: () => Promise<T>): Promise<T> {
    return this.strike(operation, path, carryOut);
  }

  /** How many of `asked` bytes a write takes. */
  write<T>(path: string, asked: number, carryOut: (bytes: number) => T): T {
    const fault = this.due("write", path);
    if (fault === null) return carryOut(asked);
    if (fault.kind === "short") return carryOut(Math.min(asked, fault.takes(asked)));
    return this.failing(fault, "write", path, () =>
      carryOut(fault.when === "midway" ? asked >> 1 : asked),
    ) as T;
  }

  private strike<T>(operation: string, path: string, carryOut: () => Outcome<T>): Outcome<T> {
    const fault = this.due(operation, path);
    if (fault === null || fault.kind === "short") return carryOut();
    return this.failing(fault, operation, path, carryOut);
  }

  private failing<T>(
    { errno, when }: Fault & { kind: "error" },
    operation: string,
    path: string,
    carryOut: () => Outcome<T>,
  ): Outcome<T> {
    const error = Object.assign(new Error(errno), { code: errno });
    const failure = systemError(error, operation, path);
    if (when === "before") {
      if (operation === "sync") this.onSyncFailed(path);
      throw failure;
    }
    const result = carryOut();
    if (!(result instanceof Promise)) throw failure;
    return result.then(() => {
      throw failure;
    });
  }

  private due(operation: string, path: string): Fault | null {
    const call = `${operation} ${path}`;
    this.onCall(call);
    const number = this.calls.push(call) - 1;
    const { fault, at } = this;
    if (fault === null || !(fault.lasts ? number >= at : number === at)) return null;
    if (fault.kind === "short" && operation !== "write") return null;
    this.struck ??= call;
    return fault;
  }
}

class FaultyFile implements StorageFile {
  readonly path: string;
  private readonly inner: StorageFile;
  private readonly disk: FaultyDisk;

  constructor(inner: StorageFile, disk: FaultyDisk) {
    this.path = inner.path;
    this.inner = inner;
    this.disk = disk;
  }

  writeSync(bytes: Uint8Array, position: number): void {
    writeFullySync(this.path, bytes.length, position, (done, at) =>
      this.disk.write(this.path, bytes.length - done, (count) => {
        if (count > 0) this.inner.writeSync(bytes.subarray(done, done + count), at);
        return count;
      }),
    );
  }

  write(bytes: Uint8Array, position: number): Promise<void> {
    return writeFully(this.path, bytes.length, position, async (done, at) =>
      this.disk.write(this.path, bytes.length - done, async (count) => {
        if (count > 0) await this.inner.write(bytes.subarray(done, done + count), at);
        return count;
      }),
    );
  }

  read(into: Uint8Array, position: number): Promise<number> {
    return this.disk.async("read", this.path, () => this.inner.read(into, position));
  }

  dataSyncSync(): void {
    this.disk.sync("sync", this.path, () => this.inner.dataSyncSync());
  }

  dataSync(done: (error: Error | null) => void): void {
    this.disk
      .async("sync", this.path, () => {
        return new Promise<void>((resolve, reject) => {
          this.inner.dataSync((error) => (error === null ? resolve() : reject(error)));
        });
      })
      .then(
        () => done(null),
        (error: unknown) => done(error as Error),
      );
  }

  size(): Promise<number> {
    return this.disk.async("size", this.path, () => this.inner.size());
  }

  close(): Promise<void> {
    return this.disk.async("close", this.path, () => this.inner.close());
  }
}
