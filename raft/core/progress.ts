import type { BatchSize } from "./batchSize.js";
import { lostEntries } from "./joining.js";
import type { AppendContext, AppendEntriesReply, ProgressState } from "./types.js";

/**
 * What a leader knows of one follower, and how it sends to it.
 *
 *              a probe succeeds                the follower's next entry is compacted
 *     probe ----------------------> replicate        (from probe or replicate)
 *       ^ <-----------------------------+              |
 *       |   refusal, lost request                      v
 *       +------------------------------------------ snapshot
 *             transfer ended, or the follower caught up
 *
 * Invariants: `matchIndex < nextIndex`; `matchIndex` falls within a term only to 0, when the follower
 * has lost what it had acknowledged; in `probe` at most
 * one request with a guess (`prevLogIndex > matchIndex`) is out.
 */
export class Progress {
  readonly id: number;
  readonly batch: BatchSize;
  /** Entries up to here are durable at the follower. */
  matchIndex = 0;
  /** The next entry to send. */
  nextIndex: number;
  state: ProgressState = "probe";
  /** When a reply last arrived, in ms. */
  lastAckAt: number;
  /** When the newest acknowledged request was sent, in ms. */
  ackedSentAt = -Infinity;
  /** The newest read round that the follower answered. */
  ackedRound = 0;
  /** The newest read round that it was sent. */
  sentRound = 0;
  /** A snapshot transfer was asked for, and its end was not told yet: there is one at a time. */
  transferring = false;
  /**
   * Not 0: the follower does not count for any majority. Its nonce while it joins, or `lostEntries`
   * until it learns that it must.
   */
  joining = 0;
  /** It has said in this term that it would lead. */
  willing = false;
  /** A joining follower that has everything up to here may vote again. */
  private admitAt = 0;
  /** Requests up to here may have been answered by the process that lost its data. */
  private voiceFloor = 0;
  inflight = 0;
  inflightBytes = 0;
  /** Sequence of the last request sent. */
  sequence = 0;
  /** Requests up to here were given up: their replies free no room in the window. */
  private sequenceFloor = 0;
  /** The probe that is out, or 0. */
  private probeSequence = 0;
  /** Something failed: nothing more goes out before the next heartbeat. */
  private paused = false;
  /** Where the next entry of the log will stand, for a follower that is probed from there. */
  private readonly end: (() => number) | undefined;

  /** @param end Without it a probe begins behind what the follower has acknowledged. */
  constructor(id: number, nextIndex: number, batch: BatchSize, now: number, end?: () => number) {
    this.id = id;
    this.batch = batch;
    this.nextIndex = nextIndex;
    this.lastAckAt = now;
    this.end = end;
  }

  /** Whether entries may be sent now. */
  canSend(inflightMax: number, inflightBytesMax: number): boolean {
    if (this.paused || this.state === "snapshot") return false;
    if (this.state === "probe") return this.probeSequence === 0;
    return this.inflight < inflightMax && this.inflightBytes < inflightBytesMax;
  }

  /** A heartbeat is due: what was paused may try again. */
  resume(): void {
    this.paused = false;
  }

  /** A request at `nextIndex` goes out. */
  sent(context: AppendContext): void {
    this.track(context);
    if (this.state === "probe") this.probeSequence = context.sequence;
    else this.nextIndex = context.lastIndex + 1;
  }

  /** A heartbeat at `matchIndex` goes out; it proves nothing about `nextIndex`. */
  heartbeatSent(context: AppendContext): void {
    this.track(context);
  }

  /** Whatever the follower answered, it is there. */
  answered(context: AppendContext, now: number): void {
    this.lastAckAt = now;
    this.ackedSentAt = Math.max(this.ackedSentAt, context.sentAt);
    this.ackedRound = Math.max(this.ackedRound, context.readRound);
    this.release(context);
  }

  /**
   * Takes in whether the follower votes. Returns false for a reply that is to be dropped: it comes
   * from before the follower lost its data.
   */
  judgeStanding(context: AppendContext, reply: AppendEntriesReply, lastIndex: number): boolean {
    const nonce = reply.joining ?? 0;
    if (nonce !== 0) {
      if (nonce !== this.joining) this.startsAnew(nonce, lastIndex);
    } else if (this.joining !== 0) {
      if (context.sequence <= this.voiceFloor) return false;
      this.joining = 0;
    } else if (!reply.success && this.wasProven(context)) {
      this.startsAnew(lostEntries, lastIndex);
    }
    this.willing = this.joining === 0 && reply.reluctant !== true;
    return true;
  }

