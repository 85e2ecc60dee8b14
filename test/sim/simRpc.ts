import type { SimNetwork } from "./network.js";
import type { Prng } from "./prng.js";
import type { VirtualClock } from "./virtualClock.js";

export interface RpcTuning {
  readonly timeoutMs: number;
  /** That the caller is told at once, when the other process is down. */
  readonly refusalChance: number;
  /**
   * Hands the caller every reply that arrives: a second one to a duplicated request, and one that
   * comes after the time-out. A real channel drops those; the core must not depend on it.
   */
  readonly repeatsReplies: boolean;
}

/** "down": nobody listens there. */
export type Served = "served" | "down";

export interface SimCall<R> {
  readonly from: number;
  readonly to: number;
  /** Runs at the receiver, once for each time that the request arrives. */
  readonly serve: (respond: (reply: R) => void) => Served;
  /** Gets the reply, or null: no reply came in time. Once, unless it `mayRepeat`. */
  readonly done: (reply: R | null) => void;
  /** `RpcTuning.repeatsReplies` applies. */
  readonly mayRepeat: boolean;
  /** The connection was refused. */
  readonly refused?: () => void;
}

/** Requests and replies over a `SimNetwork`: what an `mprpc` channel gives, faults included. */
export class SimRpc {
  tuning: RpcTuning;
  private readonly clock: VirtualClock;
  private readonly network: SimNetwork;
  private readonly prng: Prng;

  constructor(clock: VirtualClock, network: SimNetwork, prng: Prng, tuning: RpcTuning) {
    this.clock = clock;
    this.network = network;
    this.prng = prng;
    this.tuning = tuning;
  }

  call<R>(call: SimCall<R>): void {
    const { from, to, serve, done } = call;
    const { timeoutMs } = this.tuning;
    const repeatsReplies = this.tuning.repeatsReplies && call.mayRepeat;
    let isOver = false;
    const finish = (reply: R | null): void => {
      if (isOver && (reply === null || !repeatsReplies)) return;
      isOver = true;
      cancelTimeout();
      done(reply);
    };
    const cancelTimeout = this.clock.after(timeoutMs, () => finish(null));
    const respond = (reply: R): void => {
      this.network.send(to, from, () => finish(reply));
    };
    this.network.send(from, to, () => {
      if (serve(respond) === "served" || !this.prng.chance(this.tuning.refusalChance)) return;
      this.network.send(to, from, () => {
        if (isOver) return;
        finish(null);
        call.refused?.();
      });
    });
  }
}
