/** One input against a provider: a connection of its own, and what must come of it. */
import { connect, type Socket } from "node:net";
import type { Prng } from "../../sim/prng.js";
import { frame } from "../support.js";
import { findFault, foretell, isSatisfied, type Expectation } from "./expectation.js";
import type { Input } from "./mutate.js";
import type { Limits } from "./wireModel.js";

/** How long a provider may take for one input; far more than it needs on a busy machine. */
const inputTimeoutMs = 30_000;
/** Behind an input that ends between two frames: its answer shows that the provider thinks so, too. */
const lastPingId = Number.MAX_SAFE_INTEGER - 2;
const lastPing = frame({ call_id: lastPingId, flags: 4 });

/** `answered`: all came that had to; `ended`: the provider hung up, as it had to; `left`: we did. */
export type Ending = "answered" | "ended" | "left";

export interface AttackResult {
  readonly ending: Ending;
  /** What the provider did wrong; null when nothing. */
  readonly fault: string | null;
  readonly frames: number;
  readonly oneWayHangs: number;
}

export async function attack(
  port: number,
  input: Input,
  limits: Limits,
  prng: Prng,
): Promise<AttackResult> {
  const bytes = Buffer.concat(input.pieces);
  const first = foretell(bytes, limits);
  const pinged = first.end === "whole" && !first.ends && first.legacy === 0;
  const pieces = pinged ? [...input.pieces, lastPing] : input.pieces;
  const expected = pinged ? foretell(Buffer.concat(pieces), limits) : first;
  const leaves = !pinged && !expected.ends && prng.chance(0.5);
  const connection = new Attacker(port, expected);
  const satisfied = await connection.run(pieces, leaves);
  connection.leave(prng.chance(0.1));
  const fault = findFault(expected, connection.received);
  return {
    ending: expected.ends ? "ended" : leaves ? "left" : "answered",
    fault: fault ?? connection.fault ?? (satisfied ? null : "what had to come never came"),
    frames: expected.frames,
    oneWayHangs: expected.oneWayHangs,
  };
}

class Attacker {
  readonly #expected: Expectation;
  readonly #socket: Socket;
  readonly #chunks: Buffer[] = [];
  #closed = false;
  #changed: () => void = () => {};
  fault: string | null = null;

  constructor(port: number, expected: Expectation) {
    this.#expected = expected;
    this.#socket = connect({ host: "127.0.0.1", port, noDelay: true });
    this.#socket.on("data", (chunk: Buffer) => {
      this.#chunks.push(chunk);
      this.#changed();
    });
    this.#socket.on("error", (error: NodeJS.ErrnoException) => {
      // A reset, or a write behind one; anything else is the fuzzer's own trouble.
      if (error.code !== "ECONNRESET" && error.code !== "EPIPE") this.fault = String(error);
    });
    this.#socket.on("close", () => this.#onEnd());
    this.#socket.on("end", () => this.#onEnd());
  }

  get received(): Buffer {
    return Buffer.concat(this.#chunks);
  }

  /** Sends all pieces, and waits for what must come; false when it did not. */
  async run(pieces: readonly Buffer[], leaves: boolean): Promise<boolean> {
    for (const piece of pieces) {
      this.#socket.write(piece);
      if (pieces.length > 1) await new Promise((resolve) => setImmediate(resolve));
    }
    return leaves || (await this.#wait());
  }

  /** By a FIN, or at once. */
  leave(orderly: boolean): void {
    if (this.#closed) return;
    if (orderly) this.#socket.destroySoon();
    else this.#socket.resetAndDestroy();
  }

  #onEnd(): void {
    const { ends, mayEnd } = this.#expected;
    if (!ends && !mayEnd && !this.#closed && !this.#socket.destroyed) {
      this.fault = "the provider hung up on a stream with which nothing was wrong";
    }
    this.#closed = true;
    this.#changed();
  }

  #wait(): Promise<boolean> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => resolve(false), inputTimeoutMs);
      this.#changed = () => {
        if (!isSatisfied(this.#expected, this.received, this.#closed) && !this.#closed) return;
        clearTimeout(timer);
        resolve(isSatisfied(this.#expected, this.received, this.#closed));
      };
      this.#changed();
    });
  }
}
