import type { SnapshotMeta } from "../../../raft/core/index.js";
import type { DiskSpace } from "../../../raft/persister/diskReserve.js";
import type {
  Persister,
  RecoveredState,
  SaveBatch,
  SnapshotReader,
  SnapshotWriter,
} from "../../../raft/persister/persister.js";
import type { DurableState, LogWrite } from "../durableState.js";

/**
 * Passes everything on to the real persister, and keeps beside it what that has promised to be
 * durable.
 */
export class WatchedPersister implements Persister {
  /** Promised so far. */
  readonly promised: DurableState;
  private readonly inner: Persister;
  /** Given to the disk and not yet promised, in order. */
  private pending: LogWrite[] = [];

  constructor(inner: Persister, promised: DurableState) {
    this.inner = inner;
    this.promised = promised;
  }

  get recovered(): RecoveredState {
    return this.inner.recovered;
  }

  get diskSteps(): number {
    return this.inner.diskSteps;
  }

  get logSyncs(): number {
    return this.inner.logSyncs;
  }

  get logBytes(): number {
    return this.inner.logBytes;
  }

  get onFailure(): (error: Error) => void {
    return this.inner.onFailure;
  }

  set onFailure(handler: (error: Error) => void) {
    this.inner.onFailure = handler;
  }

  get space(): DiskSpace {
    return this.inner.space;
  }

  get onSpace(): (space: DiskSpace) => void {
    return this.inner.onSpace;
  }

  set onSpace(handler: (space: DiskSpace) => void) {
    this.inner.onSpace = handler;
  }

  /** The first index that a write under way may have changed on the disk. */
  get firstUncertain(): number {
    return Math.min(
      ...this.pending.map(({ reset, entries }) =>
        reset === undefined ? (entries?.[0]?.index ?? Infinity) : 0,
      ),
    );
  }

  save(batch: SaveBatch, onDurable: () => void): void {
    const write: LogWrite = batch;
    this.pending.push(write);
    this.inner.save(batch, () => {
      this.settle(write);
      onDurable();
    });
  }

  async createSnapshot(meta: SnapshotMeta, kind: "local" | "received"): Promise<SnapshotWriter> {
    const writer = await this.inner.createSnapshot(meta, kind);
    const { promised } = this;
    return {
      meta,
      get size() {
        return writer.size;
      },
      write: (chunk) => writer.write(chunk),
      abort: () => writer.abort(),
      commit: async () => {
        await writer.commit();
        promised.writeSnapshot({ meta, hash: unknownHash });
      },
    };
  }

  openSnapshot(): Promise<SnapshotReader | null> {
    return this.inner.openSnapshot();
  }

  async compact(meta: SnapshotMeta, throughIndex: number): Promise<void> {
    await this.inner.compact(meta, throughIndex);
    const write: LogWrite = { compactThrough: throughIndex };
    // What others have committed may be compacted here while the own disk still writes it.
    if (this.pending.length > 0) this.pending.push(write);
    else this.promised.apply(write);
  }

  async resetLog(meta: SnapshotMeta): Promise<void> {
    const write: LogWrite = { reset: meta };
    this.pending.push(write);
    await this.inner.resetLog(meta);
    this.settle(write);
  }

  close(): Promise<void> {
    return this.inner.close();
  }

  /** `write` is durable, and so is all before it. */
  private settle(write: LogWrite): void {
    const last = this.pending.indexOf(write);
    for (const done of this.pending.splice(0, last + 1)) this.promised.apply(done);
  }
}

/** A snapshot whose state was not looked at when it was written. */
export const unknownHash = -1;
