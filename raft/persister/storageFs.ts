/**
 * The few operations on files that the persister stands on. Production has `nodeFs`; the
 * simulation puts a disk under it that loses what was not synced, tears writes and fails.
 *
 * Everything here fails with a `StorageError`.
 */
export interface StorageFile {
  readonly path: string;
  /** Writes all of `bytes` at `position`. */
  writeSync(bytes: Uint8Array, position: number): void;
  write(bytes: Uint8Array, position: number): Promise<void>;
  /** Fills `into` from `position`; returns how many bytes there were before the end. */
  read(into: Uint8Array, position: number): Promise<number>;
  /** fdatasync: what was written survives a crash, and so does the size. */
  dataSyncSync(): void;
  /** As above; `done` runs later, never within this call. */
  dataSync(done: (error: Error | null) => void): void;
  size(): Promise<number>;
  close(): Promise<void>;
}

export interface StorageFs {
  /** With its parents, and so that all of them survive a crash; one that exists is left alone. */
  makeDirectory(path: string): Promise<void>;
  /**
   * Keeps every other process out, and every other caller in this one. Resolves to what releases
   * it; the end of the process releases it too.
   * @throws StorageError LOCKED, naming the holder.
   */
  lock(directory: string): Promise<() => Promise<void>>;
  /** Names of the files, in no order. */
  list(directory: string): Promise<string[]>;
  /** "read" and "update" want the file to exist; "create" empties one that does. */
  open(path: string, how: "read" | "update" | "create"): Promise<StorageFile>;
  /** Replaces `to`. Survives a crash once the directory is synced. */
  rename(from: string, to: string): Promise<void>;
  /** Those who have the file open can go on reading it. */
  unlink(path: string): Promise<void>;
  syncDirectory(path: string): Promise<void>;
  /** Bytes that may still be written on the file system of `path`; Infinity: not known. */
  freeBytes(path: string): Promise<number>;
}

/** The asynchronous sync as a promise. */
export function dataSync(file: StorageFile): Promise<void> {
  return new Promise((resolve, reject) => {
    file.dataSync((error) => (error === null ? resolve() : reject(error)));
  });
}

/** The whole of a file, in memory of its own. */
export async function readWhole(file: StorageFile): Promise<Uint8Array> {
  const bytes = new Uint8Array(await file.size());
  const length = await file.read(bytes, 0);
  return bytes.subarray(0, length);
}
