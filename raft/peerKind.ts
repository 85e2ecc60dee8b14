import type { RaftPeer } from "./raftPeer.js";

/** "silent": nothing came until the deadline; "lost": the connection ended before that. */
export type GreetingAnswer = "answered" | "silent" | "lost";

/** A node over a channel that has found out which revision of the wire it speaks. */
export interface RevisionPeer extends RaftPeer {
  /** As its last reply showed it; undefined before the first. */
  readonly revision: 1 | 2 | undefined;
  /** Called when a connection stands. */
  onConnected: () => void;
  /** Called when it was lost or refused, and not by this side: another process may answer next. */
  onLost: () => void;
  /**
   * Asks what every node of ours answers at once, and one of the original never: it says nothing to
   * what it does not know, and stays whole. Returns what gives the question up.
   */
  greet(timeoutMs: number, done: (answer: GreetingAnswer) => void): () => void;
}

/** "unknown": it may be the original's, and not be ready yet. */
export type PeerKindName = "unknown" | "ours" | "original";

/**
 * Which kind of process answers at another node's address. The original's opens its port first and
 * ends on every Raft request until it has read its node list and found the others; so what has just
 * opened its port is greeted, and gets nothing else until it has answered, or spoken itself, or the
 * time that the original takes to start is over:
 *
 *                 answers, or sends a request of revision 2
 *     unknown ──────────────────────────────────────────────► ours
 *        │  ▲ ◄───── the connection is lost or refused ──────┘
 *        │  │
 *        │  └─────── the connection is lost or refused ──────┐
 *        └─────────────────────────────────────────────► original
 *                 silent for `startMs`, or sends a request of revision 1
 */
export class PeerKind {
  /** Called when it is found out to be "ours" or "original", and ready. */
  onFound: (kind: PeerKindName) => void = () => {};
  private readonly peer: RevisionPeer;
  private readonly startMs: number;
  private current: PeerKindName = "unknown";
  private giveUp: (() => void) | null = null;

  constructor(peer: RevisionPeer, startMs: number) {
    this.peer = peer;
    this.startMs = startMs;
    peer.onConnected = () => this.connected();
    peer.onLost = () => this.become("unknown");
  }

  get name(): PeerKindName {
    return this.current;
  }

  heard(revision: 1 | 2): void {
    this.become(revision === 1 ? "original" : "ours");
  }

  close(): void {
    this.become("unknown");
  }

  private connected(): void {
    // While a greeting is out, only its deadline makes this side connect anew: "silent" follows.
    if (this.current !== "unknown" || this.giveUp !== null) return;
    const giveUp = this.peer.greet(this.startMs, (answer) => {
      if (this.giveUp !== giveUp) return;
      this.giveUp = null;
      if (answer === "silent") this.become("original");
      else if (answer === "answered") this.heard(this.peer.revision ?? 2);
    });
    this.giveUp = giveUp;
  }

  private become(kind: PeerKindName): void {
    if (kind !== this.current && kind !== "unknown") this.onFound(kind);
    this.current = kind;
    const { giveUp } = this;
    this.giveUp = null;
    giveUp?.();
  }
}
