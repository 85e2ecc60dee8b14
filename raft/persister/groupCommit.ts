/**
 * Writes and syncs one batch after the other. While one is on its way the next gathers, so the
 * number of syncs follows the disk and not the number of callers.
 *
 *     add -> request -> (end of turn) -> write -> sync -> callbacks -> next
 */
import type { Batch } from "./batch.js";
import type { FailureLatch } from "./failureLatch.js";
import type { LogEncoder } from "./logEncoder.js";
import type { SegmentFiles } from "./segmentFiles.js";
import { StorageError } from "./storageError.js";
import { dataSync, type StorageFile } from "./storageFs.js";
import type { SyncPolicy } from "./syncPolicy.js";

export interface GroupCommitEnvironment {
  /** Calls `task` once, later in this turn of the event loop or in the next. */
  readonly schedule: (task: () => void) => void;
  /** Milliseconds of a clock that never goes back. */
  readonly now: () => number;
  /** Bytes of a batch above which it is not written while the event loop waits. */
  readonly writeInlineBytesMax: number;
  /** Least time between two notes of how far a segment is synced. */
  readonly syncMarkMs: number;
  /** Whether much else is being written, behind which a sync may have to wait for long. */
  readonly diskIsBusy: () => boolean;
}

/** Weight of the newest batch in the average. */
const NEWEST = 1 / 8;

export class GroupCommit {
  /** The segment in which everything written last is durable, its start included. */
  durableSequence = 0;
  /** Syncs since the start. */
  syncs = 0;
  /** Bytes of a batch, averaged. */
  batchBytes = 0;

  private readonly encoder: LogEncoder;
  private readonly files: SegmentFiles;
  private readonly policy: SyncPolicy;
  private readonly latch: FailureLatch;
  private readonly environment: GroupCommitEnvironment;
  private markedAt: number;
  private running = false;
  private scheduled = false;
  /** Of the steps in making files, those that a batch has waited for. */
  private stepsAwaited = 0;
  /** `files.steps` when the batch in hand began to wait for a file; -1: none does. */
  private awaitsSince = -1;

  constructor(
    encoder: LogEncoder,
    files: SegmentFiles,
    policy: SyncPolicy,
    latch: FailureLatch,
    environment: GroupCommitEnvironment,
  ) {
    this.encoder = encoder;
    this.files = files;
    this.policy = policy;
    this.latch = latch;
    this.environment = environment;
    this.markedAt = environment.now();
  }

  /**
   * Grows with what the disk does for the log. Where a file is made beforehand that tells nothing of
   * a sync that hangs meanwhile; where a batch waits for the file it does.
   */
  get diskSteps(): number {
    const now = this.awaitsSince < 0 ? 0 : this.files.steps - this.awaitsSince;
    return this.syncs + this.stepsAwaited + now;
  }

  /** Something was added to the encoder: it is written at the end of the turn. */
  request(): void {
    if (this.scheduled || this.running) return;
    this.scheduled = true;
    this.environment.schedule(this.turnEnds);
  }

  private readonly turnEnds = (): void => {
    this.scheduled = false;
    this.next();
  };

  private next(): void {
    if (this.running || this.latch.failed) return;
    const batch = this.encoder.take();
    if (batch === null) return;
    this.running = true;
    const file = this.fileFor(batch);
    if (file === null) {
      this.whenPrepared(batch).catch((error: unknown) => this.fail(error, batch));
    } else {
      this.write(batch, file);
    }
  }

  /** Null while a file that the batch needs is still being made. */
  private fileFor(batch: Batch): StorageFile | null {
    const { sequence } = batch.segment;
    // A seal says that the next segment exists: it must not become durable before that does.
    if (batch.seals && this.files.ready(sequence + 1) === null) return null;
    return this.files.ready(sequence);
  }

  private async whenPrepared(batch: Batch): Promise<void> {
    const { sequence } = batch.segment;
    this.awaitsSince = this.files.steps;
    await this.files.prepare(batch.seals ? sequence + 1 : sequence);
    this.stepsAwaited += this.files.steps - this.awaitsSince;
    this.awaitsSince = -1;
    const file = this.files.ready(sequence);
    if (file === null) throw new StorageError("MISUSE", `segment ${sequence} was closed too early`);
    this.write(batch, file);
  }

  private write(batch: Batch, file: StorageFile): void {
    const startedAt = this.environment.now();
    const bytes = batch.bytes();
    this.batchBytes += (bytes.length - this.batchBytes) * NEWEST;
    if (bytes.length === 0) {
      this.finish(batch);
      if (this.encoder.hasPending) this.request();
    } else if (this.policy.waits(batch.entryCount, bytes.length, this.environment.diskIsBusy())) {
      this.writeWaiting(batch, file, bytes, startedAt);
    } else {
      void this.writeBeside(batch, file, bytes, startedAt);
    }
  }

  private writeWaiting(
    batch: Batch,
    file: StorageFile,
    bytes: Uint8Array,
    startedAt: number,
  ): void {
    try {
      file.writeSync(bytes, batch.start);
      file.dataSyncSync();
    } catch (error) {
      this.fail(error, batch);
      return;
    }
    this.synced(batch, startedAt);
    // At the end of a turn, so that what the callbacks set off shares the next sync.
    if (this.encoder.hasPending) this.request();
  }

  private async writeBeside(
    batch: Batch,
    file: StorageFile,
    bytes: Uint8Array,
    startedAt: number,
  ): Promise<void> {
    try {
      // Into the page cache: a copy, which costs less than the way through the thread pool.
      if (bytes.length <= this.environment.writeInlineBytesMax) file.writeSync(bytes, batch.start);
      else await file.write(bytes, batch.start);
      await dataSync(file);
    } catch (error) {
      this.fail(error, batch);
      return;
    }
    this.synced(batch, startedAt);
    // What gathered meanwhile has waited long enough.
    this.next();
  }

  private synced(batch: Batch, startedAt: number): void {
    const now = this.environment.now();
    this.policy.observe(batch.entryCount, now - startedAt);
    this.durableSequence = batch.segment.sequence;
    this.syncs++;
    if (now - this.markedAt >= this.environment.syncMarkMs && !this.mark(batch, now)) return;
    if (batch.seals) {
      const { sequence } = batch.segment;
      this.files.finish(sequence).catch((error: unknown) => this.fail(error, batch));
    }
    this.finish(batch);
  }

  private mark(batch: Batch, now: number): boolean {
    this.markedAt = now;
    // Something else may have failed while the sync ran: then nothing more is written.
    if (this.latch.failed) return true;
    try {
      this.files.mark(batch.segment.sequence, batch.end);
      return true;
    } catch (error) {
      this.fail(error, batch);
      return false;
    }
  }

  private finish(batch: Batch): void {
    this.running = false;
    const { callbacks } = batch;
    batch.release();
    try {
      for (const callback of callbacks) {
        // Nothing is acknowledged after a failure, and one may have come meanwhile.
        if (this.latch.failed) return;
        callback();
      }
    } catch (cause) {
      this.fail(new StorageError("MISUSE", "a callback of save threw", { cause }), batch);
    }
  }

  private fail(error: unknown, batch: Batch): void {
    this.latch.fail(error, this.files.path(batch.segment.sequence));
  }
}
