import type { ClerkEnvironment } from "./environment.js";
import { readVerdict } from "./outcome.js";
import type { ServerReply } from "./serverNode.js";

/** What the watch needs of those that send. */
export interface WatchedAttempts {
  /** The node that is believed to lead. */
  readonly leader: number;
  /** Whether an attempt at that node waits for its answer, and that node may be doubted. */
  isWaiting(): boolean;
  /** Asks `node` whether it leads; null: it gave no answer, or may not be asked. */
  ask(node: number, done: (reply: ServerReply | null) => void): void;
  /** `node` leads, and what waits at the silent one is to go there. */
  found(silent: number, node: number): void;
}

/** Further questions come this much later each time, for a leader may just be slow. */
const growth = 1.25;
const firstPauseShare = 1 / 2;

/**
 * A node that stands still, or whose machine is gone, closes no connection: to whoever waits for its
 * answer it is merely slow. So when no answer has come for a while, the others are asked, one at a
 * time; only one that proves to lead, by a quorum's word, takes the calls over.
 */
export class SilenceWatch {
  private readonly attempts: WatchedAttempts;
  private readonly environment: ClerkEnvironment;
  private readonly nodeCount: number;
  private readonly silenceMs: number;
  private answers = 0;
  private answersSeen = 0;
  /** Questions since the last answer. */
  private asked = 0;
  /** Nodes whose answer to a question is still to come. */
  private readonly pending = new Set<number>();
  private cancelTimer: (() => void) | null = null;

  /** @param silenceMs After so long without an answer the others are asked; `Infinity`: never. */
  constructor(
    attempts: WatchedAttempts,
    environment: ClerkEnvironment,
    nodeCount: number,
    silenceMs: number,
  ) {
    this.attempts = attempts;
    this.environment = environment;
    this.nodeCount = nodeCount;
    this.silenceMs = silenceMs;
  }

  /** An attempt has begun. */
  began(): void {
    if (this.cancelTimer !== null || this.nodeCount === 1 || this.silenceMs === Infinity) return;
    this.answersSeen = this.answers;
    this.asked = 0;
    this.arm(this.silenceMs);
  }

  /** A node has answered, whatever it said. */
  answered(): void {
    this.answers++;
  }

  stop(): void {
    this.cancelTimer?.();
    this.cancelTimer = null;
  }

  private arm(ms: number): void {
    this.cancelTimer = this.environment.setTimer(ms, () => this.look());
  }

  private look(): void {
    this.cancelTimer = null;
    if (!this.attempts.isWaiting()) return;
    if (this.answers !== this.answersSeen) return this.began();
    this.arm(this.silenceMs * firstPauseShare * growth ** this.asked);
    const { leader } = this.attempts;
    this.ask(leader, (leader + 1 + (this.asked++ % (this.nodeCount - 1))) % this.nodeCount);
  }

  private ask(silent: number, node: number, mayAskAgain = true): void {
    if (this.pending.has(node)) return;
    this.pending.add(node);
    this.attempts.ask(node, (reply) => {
      this.pending.delete(node);
      const isOver = this.attempts.leader !== silent || this.answers !== this.answersSeen;
      if (reply === null || isOver) return;
      const hinted = reply.LeaderHint - 1;
      const verdict = readVerdict(reply.Err);
      if (verdict === "ok" || verdict === "noKey") {
        this.answered();
        this.attempts.found(silent, node);
      } else if (verdict !== "wrongLeader" || !mayAskAgain) return;
      else if (hinted >= 0 && hinted < this.nodeCount && hinted !== silent && hinted !== node)
        this.ask(silent, hinted, false);
    });
  }
}
