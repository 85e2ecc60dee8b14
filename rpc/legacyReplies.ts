import type { Connection } from "./connection.js";
import type { ServerCall } from "./serverCall.js";

/** What the caller of one call is to get: bytes, or a reset connection. */
interface Outcome {
  readonly call: ServerCall | null;
  reply: Uint8Array | null;
  ready: boolean;
}

/**
 * The replies of a revision-1 connection. Its replies say neither how long they are nor which call
 * they answer, and its clients take whatever one `recv` returns for the reply: so they go out in
 * the order of the requests, each in a write of its own, and never is one empty. Where there is
 * nothing to send the connection is reset, which such clients survive; silence would hang them.
 */
export class LegacyReplies {
  readonly #connection: Connection;
  readonly #onSent: (call: ServerCall) => void;
  readonly #outcomes: Outcome[] = [];
  #writing = false;

  /** `onSent` is called when the answer of a call has gone out. */
  constructor(connection: Connection, onSent: (call: ServerCall) => void) {
    this.#connection = connection;
    this.#onSent = onSent;
  }

  get empty(): boolean {
    return this.#outcomes.length === 0;
  }

  /** A request arrived; its answer keeps its place in the row. */
  expect(call: ServerCall): void {
    this.#outcomes.push({ call, reply: null, ready: false });
  }

  /** A request arrived that can't be answered. */
  refuse(): void {
    this.#outcomes.push({ call: null, reply: null, ready: true });
    this.#pump();
  }

  /** The answer of a call: the bytes of its reply, or null when it failed. */
  answer(call: ServerCall, reply: Uint8Array | null): void {
    const outcome = this.#outcomes.find((candidate) => candidate.call === call);
    if (outcome === undefined) return;
    outcome.reply = reply;
    outcome.ready = true;
    this.#pump();
  }

  #pump(): void {
    const first = this.#outcomes[0];
    if (first === undefined || !first.ready || this.#writing) return;
    const { call, reply } = first;
    if (call === null || reply === null || reply.length === 0) {
      this.#connection.reset();
      return;
    }
    this.#writing = true;
    this.#connection.writeAlone(reply, () => {
      this.#writing = false;
      this.#outcomes.shift();
      this.#onSent(call);
      this.#pump();
    });
  }
}
