import type { Logger } from "../config/logger.js";
import type { RaftLog } from "./core/raftLog.js";
import type { SnapshotMeta } from "./core/types.js";
import type { RaftEnvironment } from "./environment.js";
import type { Persister, SnapshotReader } from "./persister/persister.js";
import type { InstallSnapshot, RaftPeer } from "./raftPeer.js";
import { SnapshotReceiver, type ChunkResult } from "./snapshotReceiver.js";
import { SnapshotSender, type TransferEvents, type TransferOptions } from "./snapshotSender.js";

/** How much of the log stays before a snapshot, for followers that are a little behind. */
export interface TrailingLog {
  readonly entriesMax: number;
  readonly bytesMax: number;
}

/** Entries up to here may go after a snapshot at `index`. */
export function compactionPoint(log: RaftLog, index: number, trailing: TrailingLog): number {
  let through = Math.min(index, log.commitIndex);
  let bytes = 0;
  while (through >= log.firstIndex && index - through < trailing.entriesMax) {
    bytes += log.bytesAt(through);
    if (bytes > trailing.bytesMax) break;
    through--;
  }
  return through;
}

export interface SnapshotsOptions extends TransferOptions {
  readonly snapshotReceiveTimeoutMs: number;
}

/** The snapshots of one node: those it takes, those it sends and the one it receives. */
export class Snapshots {
  private readonly persister: Persister;
  private readonly options: SnapshotsOptions;
  private readonly environment: RaftEnvironment;
  private readonly receiver: SnapshotReceiver;
  private newestOnDisk: SnapshotMeta;
  private taking: Promise<number | null> | null = null;

  constructor(
    persister: Persister,
    options: SnapshotsOptions,
    environment: RaftEnvironment,
    log: Logger,
  ) {
    this.persister = persister;
    this.options = options;
    this.environment = environment;
    const { snapshotReceiveTimeoutMs } = options;
    this.receiver = new SnapshotReceiver(persister, environment, snapshotReceiveTimeoutMs, log);
    this.newestOnDisk = persister.recovered.snapshot ?? { index: 0, term: 0 };
  }

  get newest(): SnapshotMeta {
    return this.newestOnDisk;
  }

  /**
   * Writes the own state machine's state; returns its bytes. Null when one is being written, or
   * when `meta` is not newer than the last, or when `goOn` says to stop.
   */
  async take(
    meta: SnapshotMeta,
    state: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
    goOn: () => boolean,
  ): Promise<number | null> {
    if (this.taking !== null || meta.index <= this.newestOnDisk.index) return null;
    this.taking = this.write(meta, state, goOn);
    try {
      return await this.taking;
    } finally {
      this.taking = null;
    }
  }

  send(
    peer: RaftPeer,
    term: number,
    from: number,
    events: TransferEvents,
  ): Promise<{ meta: SnapshotMeta; installed: boolean }> {
    const sender = new SnapshotSender(peer, this.persister, this.options, this.environment);
    return sender.send(term, from, events);
  }

  async receive(chunk: InstallSnapshot): Promise<ChunkResult> {
    const result = await this.receiver.receive(chunk);
    if (result.complete)
      this.note({ index: chunk.lastIncludedIndex, term: chunk.lastIncludedTerm });
    return result;
  }

  /** Drops a received part whose leader went silent. */
  expire(): void {
    this.receiver.expire();
  }

  async open(): Promise<SnapshotReader> {
    const reader = await this.persister.openSnapshot();
    if (reader === null) throw new Error("the snapshot that was handed up is gone");
    return reader;
  }

  /** Waits for what is being written. */
  async close(): Promise<void> {
    await this.taking?.catch(() => undefined);
    await this.receiver.close().catch(() => undefined);
  }

  private async write(
    meta: SnapshotMeta,
    state: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
    goOn: () => boolean,
  ): Promise<number | null> {
    const writer = await this.persister.createSnapshot(meta, "local");
    try {
      for await (const chunk of state) {
        await writer.write(chunk);
        if (!goOn()) break;
      }
      if (goOn()) await writer.commit();
    } catch (error) {
      await writer.abort();
      throw error;
    }
    if (!goOn()) {
      await writer.abort();
      return null;
    }
    this.note(meta);
    return writer.size;
  }

  private note(meta: SnapshotMeta): void {
    if (meta.index > this.newestOnDisk.index) this.newestOnDisk = meta;
  }
}
