import { nodeFs } from "../../raft/persister/nodeFs.js";
import { StorageError } from "../../raft/persister/storageError.js";
import type { StorageFile, StorageFs } from "../../raft/persister/storageFs.js";
import type { WalPersisterOptions } from "../../raft/persister/walPersister.js";

/** A real disk that stands still, fails, or has as little room as a test says. */
export class TestDisk {
  freeBytes = Infinity;
  failing = false;
  private held: (() => void)[] | null = null;
  private lookAtSpace: () => void = () => {};

  get options(): Partial<WalPersisterOptions> {
    const fs: StorageFs = {
      ...nodeFs,
      open: async (path, how) => this.watched(await nodeFs.open(path, how)),
      freeBytes: async () => this.freeBytes,
    };
    // Beside the loop: a disk that stands still can't be waited for without standing still too.
    const syncPolicy = { waits: () => false, observe: () => {} };
    const every = (_ms: number, task: () => void): (() => void) => {
      this.lookAtSpace = task;
      return () => {};
    };
    return { fs, syncPolicy, every };
  }

  /** No sync comes back until `goOn`. */
  standStill(): void {
    this.held ??= [];
  }

  get isStandingStill(): boolean {
    return this.held !== null && this.held.length > 0;
  }

  goOn(): void {
    const held = this.held ?? [];
    this.held = null;
    for (const sync of held) sync();
  }

  has(freeBytes: number): void {
    this.freeBytes = freeBytes;
    this.lookAtSpace();
  }

  private watched(file: StorageFile): StorageFile {
    return {
      path: file.path,
      writeSync: (bytes, position) => file.writeSync(bytes, position),
      write: (bytes, position) => file.write(bytes, position),
      read: (into, position) => file.read(into, position),
      dataSyncSync: () => file.dataSyncSync(),
      dataSync: (done) => this.sync(file, done),
      size: () => file.size(),
      close: () => file.close(),
    };
  }

  private sync(file: StorageFile, done: (error: Error | null) => void): void {
    const error = new StorageError("IO", "fdatasync: EIO", { file: file.path });
    if (this.failing) setImmediate(done, error);
    else if (this.held === null) file.dataSync(done);
    else this.held.push(() => file.dataSync(done));
  }
}
