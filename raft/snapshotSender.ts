import type { RaftEnvironment } from "./environment.js";
import type { Persister, SnapshotReader } from "./persister/persister.js";
import type { InstallSnapshotReply, RaftPeer } from "./raftPeer.js";
import type { SnapshotMeta } from "./core/types.js";

export interface TransferOptions {
  readonly snapshotChunkBytes: number;
  readonly heartbeatMs: number;
}

/** Attempts at one chunk before a transfer is given up; the leader then begins another. */
const chunkAttemptsMax = 5;

export interface TransferEvents {
  /** Whether the transfer still makes sense: the node leads in the same term. */
  isCurrent(): boolean;
  /** A chunk was answered, in the follower's term. */
  progressed(replyTerm: number): void;
}

/**
 * Streams this node's newest snapshot to one follower, a chunk at a time (Raft Figure 13). The
 * first chunk is empty: its answer tells how much the follower holds from an attempt that broke.
 */
export class SnapshotSender {
  private readonly peer: RaftPeer;
  private readonly persister: Persister;
  private readonly options: TransferOptions;
  private readonly environment: RaftEnvironment;

  constructor(
    peer: RaftPeer,
    persister: Persister,
    options: TransferOptions,
    environment: RaftEnvironment,
  ) {
    this.peer = peer;
    this.persister = persister;
    this.options = options;
    this.environment = environment;
  }

  /** @returns what was sent, and whether the follower has it installed. */
  async send(
    term: number,
    from: number,
    events: TransferEvents,
  ): Promise<{ meta: SnapshotMeta; installed: boolean }> {
    const reader = await this.persister.openSnapshot();
    if (reader === null) return { meta: { index: 0, term: 0 }, installed: false };
    try {
      const installed = await this.stream(reader, term, from, events);
      return { meta: reader.meta, installed };
    } finally {
      await reader.close();
    }
  }

  private async stream(
    reader: SnapshotReader,
    term: number,
    from: number,
    events: TransferEvents,
  ): Promise<boolean> {
    let offset = 0;
    let length = 0;
    let failures = 0;
    while (events.isCurrent()) {
      const data = length === 0 ? new Uint8Array(0) : await reader.read(offset, length);
      const done = length > 0 && offset + data.length === reader.size;
      const reply = await this.sendChunk(reader, term, from, offset, data, done);
      if (reply === null) {
        if (++failures >= chunkAttemptsMax) return false;
        await this.pause(failures);
        continue;
      }
      events.progressed(reply.term);
      if (done && reply.accepted) return true;
      failures = reply.accepted ? 0 : failures + 1;
      if (failures >= chunkAttemptsMax) return false;
      // Refused where it should have been taken: its disk has no room, and may have in a while.
      if (!reply.accepted && reply.nextOffset === offset) await this.pause(failures);
      offset = Math.min(Math.max(0, reply.nextOffset), reader.size);
      length = this.options.snapshotChunkBytes;
    }
    return false;
  }

  private sendChunk(
    reader: SnapshotReader,
    term: number,
    from: number,
    offset: number,
    data: Uint8Array,
    done: boolean,
  ): Promise<InstallSnapshotReply | null> {
    const request = {
      term,
      from,
      lastIncludedIndex: reader.meta.index,
      lastIncludedTerm: reader.meta.term,
      offset,
      totalSize: reader.size,
      done,
      data,
    };
    return new Promise((resolve) => this.peer.InstallSnapshot(request, resolve));
  }

  private pause(failures: number): Promise<void> {
    return new Promise((resolve) => {
      this.environment.setTimer(this.options.heartbeatMs * 2 ** failures, resolve);
    });
  }
}
