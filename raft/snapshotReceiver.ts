import type { Logger } from "../config/logger.js";
import type { SnapshotMeta } from "./core/types.js";
import type { RaftEnvironment } from "./environment.js";
import { snapshotFits } from "./persister/diskReserve.js";
import type { Persister, SnapshotWriter } from "./persister/persister.js";
import type { InstallSnapshot } from "./raftPeer.js";

interface Partial {
  readonly from: number;
  readonly term: number;
  readonly meta: SnapshotMeta;
  readonly totalSize: number;
  readonly writer: SnapshotWriter;
  touchedAt: number;
}

export interface ChunkResult {
  /** The chunk was stored. */
  readonly stored: boolean;
  readonly nextOffset: number;
  /** The snapshot is whole and on disk. */
  readonly complete: boolean;
}

/**
 * Gathers the chunks of a snapshot on disk. One at a time; a chunk of another snapshot, or of
 * another leader, drops the one before. What a leader left half sent is dropped after a while.
 */
export class SnapshotReceiver {
  private readonly persister: Persister;
  private readonly environment: RaftEnvironment;
  private readonly timeoutMs: number;
  private readonly log: Logger;
  private complained = false;
  private partial: Partial | null = null;
  /** The last one that came to be whole. */
  private whole: SnapshotMeta | null = null;
  /** Chunks are taken one after the other, whatever the network does. */
  private queue: Promise<unknown> = Promise.resolve();

  constructor(persister: Persister, environment: RaftEnvironment, timeoutMs: number, log: Logger) {
    this.persister = persister;
    this.environment = environment;
    this.timeoutMs = timeoutMs;
    this.log = log;
  }

  receive(chunk: InstallSnapshot): Promise<ChunkResult> {
    const result = this.queue.then(() => this.take(chunk));
    this.queue = result.catch(() => undefined);
    return result;
  }

  /** Drops a transfer whose leader went silent. */
  expire(): void {
    const { partial } = this;
    if (partial === null || this.environment.now() - partial.touchedAt < this.timeoutMs) return;
    this.queue = this.queue.then(() => (this.partial === partial ? this.drop() : undefined));
  }

  async close(): Promise<void> {
    await this.queue;
    await this.drop();
  }

  private async take(chunk: InstallSnapshot): Promise<ChunkResult> {
    // It waited behind the last chunk, whose answer was lost or late: nothing is begun anew for it.
    if (this.whole !== null && isOf(chunk, this.whole))
      return { stored: true, nextOffset: chunk.totalSize, complete: true };
    const partial = this.belongs(chunk) ? this.partial! : await this.begin(chunk);
    if (partial === null) return { stored: false, nextOffset: 0, complete: false };
    partial.touchedAt = this.environment.now();
    const { writer } = partial;
    if (chunk.offset !== writer.size || writer.size + chunk.data.length > partial.totalSize)
      return { stored: false, nextOffset: writer.size, complete: false };
    if (chunk.data.length > 0) await writer.write(chunk.data);
    if (!chunk.done) return { stored: true, nextOffset: writer.size, complete: false };
    this.partial = null;
    if (writer.size !== partial.totalSize) {
      await writer.abort();
      return { stored: false, nextOffset: 0, complete: false };
    }
    await writer.commit();
    this.whole = partial.meta;
    return { stored: true, nextOffset: writer.size, complete: true };
  }

  private belongs(chunk: InstallSnapshot): boolean {
    const { partial } = this;
    return (
      partial !== null &&
      partial.from === chunk.from &&
      partial.term === chunk.term &&
      isOf(chunk, partial.meta) &&
      partial.totalSize === chunk.totalSize
    );
  }

  private async begin(chunk: InstallSnapshot): Promise<Partial | null> {
    await this.drop();
    if (!this.hasRoom(chunk.totalSize)) return null;
    const meta = { index: chunk.lastIncludedIndex, term: chunk.lastIncludedTerm };
    const writer = await this.persister.createSnapshot(meta, "received");
    const { from, term, totalSize } = chunk;
    this.partial = { from, term, meta, totalSize, writer, touchedAt: this.environment.now() };
    return this.partial;
  }

  /** A snapshot that fills the disk would end the node; it can be sent again. */
  private hasRoom(bytes: number): boolean {
    const { space } = this.persister;
    const fits = snapshotFits(bytes, space);
    if (!fits && !this.complained) this.log.warn({ ...space, bytes }, "no room for a snapshot");
    this.complained = !fits;
    return fits;
  }

  private async drop(): Promise<void> {
    const { partial } = this;
    this.partial = null;
    await partial?.writer.abort();
  }
}

function isOf(chunk: InstallSnapshot, { index, term }: SnapshotMeta): boolean {
  return chunk.lastIncludedIndex === index && chunk.lastIncludedTerm === term;
}
