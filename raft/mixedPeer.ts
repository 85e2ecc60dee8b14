import { silentLogger, type Logger } from "../config/logger.js";
import { askForTerm } from "./core/index.js";
import type {
  AppendEntries,
  AppendEntriesReply,
  RequestVote,
  RequestVoteReply,
  TimeoutNow,
  TimeoutNowReply,
} from "./core/types.js";
import { PeerKind, type PeerKindName, type RevisionPeer } from "./peerKind.js";
import type { InstallSnapshot, InstallSnapshotReply, RaftPeer } from "./raftPeer.js";

export interface MixedPeerOptions {
  /** Position in the node list, for logs. */
  readonly id: number;
  /** Whether nodes of the original may be in this cluster: its log is what they can apply. */
  readonly mixed: boolean;
  /** How long such a one may take to start. */
  readonly startMs: number;
  /** Whether the original can apply this command; one that it can't ends its process. */
  readonly originalApplies: (command: Uint8Array) => boolean;
  readonly log?: Logger;
}

/** Between two lines about the same trouble, and between two attempts that can't succeed. */
const patienceMs = 5_000;

/**
 * A node that may run the original, which ends its process on much that it does not know: to such
 * a one nothing is sent that it can't take. Where it must not be in the cluster, it is found out by
 * its replies and gets no entries.
 *
 * - Until it is ready nothing is sent to it: see `PeerKind`.
 * - It has no PreVote, and would take one for a vote in the next term. It is asked for its term
 *   instead, by a vote in term 0, which none is given and which changes nothing; what that says of
 *   its being willing is the core's part.
 * - It has no TimeoutNow: leadership is not handed over to it, but found by an election.
 * - It loads no snapshot of ours, and from its own format it restores wrong values: it gets none.
 * - It ends on a command that is no text archive: such entries are kept from it.
 *
 * How entries are sent to it is the core's part: see `CoreOptions.mixed`.
 */
export class MixedPeer implements RaftPeer {
  private readonly peer: RevisionPeer;
  private readonly options: MixedPeerOptions;
  private readonly kind: PeerKind | null;
  private readonly log: Logger;
  private complainedAt = -Infinity;
  private readonly timers = new Set<NodeJS.Timeout>();

  constructor(peer: RevisionPeer, options: MixedPeerOptions) {
    this.peer = peer;
    this.options = options;
    this.kind = options.mixed ? new PeerKind(peer, options.startMs) : null;
    this.log = options.log ?? silentLogger;
    if (this.kind !== null) this.kind.onFound = (kind) => this.found(kind);
  }

  set onDown(onDown: () => void) {
    this.peer.onDown = onDown;
  }

  AppendEntries(request: AppendEntries, done: (reply: AppendEntriesReply | null) => void): void {
    const { who } = this;
    if (who === "unknown") this.later(0, () => done(null));
    else if (who === "ours" || (this.options.mixed && this.applies(request))) {
      this.peer.AppendEntries(request, done);
    } else {
      this.complain("it runs the original, and can't apply entries without commandCodec=boost");
      this.later(patienceMs, () => done(null));
    }
  }

  RequestVote(request: RequestVote, done: (reply: RequestVoteReply | null) => void): void {
    const { who } = this;
    if (who === "unknown") {
      this.later(0, () => done(null));
      return;
    }
    if (who === "ours" || !request.preVote) {
      this.peer.RequestVote(request, done);
      return;
    }
    this.peer.RequestVote(askForTerm(request.from), (reply) =>
      done(reply && { ...reply, voteGranted: false, byOriginal: true }),
    );
  }

  InstallSnapshot(
    request: InstallSnapshot,
    done: (reply: InstallSnapshotReply | null) => void,
  ): void {
    const { who } = this;
    if (who === "ours") {
      this.peer.InstallSnapshot(request, done);
      return;
    }
    if (who === "unknown") {
      this.later(0, () => done(null));
      return;
    }
    this.complain("it runs the original, and needs entries that only a snapshot still holds");
    this.later(patienceMs, () => done(null));
  }

  TimeoutNow(request: TimeoutNow, done: (reply: TimeoutNowReply | null) => void): void {
    if (this.who === "ours") this.peer.TimeoutNow(request, done);
    else this.later(0, () => done(null));
  }

  heard(revision: 1 | 2): void {
    this.kind?.heard(revision);
  }

  close(): void {
    for (const timer of this.timers) clearTimeout(timer);
    this.timers.clear();
    this.kind?.close();
    this.peer.close();
  }

  private get who(): PeerKindName {
    if (this.kind !== null) return this.kind.name;
    return this.peer.revision === 1 ? "original" : "ours";
  }

  private found(kind: PeerKindName): void {
    const who = kind === "original" ? "a node of the original, and ready" : "a node of ours";
    this.log.info({ peer: this.options.id }, `peer is ${who}`);
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