  /** What `AppendEntries.admits` says to it. */
  get admission(): number | undefined {
    if (this.joining === 0) return undefined;
    const mayVote = this.joining === lostEntries || this.matchIndex >= this.admitAt;
    return mayVote ? this.joining : undefined;
  }

  /** @returns whether `matchIndex` moved. */
  succeeded(context: AppendContext): boolean {
    const moved = context.lastIndex > this.matchIndex;
    if (moved) this.matchIndex = context.lastIndex;
    this.batch.taken(context.bytes);
    if (this.nextIndex <= this.matchIndex) this.nextIndex = this.matchIndex + 1;
    if (this.state === "probe" && this.isProbe(context)) {
      this.state = "replicate";
      this.probeSequence = 0;
      this.nextIndex = this.matchIndex + 1;
    }
    return moved;
  }

  /** The follower's log does not match at `context.prevLogIndex`; `hint` is its UpdateNextIndex. */
  refused(context: AppendContext, hint: number): void {
    // What was overtaken changes nothing: it was given up, or the follower has all of it by now.
    if (context.sequence <= this.sequenceFloor || context.lastIndex <= this.matchIndex) return;
    if (this.state === "replicate") this.becomeProbe();
    else if (this.state !== "probe" || !this.isProbe(context)) return;
    // It would match by now: it came before the request in front of it, and goes out again.
    if (context.prevLogIndex <= this.matchIndex) this.paused = true;
    const next = hint >= 1 ? Math.min(hint, context.prevLogIndex) : context.prevLogIndex;
    this.nextIndex = Math.max(this.matchIndex + 1, next);
    this.probeSequence = 0;
  }

  /** No reply came: what was sent after it may be lost too. */
  failed(context: AppendContext): void {
    if (context.sequence <= this.sequenceFloor) return;
    this.paused = true;
    this.batch.lost(context.bytes);
    if (this.state === "replicate") this.becomeProbe();
    else this.release(context);
    // The follower may have taken it, and more is committed there than this node knows.
    if (this.state === "probe") this.nextIndex = this.end?.() ?? this.nextIndex;
    if (this.isProbe(context)) this.probeSequence = 0;
  }

  /** @param installed whether the follower has the snapshot up to `index` now. */
  snapshotEnded(index: number, installed: boolean): void {
    if (installed) this.matchIndex = Math.max(this.matchIndex, index);
    else this.paused = true;
    this.becomeProbe();
  }

  becomeProbe(): void {
    this.state = "probe";
    this.nextIndex = this.end?.() ?? this.matchIndex + 1;
    this.probeSequence = 0;
    this.sequenceFloor = this.sequence;
    this.inflight = 0;
    this.inflightBytes = 0;
  }

  becomeSnapshot(): void {
    this.becomeProbe();
    this.state = "snapshot";
  }

  /** Acknowledged before it was sent, and by the process that still counts. */
  private wasProven({ proven, prevLogIndex, sequence }: AppendContext): boolean {
    return proven && prevLogIndex <= this.matchIndex && sequence > this.voiceFloor;
  }

  /** @param lastIndex Of the leader's log: all that the follower can have acknowledged to it. */
  private startsAnew(joining: number, lastIndex: number): void {
    this.joining = joining;
    this.admitAt = lastIndex;
    this.voiceFloor = this.sequence;
    this.matchIndex = 0;
    // Also where nothing was acknowledged: the answer to a probe that is out will not be heeded.
    this.becomeProbe();
  }

  private isProbe(context: AppendContext): boolean {
    return context.sequence === this.probeSequence;
  }

  private track(context: AppendContext): void {
    this.sequence = context.sequence;
    this.sentRound = context.readRound;
    this.inflight++;
    this.inflightBytes += context.bytes;
  }

  private release(context: AppendContext): void {
    if (context.sequence <= this.sequenceFloor) return;
    this.inflight--;
    this.inflightBytes -= context.bytes;
  }
}
