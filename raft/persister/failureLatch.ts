/**
 * The one place where a persister ends. What the disk holds after a failed write or sync is
 * unknown, and the kernel may report it once only: trying again could acknowledge what is lost.
 */
import { StorageError, systemError } from "./storageError.js";

export class FailureLatch {
  onFailure: (error: Error) => void = () => {};
  private failure: StorageError | null = null;
  private readonly listeners = new Set<(error: StorageError) => void>();

  get failed(): boolean {
    return this.failure !== null;
  }

  /** Ends the persister; tells the owner the first time. Returns what it ended with. */
  fail(cause: unknown, file: string): StorageError {
    if (this.failure !== null) return this.failure;
    this.failure = systemError(cause, "storage", file);
    for (const listener of this.listeners) listener(this.failure);
    this.onFailure(this.failure);
    return this.failure;
  }

  /** Tells `listener` of the end, unless the returned function was called before. */
  whenFailed(listener: (error: StorageError) => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  /** Makes every later call fail, without telling the owner: it asked for the end. */
  close(): void {
    this.failure ??= new StorageError("CLOSED", "nothing can be done with it any more");
  }

  /** @throws StorageError what ended the persister. */
  check(): void {
    if (this.failure !== null) throw this.failure;
  }

  /** Runs what writes or syncs; a failure of it is final. */
  async guard<T>(file: string, operation: () => Promise<T>): Promise<T> {
    this.check();
    try {
      return await operation();
    } catch (error) {
      throw this.fail(error, file);
    }
  }
}
