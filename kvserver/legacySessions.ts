import type { CallOrigin, MprpcController } from "../rpc/mprpcController.js";
import { copyBytes } from "./freshBytes.js";
import { incarnationName, stampableIdMax, stampedId } from "./incarnations.js";
import type { Op } from "./op.js";

/** What is to be known of the node. */
export interface LegacySessionsOwner {
  leadership(): { readonly term: number; readonly isLeader: boolean };
  lastLogIndex(): number;
  lastApplied(): number;
  /** Names of the incarnations of `clientId` whose last request is `id`, as applied so far. */
  incarnationsAt(clientId: Uint8Array, id: number): readonly Uint8Array[];
  /** The process that wrote to this session is no more. */
  finished(name: Uint8Array): void;
}

interface Binding {
  readonly clientId: Uint8Array;
  /** Of its session, in the log. */
  readonly name: Uint8Array;
}

interface FirstWrite {
  readonly index: number;
  readonly decide: () => void;
}

/** Takes the op as it is to be logged; null: this node no longer leads, or nobody waits. */
type Assigned = (op: Op | null) => void;

/**
 * Which session the writes of a revision-1 connection belong to, while this node leads one term.
 *
 * All clerks of the original have one ClientId and count from 1. Each has one request at a time and
 * repeats it, with the same bytes, until it is answered; it may do so on another connection, at
 * another leader. So only the first write of a connection in a term can be a retry of what was sent
 * elsewhere, and then it is some session's last request:
 *
 *     first write ── all that the log holds is applied
 *        │             a session ends with this very request, and no other live connection is its?
 *        │               yes: a retry; the connection goes on with that session
 *        │               no:  a process not seen before, or one that goes on after a change of
 *        │                    leaders; the connection gets a session of its own
 *     further writes: that session
 *     the caller closes, with everything answered: the process has ended, and so does its session
 */
export class LegacySessions {
  private readonly owner: LegacySessionsOwner;
  private term = 0;
  private count = 0;
  private readonly bindings = new Map<CallOrigin, Binding>();
  /** Names of the sessions that live connections write to. */
  private readonly live = new Set<string>();
  private firstWrites: FirstWrite[] = [];

  constructor(owner: LegacySessionsOwner) {
    this.owner = owner;
  }

  /** Puts the session that it belongs to into `op`, at once or when that can be told. */
  assign(op: Op, controller: MprpcController, assigned: Assigned): void {
    if (op.clientId.length === 0 || op.firstUnfinished !== 0 || op.requestId > stampableIdMax)
      return assigned(op);
    const { term } = this.owner.leadership();
    const requestId = stampedId(op);
    const bound = this.sessionOf(controller.origin, op.clientId, term);
    if (bound !== null) return assigned({ ...op, clientId: bound, requestId });
    // Its bytes are the connection's, and may change while it waits.
    const { key, value, clientId } = op;
    const kept = { ...op, key: copyBytes(key), value: copyBytes(value), requestId };
    const id = copyBytes(clientId);
    this.whenApplied(this.owner.lastLogIndex(), () => {
      const now = this.owner.leadership();
      // Of a caller that is gone nobody would hear that its connection has ended.
      if (!now.isLeader || now.term !== term || controller.isCanceled()) return assigned(null);
      assigned({ ...kept, clientId: this.bind(controller.origin, id, requestId, term) });
    });
  }

  /** Everything up to `index` was applied. */
  applied(index: number): void {
    let count = 0;
    while (count < this.firstWrites.length && this.firstWrites[count]!.index <= index) count++;
    if (count === 0) return;
    for (const { decide } of this.firstWrites.splice(0, count)) decide();
  }

  /** This node no longer leads. */
  loseAll(): void {
    for (const { decide } of this.firstWrites.splice(0)) decide();
  }

  /** The session of this connection; null before its first write in `term`. */
  private sessionOf(origin: CallOrigin, clientId: Uint8Array, term: number): Uint8Array | null {
    const binding = term === this.term ? this.bindings.get(origin) : undefined;
    if (binding === undefined || Buffer.compare(binding.clientId, clientId) !== 0) return null;
    return binding.name;
  }

  private whenApplied(index: number, decide: () => void): void {
    if (index <= this.owner.lastApplied()) decide();
    else this.firstWrites.push({ index, decide });
  }

  private bind(
    origin: CallOrigin,
    clientId: Uint8Array,
    requestId: number,
    term: number,
  ): Uint8Array {
    if (term !== this.term) this.begin(term);
    const bound = this.sessionOf(origin, clientId, term);
    if (bound !== null) return bound;
    this.forget(origin);
    const retried = this.owner.incarnationsAt(clientId, requestId);
    const name =
      retried.find((candidate) => !this.live.has(textOf(candidate))) ??
      incarnationName(clientId, term, ++this.count);
    this.bindings.set(origin, { clientId, name });
    this.live.add(textOf(name));
    origin.onEnded = (finished) => this.ended(origin, finished);
    return name;
  }

  private begin(term: number): void {
    this.term = term;
    this.count = 0;
    this.bindings.clear();
    this.live.clear();
  }

  private ended(origin: CallOrigin, finished: boolean): void {
    const name = this.forget(origin);
    if (name !== null && finished) this.owner.finished(name);
  }

  private forget(origin: CallOrigin): Uint8Array | null {
    const binding = this.bindings.get(origin);
    if (binding === undefined) return null;
    this.bindings.delete(origin);
    this.live.delete(textOf(binding.name));
    return binding.name;
  }
}

function textOf(name: Uint8Array): string {
  return Buffer.from(name.buffer, name.byteOffset, name.length).toString("latin1");
}
