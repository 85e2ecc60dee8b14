import { silentLogger, type Logger } from "../config/logger.js";
import type {
  AppendEntries,
  AppendEntriesReply,
  RequestVote,
  RequestVoteReply,
  TimeoutNow,
  TimeoutNowReply,
} from "./core/types.js";
import type { InstallSnapshot, InstallSnapshotReply, RaftPeer } from "./raftPeer.js";

/** A node over a channel that has found out which revision of the wire it speaks. */
export interface RevisionPeer extends RaftPeer {
  /** As its last reply showed it; undefined before the first. */
  readonly revision: 1 | 2 | undefined;
}

export interface MixedPeerOptions {
  /** Position in the node list, for logs. */
  readonly id: number;
  /** Whether a node that has not replied yet is taken for one of the original. */
  readonly originalUntilKnown: boolean;
  /** Whether the original can apply this command; one that it can't ends its process. */
  readonly originalApplies: (command: Uint8Array) => boolean;
  readonly log?: Logger;
}

/** The original's `VoteState`. */
const granted = 3;
/** Between two lines about the same trouble, and between two attempts that can't succeed. */
const patienceMs = 5_000;

/**
 * A node that may run the original, which ends its process on much that it does not know: to such
 * a one nothing is sent that it can't take.
 *
 * - It has no PreVote, and would take one for a vote in the next term. It is counted as willing; the
 *   election that follows asks it in earnest. What is lost is PreVote's own promise: a node that was
 *   cut off raises the term when it comes back.
 * - It has no TimeoutNow: leadership is not handed over to it, but found by an election.
 * - It loads no snapshot of ours, and from its own format it restores wrong values: it gets none.
 * - It ends on a command that is no text archive: such entries are kept from it.
 */
export class MixedPeer implements RaftPeer {
  private readonly peer: RevisionPeer;
  private readonly options: MixedPeerOptions;
  private readonly log: Logger;
  private complainedAt = -Infinity;
  private readonly timers = new Set<NodeJS.Timeout>();

  constructor(peer: RevisionPeer, options: MixedPeerOptions) {
    this.peer = peer;
    this.options = options;
    this.log = options.log ?? silentLogger;
  }

  set onDown(onDown: () => void) {
    this.peer.onDown = onDown;
  }

  AppendEntries(request: AppendEntries, done: (reply: AppendEntriesReply | null) => void): void {
    if (this.isOriginal && !this.applies(request)) {
      this.complain("it runs the original, and can't apply entries without commandCodec=boost");
      this.later(patienceMs, () => done(null));
    } else this.peer.AppendEntries(request, done);
  }

  RequestVote(request: RequestVote, done: (reply: RequestVoteReply | null) => void): void {
    if (!request.preVote || !this.isOriginal) {
      this.peer.RequestVote(request, done);
      return;
    }
    const willing = { voteGranted: true, voteState: granted };
    const reply = { type: "RequestVoteReply", term: request.term - 1, ...willing } as const;
    this.later(0, () => done(reply));
  }

  InstallSnapshot(
    request: InstallSnapshot,
    done: (reply: InstallSnapshotReply | null) => void,
  ): void {
    if (!this.isOriginal) {
      this.peer.InstallSnapshot(request, done);
      return;
    }
    this.complain("it runs the original, and needs entries that only a snapshot still holds");
    this.later(patienceMs, () => done(null));
  }

  TimeoutNow(request: TimeoutNow, done: (reply: TimeoutNowReply | null) => void): void {
    if (this.isOriginal) this.later(0, () => done(null));
    else this.peer.TimeoutNow(request, done);
  }

  close(): void {
    for (const timer of this.timers) clearTimeout(timer);
    this.timers.clear();
    this.peer.close();
  }

  private get isOriginal(): boolean {
    const { revision } = this.peer;
    return revision === undefined ? this.options.originalUntilKnown : revision === 1;
  }

  private applies({ entries }: AppendEntries): boolean {
    return entries.every(({ command }) => this.options.originalApplies(command));
  }

  private later(ms: number, task: () => void): void {
    const timer = setTimeout(() => {
      this.timers.delete(timer);
      task();
    }, ms);
    timer.unref();
    this.timers.add(timer);
  }

  private complain(trouble: string): void {
    const now = performance.now();
    if (now - this.complainedAt < patienceMs) return;
    this.complainedAt = now;
    this.log.error({ peer: this.options.id }, `this node can't be brought up to date: ${trouble}`);
  }
}
