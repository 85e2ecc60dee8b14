/** From the bytes of `stateSnapshot.ts` to a new state, as they come in. */
import { setImmediate } from "node:timers/promises";
import { allocateBytes, copyBytes } from "./freshBytes.js";
import { Sessions } from "./sessions.js";
import { SkipList } from "./skipList.js";
import {
  decodeSession,
  headerBytes,
  pairHeadBytes,
  readHeader,
  readPairHead,
  sessionBodyBytes,
  sessionHeadBytes,
  SnapshotFormatError,
} from "./snapshotRecords.js";
import { KvStateMachine } from "./stateMachine.js";

/** Bytes that are read before the event loop gets its turn. */
const sliceBytes = 65_536;

/**
 * Builds a new state machine of a snapshot's bytes, however they are cut into chunks; the event
 * loop gets its turn after every slice. The chunks are not kept.
 * @throws SnapshotFormatError, and whatever `chunks` throws.
 */
export async function restoreState(
  chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
): Promise<KvStateMachine> {
  const restorer = new StateRestorer();
  for await (const chunk of chunks) {
    for (let at = 0; at < chunk.length; at += sliceBytes) {
      restorer.push(chunk.subarray(at, at + sliceBytes));
      await setImmediate();
    }
  }
  return restorer.finish();
}

type Expected = "header" | "session head" | "session body" | "pair head" | "pair body" | "end";

/** The same step by step, without an event loop. */
export class StateRestorer {
  private readonly data = new SkipList();
  private readonly sessions = new Sessions();
  private expected: Expected = "header";
  /** Bytes of what is expected. */
  private need = headerBytes;
  /** What is expected when it came in pieces so far. */
  private partial: Uint8Array | null = null;
  private partialBytes = 0;
  private sessionsLeft = 0;
  private keysLeft = 0;
  private sessionHead: Uint8Array = new Uint8Array(0);
  private keyBytes = 0;

  /** @throws SnapshotFormatError; the restorer is of no use after that. */
  push(chunk: Uint8Array): void {
    let at = 0;
    while (this.expected !== "end") {
      const start = at;
      at = Math.min(chunk.length, start + this.need - this.partialBytes);
      const piece = this.gather(chunk.subarray(start, at));
      if (piece === null) return;
      this.take(piece);
    }
    if (at < chunk.length) throw new SnapshotFormatError("the snapshot goes on behind its end");
  }

  /** @throws SnapshotFormatError when something is missing. */
  finish(): KvStateMachine {
    if (this.expected !== "end") throw new SnapshotFormatError("the snapshot is cut off");
    return new KvStateMachine(this.data, this.sessions);
  }

  /** The whole of what is expected, or null while there is more to come. */
  private gather(part: Uint8Array): Uint8Array | null {
    if (this.partial === null && part.length === this.need) return part;
    this.partial ??= allocateBytes(this.need);
    this.partial.set(part, this.partialBytes);
    this.partialBytes += part.length;
    if (this.partialBytes < this.need) return null;
    const whole = this.partial;
    this.partial = null;
    this.partialBytes = 0;
    return whole;
  }

  private take(piece: Uint8Array): void {
    switch (this.expected) {
      case "header":
        return this.takeHeader(piece);
      case "session head":
        this.sessionHead = copyBytes(piece);
        return this.expect("session body", sessionBodyBytes(piece));
      case "session body":
        return this.takeSession(piece);
      case "pair head": {
        const { keyBytes, valueBytes } = readPairHead(piece);
        this.keyBytes = keyBytes;
        return this.expect("pair body", keyBytes + valueBytes);
      }
      case "pair body":
        return this.takePair(piece);
      case "end":
    }
  }

  private takeHeader(bytes: Uint8Array): void {
    const header = readHeader(bytes);
    // There are no sessions yet, so that none is dropped that the other replicas still have.
    this.sessions.advanceClock(header.logTimeMs);
    this.sessionsLeft = header.sessionCount;
    this.keysLeft = header.keyCount;
    this.expectNext();
  }

  private takeSession(body: Uint8Array): void {
    const session = decodeSession(this.sessionHead, body);
    if (!this.sessions.restore(session)) {
      throw new SnapshotFormatError("the snapshot is damaged: a session stands in it twice");
    }
    this.sessionsLeft--;
    this.expectNext();
  }

  private takePair(body: Uint8Array): void {
    if (!this.data.put(body.subarray(0, this.keyBytes), body.subarray(this.keyBytes))) {
      throw new SnapshotFormatError("the snapshot is damaged: a key stands in it twice");
    }
    this.keysLeft--;
    this.expectNext();
  }

  private expectNext(): void {
    if (this.sessionsLeft > 0) this.expect("session head", sessionHeadBytes);
    else if (this.keysLeft > 0) this.expect("pair head", pairHeadBytes);
    else this.expect("end", 0);
  }

  private expect(what: Expected, bytes: number): void {
    this.expected = what;
    this.need = bytes;
  }
}
