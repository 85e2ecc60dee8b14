import { pacer } from "./pacer.js";

/** Whom a `Keepalive` serves. */
export interface KeepaliveOwner {
  /** Whether the peer is known to answer pings. */
  readonly canPing: boolean;
  /** Whether silence means anything: we read, and no output of ours stands before the ping. */
  readonly canJudge: boolean;
  ping(): void;
  /** The peer has been silent for so long that it must be gone. */
  onDead(silentMs: number): void;
}

/**
 * Finds a peer that vanished without a FIN: a machine that lost its power, a cable, a firewall
 * that forgot. What it costs is a time stamp a chunk and one timer.
 *
 *     silent for `idleMs` ── ping ──► silent for `timeoutMs` more ──► dead
 *            ▲                                   │
 *            └────────── anything at all ────────┘
 */
export class Keepalive {
  readonly #owner: KeepaliveOwner;
  readonly #idleMs: number;
  readonly #timeoutMs: number;
  #timer: NodeJS.Timeout | null = null;
  #stopped = false;
  #heardAt = performance.now();
  /** 0 while no ping waits for a sign of life. */
  #pingedAt = 0;

  /** `idleMs` 0: never. */
  constructor(owner: KeepaliveOwner, idleMs: number, timeoutMs: number) {
    this.#owner = owner;
    this.#idleMs = idleMs;
    this.#timeoutMs = timeoutMs;
  }

  start(): void {
    if (this.#idleMs > 0 && this.#timer === null) this.#wait(this.#idleMs);
  }

  stop(): void {
    this.#stopped = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
  }

  /** Something arrived. */
  heard(): void {
    this.#heardAt = performance.now();
  }

  #wait(ms: number): void {
    if (this.#stopped) return;
    // Rounded up: a timer that fires early would find nothing and fire again.
    this.#timer = setTimeout(this.#look, Math.max(1, Math.ceil(ms)));
    // Whoever waits for a call holds a socket: the timer alone must not keep a process.
    this.#timer.unref();
  }

  readonly #look = (): void => {
    // When this process was stopped for a while its timers fire before its sockets are read: what
    // has arrived meanwhile must be heard first. And ten thousand pings at once would stop the loop.
    pacer.run(this.#judgeIfRunning);
  };

  readonly #judgeIfRunning = (): void => {
    if (!this.#stopped) this.#judge(performance.now());
  };

  #judge(now: number): void {
    if (this.#pingedAt > 0 && this.#heardAt < this.#pingedAt) {
      if (this.#owner.canJudge) {
        this.#stopped = true;
        this.#owner.onDead(now - this.#heardAt);
        return;
      }
      // As if it had just spoken: it is asked anew once it can be heard.
      this.#heardAt = now;
    }
    this.#pingedAt = 0;
    const silentMs = now - this.#heardAt;
    if (silentMs < this.#idleMs) this.#wait(this.#idleMs - silentMs);
    else if (this.#owner.canPing) this.#ping(now);
    else this.#wait(this.#idleMs);
  }

  #ping(now: number): void {
    this.#pingedAt = now;
    this.#owner.ping();
    this.#wait(this.#timeoutMs);
  }
}
