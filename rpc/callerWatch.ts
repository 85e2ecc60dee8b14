import type { RpcOptions } from "../config/options.js";
import { FrameWatch, type FrameProgress } from "./frameWatch.js";
import { IdleTimer, type IdleTimerOwner } from "./idleTimer.js";
import { Keepalive, type KeepaliveOwner } from "./keepalive.js";

export interface CallerWatchOwner extends KeepaliveOwner, IdleTimerOwner {
  /** A request has been on its way for too long. */
  onStuck(): void;
  /** Its calls still run though it has sent all that it will for so long. */
  onOverstayed(): void;
}

/**
 * Looks after what a caller does not do: send the rest of a request, call anything, live. What it
 * may leave undone depends on the revision that it speaks.
 */
export class CallerWatch {
  readonly #options: RpcOptions;
  readonly #frames: FrameWatch;
  readonly #keepalive: Keepalive;
  readonly #idle: IdleTimer;
  readonly #owner: CallerWatchOwner;
  #halfClosed: NodeJS.Timeout | null = null;

  constructor(owner: CallerWatchOwner, reader: FrameProgress, options: RpcOptions) {
    this.#options = options;
    this.#owner = owner;
    this.#frames = new FrameWatch(reader, options.frameTimeoutMs, () => owner.onStuck());
    this.#keepalive = new Keepalive(owner, options.keepaliveMs, options.keepaliveTimeoutMs);
    this.#idle = new IdleTimer(owner);
    this.#idle.start(options.firstRequestTimeoutMs);
  }

  /** Something arrived. */
  heard(): void {
    this.#keepalive.heard();
  }

  /** What had arrived was read. */
  chunkRead(): void {
    this.#frames.onChunk();
  }

  learnRevision(revision: 1 | 2): void {
    const { callerIdleTimeoutMs, revision1IdleTimeoutMs } = this.#options;
    this.#idle.start(revision === 2 ? callerIdleTimeoutMs : revision1IdleTimeoutMs);
    if (revision === 2) this.#keepalive.start();
  }

  /**
   * A FIN came. It may close one half only, and looks the same when the caller is no more: then
   * nothing would show it before the reply, which a handler may keep back for ever.
   */
  ended(): void {
    const { halfClosedTimeoutMs } = this.#options;
    this.#halfClosed ??= setTimeout(() => this.#owner.onOverstayed(), halfClosedTimeoutMs);
  }

  stop(): void {
    if (this.#halfClosed !== null) clearTimeout(this.#halfClosed);
    this.#frames.stop();
    this.#keepalive.stop();
    this.#idle.stop();
  }
}
