/** From the bytes of `stateSnapshot.ts` to its records, as they come in. */
import { allocateBytes, copyBytes } from "./freshBytes.js";
import type { SessionRecord } from "./sessions.js";
import {
  decodeSession,
  headerBytes,
  pairHeadBytes,
  readHeader,
  readPairHead,
  sessionBodyBytes,
  sessionHeadBytes,
  SnapshotFormatError,
  type SnapshotHeader,
} from "./snapshotRecords.js";

/** Gets the records in their order. Bytes are views, good until the call returns. */
export interface StateVisitor {
  header(header: SnapshotHeader): void;
  session(session: SessionRecord): void;
  pair(key: Uint8Array, value: Uint8Array): void;
}

type Expected = "header" | "session head" | "session body" | "pair head" | "pair body" | "end";

export class StateParser {
  private readonly visitor: StateVisitor;
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

  constructor(visitor: StateVisitor) {
    this.visitor = visitor;
  }

  /** @throws SnapshotFormatError; the parser is of no use after that. */
  push(chunk: Uint8Array): void {
    let at = this.takeWholePairs(chunk, 0);
    while (this.expected !== "end") {
      const start = at;
      at = Math.min(chunk.length, start + this.need - this.partialBytes);
      const piece = this.gather(chunk.subarray(start, at));
      if (piece === null) return;
      this.take(piece);
      at = this.takeWholePairs(chunk, at);
    }
    if (at < chunk.length) throw new SnapshotFormatError("the snapshot goes on behind its end");
  }

  /** @throws SnapshotFormatError when something is missing. */
  finish(): void {
    if (this.expected !== "end") throw new SnapshotFormatError("the snapshot is cut off");
  }

  /** The usual case without a view for each part: pairs that lie in the chunk from head to end. */
  private takeWholePairs(chunk: Uint8Array, from: number): number {
    const { buffer, byteOffset, length } = chunk;
    let at = from;
    while (this.expected === "pair head" && this.partial === null && at + pairHeadBytes <= length) {
      const { keyBytes, valueBytes } = readPairHead(chunk, at);
      const keyAt = at + pairHeadBytes;
      const end = keyAt + keyBytes + valueBytes;
      if (end > length) break;
      const key = new Uint8Array(buffer, byteOffset + keyAt, keyBytes);
      this.visitor.pair(key, new Uint8Array(buffer, byteOffset + keyAt + keyBytes, valueBytes));
      this.keysLeft--;
      this.expectNext();
      at = end;
    }
    return at;
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
        const { keyBytes, valueBytes } = readPairHead(piece, 0);
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
    this.visitor.header(header);
    this.sessionsLeft = header.sessionCount;
    this.keysLeft = header.keyCount;
    this.expectNext();
  }

  private takeSession(body: Uint8Array): void {
    this.visitor.session(decodeSession(this.sessionHead, body));
    this.sessionsLeft--;
    this.expectNext();
  }

  private takePair(body: Uint8Array): void {
    this.visitor.pair(body.subarray(0, this.keyBytes), body.subarray(this.keyBytes));
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
