/** Whom an `IdleTimer` serves. */
export interface IdleTimerOwner {
  /** Calls that run now. */
  readonly callsRunning: number;
  /** Calls that have ever begun. */
  readonly callsBegun: number;
  /** No call has run for the whole time. */
  onIdle(): void;
}

/** Looks a time: how much later than asked for idleness may be seen, as a part of it. */
const looks = 4;

/**
 * Tells of a connection that no call has used for a time, give or take a quarter. The calls do
 * nothing for it: it compares two counts now and then.
 */
export class IdleTimer {
  readonly #owner: IdleTimerOwner;
  #timer: NodeJS.Timeout | null = null;
  #idleMs = 0;
  #callsBegun = 0;
  #quietLooks = 0;

  constructor(owner: IdleTimerOwner) {
    this.#owner = owner;
  }

  /** Begins to count, anew if it had begun. `idleMs` 0: never. */
  start(idleMs: number): void {
    this.stop();
    this.#idleMs = idleMs;
    this.#quietLooks = 0;
    this.#callsBegun = this.#owner.callsBegun;
    if (idleMs > 0) this.#wait();
  }

  stop(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
  }

  #wait(): void {
    this.#timer = setTimeout(this.#look, Math.max(1, this.#idleMs / looks));
    this.#timer.unref();
  }

  readonly #look = (): void => {
    const { callsRunning, callsBegun } = this.#owner;
    const quiet = callsRunning === 0 && callsBegun === this.#callsBegun;
    this.#callsBegun = callsBegun;
    this.#quietLooks = quiet ? this.#quietLooks + 1 : 0;
    if (this.#quietLooks < looks) this.#wait();
    else this.#owner.onIdle();
  };
}
