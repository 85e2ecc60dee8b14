/** `StorageFs` on the real file system. */
import * as fs from "node:fs";
import { dirname, resolve } from "node:path";
import { promisify } from "node:util";
import { lockDirectory } from "./dirLock.js";
import { errnoOf, systemError } from "./storageError.js";
import type { StorageFile, StorageFs } from "./storageFs.js";
import { unlinkGently } from "./unlinkGently.js";
import { writeFully, writeFullySync } from "./writeFully.js";

const write = promisify(fs.write);
const read = promisify(fs.read);
const fstat = promisify(fs.fstat);
const close = promisify(fs.close);
const openFd = promisify(fs.open);

const flags = { read: "r", update: "r+", create: "w+" } as const;

/** Runs one operation and translates its failure. */
async function attempt<T>(doing: string, path: string, operation: () => Promise<T>): Promise<T> {
  try {
    return await operation();
  } catch (error) {
    throw systemError(error, doing, path);
  }
}

/** How often this process has which file open, or is about to. */
const openFiles = new Map<string, number>();

function countOpen(path: string, more: 1 | -1): void {
  const count = (openFiles.get(path) ?? 0) + more;
  if (count > 0) openFiles.set(path, count);
  else openFiles.delete(path);
}

class NodeFile implements StorageFile {
  readonly path: string;
  private readonly fd: number;

  constructor(path: string, fd: number) {
    this.path = path;
    this.fd = fd;
  }

  writeSync(bytes: Uint8Array, position: number): void {
    try {
      writeFullySync(this.path, bytes.length, position, (done, at) =>
        fs.writeSync(this.fd, bytes, done, bytes.length - done, at),
      );
    } catch (error) {
      throw systemError(error, "write", this.path);
    }
  }

  write(bytes: Uint8Array, position: number): Promise<void> {
    return attempt("write", this.path, () =>
      writeFully(this.path, bytes.length, position, async (done, at) => {
        const left = bytes.length - done;
        return (await write(this.fd, bytes, done, left, at)).bytesWritten;
      }),
    );
  }

  read(into: Uint8Array, position: number): Promise<number> {
    return attempt("read", this.path, async () => {
      let done = 0;
      while (done < into.length) {
        const left = into.length - done;
        const { bytesRead } = await read(this.fd, into, done, left, position + done);
        if (bytesRead === 0) break;
        done += bytesRead;
      }
      return done;
    });
  }

  dataSyncSync(): void {
    try {
      fs.fdatasyncSync(this.fd);
    } catch (error) {
      throw systemError(error, "sync", this.path);
    }
  }

  dataSync(done: (error: Error | null) => void): void {
    fs.fdatasync(this.fd, (error) => {
      done(error === null ? null : systemError(error, "sync", this.path));
    });
  }

  size(): Promise<number> {
    return attempt("stat", this.path, async () => (await fstat(this.fd)).size);
  }

  close(): Promise<void> {
    countOpen(this.path, -1);
    return attempt("close", this.path, () => close(this.fd));
  }
}

async function openFile(path: string, how: keyof typeof flags): Promise<StorageFile> {
  countOpen(path, 1);
  try {
    return new NodeFile(path, await openFd(path, flags[how], 0o600));
  } catch (error) {
    countOpen(path, -1);
    throw error;
  }
}

/** Whoever reads it, a snapshot that is being sent, goes on with all of it. */
function unlink(path: string): Promise<void> {
  return openFiles.has(path) ? fs.promises.unlink(path) : unlinkGently(path);
}

async function syncDirectory(path: string): Promise<void> {
  const handle = await fs.promises.open(path, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/**
 * Each directory is durable before the next is made in it. So of one that exists only its own name
 * may be lost still, where the process that made it was killed before the sync.
 */
async function makeDirectory(path: string): Promise<void> {
  const parent = dirname(path);
  try {
    await fs.promises.mkdir(path, { mode: 0o700 });
  } catch (error) {
    if (errnoOf(error) === "ENOENT" && parent !== path) {
      await makeDirectory(parent);
      return makeDirectory(path);
    }
    if (errnoOf(error) !== "EEXIST" || !(await fs.promises.stat(path)).isDirectory()) throw error;
    return syncIfOwn(parent);
  }
  await syncDirectory(parent);
}

/** A directory that this user may not read, such as the one of a mount, was made by another. */
async function syncIfOwn(path: string): Promise<void> {
  try {
    await syncDirectory(path);
  } catch (error) {
    if (!["EACCES", "EPERM", "EROFS", "EINVAL"].includes(errnoOf(error))) throw error;
  }
}

async function freeBytes(path: string): Promise<number> {
  const { blocks, bavail, bsize } = await fs.promises.statfs(path);
  // Some file systems have no size of their own, and say 0 to everything.
  return blocks === 0 ? Infinity : bavail * bsize;
}

export const nodeFs: StorageFs = {
  makeDirectory: (path) => attempt("mkdir", path, () => makeDirectory(resolve(path))),
  lock: (directory) => attempt("lock", directory, () => lockDirectory(directory)),
  list: (directory) => attempt("list", directory, () => fs.promises.readdir(directory)),
  open: (path, how) => attempt("open", path, () => openFile(path, how)),
  rename: (from, to) => attempt("rename", from, () => fs.promises.rename(from, to)),
  unlink: (path) => attempt("unlink", path, () => unlink(path)),
  syncDirectory: (path) => attempt("sync", path, () => syncDirectory(path)),
  freeBytes: (path) => attempt("statfs", path, () => freeBytes(path)),
};
