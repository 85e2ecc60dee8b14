/** The write-ahead log as one thing: encoder, group commit and files. */
import type { HardState, SnapshotMeta } from "../core/types.js";
import { EntrySizes } from "./entrySizes.js";
import type { FailureLatch } from "./failureLatch.js";
import { GroupCommit, type GroupCommitEnvironment } from "./groupCommit.js";
import { LogEncoder, type LogPosition } from "./logEncoder.js";
import type { SaveBatch } from "./persister.js";
import { entriesHeaderBytes, entryHeaderBytes } from "./record.js";
import { segmentHeaderBytes } from "./segment.js";
import type { SegmentFiles } from "./segmentFiles.js";
import { StorageError } from "./storageError.js";
import type { SyncPolicy } from "./syncPolicy.js";

export interface WalOptions extends GroupCommitEnvironment {
  readonly segmentBytes: number;
  /** Bytes of the newest segment at which the next one is made. */
  readonly prepareFromBytes: number;
  readonly recordBytesMax: number;
  readonly batchBytesMax: number;
  readonly bufferBytesKept: number;
  readonly filledBatchBytesMax: number;
  /** Whether the disk has room for what is written to a file that does not hold its place yet. */
  readonly diskIsRoomy: () => boolean;
}

export class Wal {
  readonly sizes = new EntrySizes();

  private readonly options: WalOptions;
  private readonly files: SegmentFiles;
  private readonly latch: FailureLatch;
  private readonly encoder: LogEncoder;
  private readonly commit: GroupCommit;
  private readonly commandBytesMax: number;
  /** The newest segment that something was encoded into, and that which was made beforehand. */
  private newestSequence: number;
  private preparedSequence: number;

  constructor(
    storageId: Uint8Array,
    position: LogPosition,
    files: SegmentFiles,
    policy: SyncPolicy,
    latch: FailureLatch,
    options: WalOptions,
  ) {
    this.options = options;
    this.files = files;
    this.latch = latch;
    this.encoder = new LogEncoder(storageId, position, options);
    this.commit = new GroupCommit(this.encoder, files, policy, latch, options);
    this.commandBytesMax = options.recordBytesMax - entriesHeaderBytes - entryHeaderBytes;
    this.newestSequence = position.sequence;
    this.preparedSequence = position.sequence;
    const hasStart = position.offset > segmentHeaderBytes;
    this.commit.durableSequence = hasStart ? position.sequence : position.sequence - 1;
  }

  get diskSteps(): number {
    return this.commit.diskSteps;
  }

  get syncs(): number {
    return this.commit.syncs;
  }

  /** @throws StorageError MISUSE for entries that leave a gap or are too large. */
  save(batch: SaveBatch, onDurable: () => void): void {
    this.check(batch);
    if (batch.hardState !== null) this.encoder.addHardState(batch.hardState);
    for (const entry of batch.entries) {
      const bytes = this.encoder.addEntry(entry);
      if (this.encoder.sequence !== this.newestSequence) this.beginSegments();
      this.files.note(entry.index);
      this.sizes.append(entry.index, bytes);
    }
    this.encoder.addCallback(onDurable);
    this.wake();
  }

  /** The log is empty and goes on after `base`. Resolves when that is durable. */
  reset(base: SnapshotMeta): Promise<void> {
    this.encoder.addReset(base);
    this.sizes.clear();
    const { sequence } = this.encoder;
    return this.flush().then(() => this.deleteThrough(Infinity, sequence));
  }

  /** Deletes the segments that only hold entries up to `throughIndex`. */
  compactThrough(throughIndex: number): Promise<void> {
    this.sizes.compactThrough(throughIndex);
    return this.deleteThrough(throughIndex, this.commit.durableSequence);
  }

  /** When everything that was added so far is durable; rejects when that can't be any more. */
  flush(): Promise<void> {
    return new Promise((resolve, reject) => {
      const forget = this.latch.whenFailed(reject);
      this.encoder.addCallback(() => {
        forget();
        resolve();
      });
      this.wake();
    });
  }

  /** Waits for what was saved, and marks that all of it was synced. */
  async close(): Promise<void> {
    await this.flush();
    this.encoder.addClose();
    await this.flush();
    const { sequence, end } = this.encoder;
    await this.latch.guard(this.files.path(sequence), () => this.files.markDurably(sequence, end));
  }

  private deleteThrough(throughIndex: number, sequence: number): Promise<void> {
    return this.latch.guard(this.files.path(sequence), () =>
      this.files.deleteThrough(throughIndex, sequence),
    );
  }

  /** Something was added: has it written, and keeps the files ahead of it. */
  private wake(): void {
    this.beginSegments();
    const { sequence, end } = this.encoder;
    if (end > this.options.prepareFromBytes) this.prepare(sequence + 1);
    this.commit.request();
  }

  /** For each segment that the encoder began. */
  private beginSegments(): void {
    while (this.newestSequence < this.encoder.sequence) {
      this.newestSequence++;
      this.files.add(this.newestSequence);
      this.prepare(this.newestSequence);
    }
  }

  private prepare(sequence: number): void {
    if (sequence <= this.preparedSequence) return;
    this.preparedSequence = sequence;
    const { filledBatchBytesMax, diskIsRoomy } = this.options;
    const sparse = this.commit.batchBytes > filledBatchBytesMax && diskIsRoomy();
    this.files.prepare(sequence, sparse).catch((error: unknown) => {
      this.latch.fail(error, this.files.path(sequence));
    });
  }

  private check({ hardState, entries }: SaveBatch): void {
    if (hardState !== null) checkHardState(hardState);
    let expected = entries[0]?.index ?? 1;
    if (expected < 1 || expected > this.encoder.last.index + 1) {
      throw misuse(`entry ${expected} does not follow entry ${this.encoder.last.index}`);
    }
    for (const { index, term, command } of entries) {
      if (index !== expected++) throw misuse(`entry ${index} stands where ${expected - 1} should`);
      if (!isCount(index) || !isCount(term)) throw misuse(`entry ${index} of term ${term}`);
      if (command.length > this.commandBytesMax) {
        throw misuse(`entry ${index} has ${command.length} bytes, over ${this.commandBytesMax}`);
      }
    }
  }
}

function checkHardState({ term, votedFor }: HardState): void {
  const isNode = Number.isInteger(votedFor) && votedFor >= -1 && votedFor < 2 ** 31;
  if (!isCount(term) || !isNode) throw misuse(`hard state of term ${term}, vote ${votedFor}`);
}

function isCount(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0;
}

function misuse(explanation: string): StorageError {
  return new StorageError("MISUSE", explanation);
}
