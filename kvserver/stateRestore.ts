/** From the bytes of `stateSnapshot.ts` to a new state, as they come in. */
import { setImmediate } from "node:timers/promises";
import { Sessions, type SessionRecord } from "./sessions.js";
import { SkipList } from "./skipList.js";
import { SnapshotFormatError, type SnapshotHeader } from "./snapshotRecords.js";
import { KvStateMachine } from "./stateMachine.js";
import { StateParser, type StateVisitor } from "./stateParser.js";

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

/** The same step by step, without an event loop. */
export class StateRestorer implements StateVisitor {
  private readonly data = new SkipList();
  private readonly sessions = new Sessions();
  private readonly parser = new StateParser(this);

  /** @throws SnapshotFormatError; the restorer is of no use after that. */
  push(chunk: Uint8Array): void {
    this.parser.push(chunk);
  }

  /** @throws SnapshotFormatError when something is missing. */
  finish(): KvStateMachine {
    this.parser.finish();
    return new KvStateMachine(this.data, this.sessions);
  }

  header({ logTimeMs }: SnapshotHeader): void {
    // There are no sessions yet, so that none is dropped that the other replicas still have.
    this.sessions.advanceClock(logTimeMs);
  }

  session(session: SessionRecord): void {
    if (this.sessions.restore(session)) return;
    throw new SnapshotFormatError("the snapshot is damaged: a session stands in it twice");
  }

  pair(key: Uint8Array, value: Uint8Array): void {
    if (this.data.putNext(key, value)) return;
    throw new SnapshotFormatError("the snapshot is damaged: a key stands in it twice");
  }
}
