/**
 * The state as bytes: what a snapshot file holds and what a leader streams to a follower. The
 * checksum is the file's (see the persister); here everything is checked for sense.
 *
 * All numbers are little-endian; i64 stands for a safe integer.
 *
 *     header    magic "KVSTATE\n" | u32 version = 1 | u32 0 | i64 log time in ms
 *               | i64 sessions | i64 keys
 *     session   u16 bytes of the client id | u8 1 for an opened one | u8 0
 *               | i64 first unfinished | i64 applied through | i64 last active in ms
 *               | u16 count of out of order | u16 count of too large
 *               | client id | u16 each: id - applied through - 1 | u16 each: id - base
 *               (base: first unfinished, or applied through of one that was not opened)
 *     pair      u32 bytes of the key | u32 bytes of the value | key | value
 *
 * Sessions come least recently active first, pairs in the order of the keys, so equal states give
 * equal bytes.
 */
import { createHash } from "node:crypto";
import { slabBlockBytesMax } from "./byteArena.js";
import { allocateBytes } from "./freshBytes.js";
import {
  encodeSession,
  headerBytes,
  pairHeadBytes,
  writeHeader,
  writePairHead,
} from "./snapshotRecords.js";
import type { SessionRecord } from "./sessions.js";
import type { KeyValue } from "./skipList.js";
import type { SkipListSnapshot } from "./skipListSnapshot.js";
import type { KvStateMachine } from "./stateMachine.js";

/** Bytes of a chunk, at most: what one slice of the work produces. */
export const chunkBytes = 65_536;

/**
 * The state as it is now, to be written in slices while commands go on being applied. One at a time
 * for each state machine.
 *
 *     for (const chunk of captureState(machine)) await writer.write(chunk);
 *
 * Each step to the next chunk takes a few milliseconds at most. Ending the loop early closes it; a
 * capture that is never iterated must be closed.
 */
export function captureState(machine: KvStateMachine): StateCapture {
  return new StateCapture(machine);
}

export class StateCapture implements Iterable<Uint8Array> {
  private readonly header = allocateBytes(headerBytes);
  private readonly sessions: Iterable<SessionRecord>;
  private readonly pairs: SkipListSnapshot;

  /** @throws Error when another capture of the same state is open. */
  constructor(machine: KvStateMachine) {
    this.pairs = machine.data.snapshotIterator();
    this.sessions = machine.sessions.capture();
    const { logTimeMs, sessionCount, keyCount } = machine;
    writeHeader(this.header, { logTimeMs, sessionCount, keyCount });
  }

  /**
   * A chunk is good until the next one is asked for: the memory of two serves all of them, for what
   * large arrays leave to the collector stops everything. One may be empty: the state had nothing
   * for a slice.
   */
  *[Symbol.iterator](): Generator<Uint8Array, void, undefined> {
    try {
      const chunk = new ChunkBuffer();
      chunk.write(this.header);
      yield* this.sessionChunks(chunk);
      yield* this.pairChunks(chunk);
      yield chunk.take();
    } finally {
      this.close();
    }
  }

  /** Lets go of the captured state. Safe to repeat. */
  close(): void {
    this.pairs.close();
  }

  private *sessionChunks(chunk: ChunkBuffer): Generator<Uint8Array, void, undefined> {
    for (const session of this.sessions) {
      const record = encodeSession(session);
      if (record.length > chunk.room) yield chunk.take();
      chunk.write(record);
    }
  }

  private *pairChunks(chunk: ChunkBuffer): Generator<Uint8Array, void, undefined> {
    for (let pair = this.pairs.next(); pair !== null; pair = this.pairs.next()) {
      if (pair === undefined) {
        yield chunk.take();
      } else if (pair.key.length + pair.value.length > slabBlockBytesMax) {
        yield* largePairChunks(pair, chunk);
      } else {
        // The views are good until the next command is applied, so the pair is copied first and
        // the full chunk handed out then.
        const size = pairHeadBytes + pair.key.length + pair.value.length;
        const full = size > chunk.room ? chunk.take() : null;
        chunk.writePair(pair);
        if (full !== null) yield full;
      }
    }
  }
}

/** A pair of this size has memory of its own, whose views stay what they are. */
function* largePairChunks(
  pair: KeyValue,
  chunk: ChunkBuffer,
): Generator<Uint8Array, void, undefined> {
  const head = allocateBytes(pairHeadBytes);
  writePairHead(head, 0, pair);
  for (const part of [head, pair.key, pair.value]) {
    for (let at = 0; at < part.length;) {
      if (chunk.room === 0) yield chunk.take();
      const end = Math.min(part.length, at + chunk.room);
      chunk.write(part.subarray(at, end));
      at = end;
    }
  }
}

/** Gathers records into chunks of `chunkBytes`. */
class ChunkBuffer {
  private bytes = allocateBytes(chunkBytes);
  /** The chunk handed out last is read while the next one is begun. */
  private spare = allocateBytes(chunkBytes);
  private used = 0;

  get room(): number {
    return chunkBytes - this.used;
  }

  write(record: Uint8Array): void {
    this.bytes.set(record, this.used);
    this.used += record.length;
  }

  writePair(pair: KeyValue): void {
    writePairHead(this.bytes, this.used, pair);
    this.used += pairHeadBytes;
    this.write(pair.key);
    this.write(pair.value);
  }

  /** What was gathered; a new chunk begins. */
  take(): Uint8Array {
    const full = this.bytes;
    const chunk = full.subarray(0, this.used);
    this.bytes = this.spare;
    this.spare = full;
    this.used = 0;
    return chunk;
  }
}

/** SHA-256 of the whole state, in hex: equal on replicas that applied the same log. Not in slices. */
export function stateDigest(machine: KvStateMachine): string {
  const hash = createHash("sha256");
  for (const chunk of captureState(machine)) hash.update(chunk);
  return hash.digest("hex");
}
