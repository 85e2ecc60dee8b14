import { replicated } from "../config/options.js";
import { Err } from "./err.js";
import { decodeOp, OpCodecError, type Op } from "./opCodec.js";
import { Sessions } from "./sessions.js";
import { SkipList } from "./skipList.js";

/** What became of one command. */
export interface ApplyResult {
  readonly err: Err;
}

const results: { readonly [Key in Err]?: ApplyResult } = {
  [Err.ok]: { err: Err.ok },
  [Err.sessionExpired]: { err: Err.sessionExpired },
  [Err.valueTooLarge]: { err: Err.valueTooLarge },
};

/**
 * The replicated state: the data, and the sessions that make each request count once.
 *
 * `apply` is a function of the state and the command alone: no clock, no randomness, no order of
 * anything but the log's. Replicas that applied the same log are equal (Raft §5.3, State Machine
 * Safety), which `stateDigest` shows. Reads change nothing.
 */
export class KvStateMachine {
  readonly data: SkipList;
  readonly sessions: Sessions;
  /** Gets the first command that could not be read; it changed nothing, here and everywhere. */
  onUndecodable: (index: number, error: OpCodecError) => void = () => {};
  private undecodable = 0;

  constructor(data = new SkipList(), sessions = new Sessions()) {
    this.data = data;
    this.sessions = sessions;
  }

  get keyCount(): number {
    return this.data.size;
  }

  get sessionCount(): number {
    return this.sessions.size;
  }

  /** The log's own clock: the latest time that a command told, in ms. */
  get logTimeMs(): number {
    return this.sessions.logTimeMs;
  }

  /** Commands that could not be read. */
  get undecodableCount(): number {
    return this.undecodable;
  }

  /**
   * Applies the committed command at `index`. Copies what it keeps of it. An empty command is the
   * no-op with which a leader opens its term.
   */
  apply(command: Uint8Array, index: number): ApplyResult {
    const op = command.length === 0 ? null : this.decode(command, index);
    if (op === null) return resultOf(Err.ok);
    this.sessions.advanceClock(op.logTimeMs);
    return resultOf(this.execute(op));
  }

  /** The value, which never changes afterwards, or undefined. */
  get(key: Uint8Array): Uint8Array | undefined {
    return this.data.get(key);
  }

  /** What a retried request was answered, when it is known to have been applied. */
  lookupResult(
    clientId: Uint8Array,
    requestId: number,
    firstUnfinished: number,
  ): ApplyResult | undefined {
    const err = this.sessions.lookup(clientId, requestId, firstUnfinished);
    return err === undefined ? undefined : resultOf(err);
  }

  private execute(op: Op): Err {
    if (op.operation === "OpenSession") return this.sessions.open(op.clientId);
    if (op.operation === "CloseSession") return this.sessions.close(op.clientId);
    // The original's leader puts Gets into the log; they and what nobody knows change nothing.
    if (op.operation !== "Put" && op.operation !== "Append") return Err.ok;
    const known = this.sessions.admit(op.clientId, op.requestId, op.firstUnfinished);
    if (known !== null) return known;
    const stored = this.store(op);
    if (!stored) this.sessions.recordTooLarge();
    return stored ? Err.ok : Err.valueTooLarge;
  }

  /** False, and nothing is stored, when it would be larger than a replica may hold. */
  private store({ operation, key, value }: Op): boolean {
    if (key.length > replicated.keyBytesMax) return false;
    if (operation === "Append") return this.data.append(key, value, replicated.valueBytesMax);
    if (value.length > replicated.valueBytesMax) return false;
    this.data.put(key, value);
    return true;
  }

  private decode(command: Uint8Array, index: number): Op | null {
    try {
      return decodeOp(command);
    } catch (error) {
      if (!(error instanceof OpCodecError)) throw error;
      this.undecodable++;
      if (this.undecodable === 1) this.onUndecodable(index, error);
      return null;
    }
  }
}

function resultOf(err: Err): ApplyResult {
  return results[err] ?? { err };
}
