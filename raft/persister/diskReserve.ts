/**
 * Tells when the disk is about to be full, while there is still room for what must be written.
 *
 *              free < reserve
 *     roomy ------------------> low
 *       ^                        |
 *       +------------------------+
 *         free >= reserve + reserve / 4
 */
import { errnoOf } from "./storageError.js";
import type { StorageFs } from "./storageFs.js";

/** What is known of the space on a data directory's disk. */
export interface DiskSpace {
  readonly directory: string;
  /** Bytes that were free when it was last looked at. */
  readonly freeBytes: number;
  readonly reserveBytes: number;
  /** Free bytes at which a low disk counts as roomy again. */
  readonly resumeBytes: number;
  readonly isLow: boolean;
}

/** Of the reserve, for what else a snapshot holds, and for the log that grows meanwhile. */
const snapshotShare = 1 / 2;

/** Whether a snapshot of `bytes` can be written without filling the disk. */
export function snapshotFits(bytes: number, { freeBytes, reserveBytes }: DiskSpace): boolean {
  return freeBytes >= bytes + reserveBytes * snapshotShare;
}

/** So much more than the reserve must be free again, or a disk at its edge would flap. */
const resumeShare = 1 / 4;

export interface DiskReserveEnvironment {
  readonly fs: StorageFs;
  readonly diskReserveBytes: number;
  /** Least often that it is looked at. */
  readonly spaceCheckMs: number;
  /** Calls `task` every `ms` until the returned function is called. */
  readonly every: (ms: number, task: () => void) => () => void;
  readonly log: (message: string, fields: Readonly<Record<string, unknown>>) => void;
}

export class DiskReserve {
  /** Called when `isLow` changes. */
  onChange: (space: DiskSpace) => void = () => {};
  private readonly environment: DiskReserveEnvironment;
  private known: DiskSpace;
  private checking: Promise<void> | null = null;
  private stop: () => void = () => {};
  private stopped = false;
  private complained = false;

  /** @param directory is there, and so its file system can be asked. */
  constructor(directory: string, environment: DiskReserveEnvironment) {
    this.environment = environment;
    const reserveBytes = environment.diskReserveBytes;
    this.known = {
      directory,
      freeBytes: Infinity,
      reserveBytes,
      resumeBytes: reserveBytes * (1 + resumeShare),
      isLow: false,
    };
  }

  get space(): DiskSpace {
    return this.known;
  }

  /** Looks for the first time, and from then on. */
  async start(): Promise<void> {
    const { diskReserveBytes, spaceCheckMs, every } = this.environment;
    if (diskReserveBytes === 0) return;
    await this.check();
    if (!this.stopped) this.stop = every(spaceCheckMs, () => void this.check());
  }

  /** Looks now, unless it is being looked. Never rejects. */
  check(): Promise<void> {
    if (this.environment.diskReserveBytes === 0 || this.stopped) return Promise.resolve();
    this.checking ??= this.look().finally(() => {
      this.checking = null;
    });
    return this.checking;
  }

  close(): void {
    this.stopped = true;
    this.stop();
  }

  private async look(): Promise<void> {
    const { fs, log } = this.environment;
    const { directory } = this.known;
    try {
      this.learn(await fs.freeBytes(directory));
      this.complained = false;
    } catch (error) {
      // A file system that does not tell is not therefore full: its writes will tell.
      if (!this.complained) log("can't tell how much is free", { directory, why: errnoOf(error) });
      this.complained = true;
    }
  }

  private learn(freeBytes: number): void {
    if (this.stopped) return;
    const { isLow: wasLow, reserveBytes, resumeBytes } = this.known;
    const isLow = freeBytes < (wasLow ? resumeBytes : reserveBytes);
    this.known = { ...this.known, freeBytes, isLow };
    if (isLow !== wasLow) this.onChange(this.known);
  }
}
