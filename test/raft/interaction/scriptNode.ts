import {
  RaftCore,
  type CoreOptions,
  type OutgoingReply,
  type OutgoingRequest,
  type Ready,
  type SnapshotMeta,
} from "../../../raft/core/index.js";
import { DurableState, type DiskObserver, type LogWrite } from "../../sim/durableState.js";
import { place, readyText } from "./wording.js";

/** Where a node's messages go once they may leave. */
export interface Outlet {
  request(from: number, out: OutgoingRequest): string;
  reply(from: number, out: OutgoingReply): string;
  snapshot(from: number, to: number, term: number, meta: SnapshotMeta): string;
}

/** What a node's disk holds in the beginning: its term, and the terms of its entries. */
export interface StartingLog {
  readonly term: number;
  readonly terms: readonly number[];
}

interface Save {
  readonly id: number;
  readonly write: LogWrite;
  readonly requests: OutgoingRequest[];
  readonly replies: OutgoingReply[];
  readonly others: (() => string)[];
}

const noObserver: DiskObserver = {
  hardStateWritten: () => {},
  entryWritten: () => {},
  logRewritten: () => {},
  snapshotWritten: () => {},
};

/** A core with a disk whose writes are done when the script says so. */
export class ScriptNode {
  readonly id: number;
  core: RaftCore;
  /** Counts restarts: what was meant for an earlier life is not delivered. */
  life = 0;
  now = 0;
  private readonly options: CoreOptions;
  private readonly outlet: Outlet;
  private readonly disk: DurableState;
  private saves: Save[] = [];
  private applied = 0;
  /** Answers that the core does not know of; they wait for the disk like its own. */
  private others: (() => string)[] = [];

  constructor(id: number, options: CoreOptions, found: StartingLog, outlet: Outlet) {
    this.id = id;
    this.options = options;
    this.outlet = outlet;
    this.disk = new DurableState(id, noObserver);
    const command = new TextEncoder().encode("old");
    const entries = found.terms.map((term, at) => ({ index: at + 1, term, command }));
    const term = Math.max(found.term, found.terms.at(-1) ?? 0);
    if (term > 0) this.disk.apply({ hardState: { term, votedFor: -1 }, entries });
    this.core = this.start();
  }

  private start(): RaftCore {
    const found = this.disk.recover();
    this.applied = found.snapshot.index;
    return new RaftCore(this.id, this.options, found, this.now);
  }

  /** The process ends; what was not synced is lost. */
  restart(): string[] {
    this.life++;
    this.saves = [];
    this.others = [];
    this.core = this.start();
    const { term, log } = this.core;
    return [
      `${this.id} starts with term ${term}, log to ${place({ index: log.lastIndex, term: log.lastTerm })}`,
    ];
  }

  elapse(ms: number): void {
    this.now += ms;
    this.core.tick(this.now);
  }

  get hasWork(): boolean {
    return this.core.hasReady() || this.saves.length > 0 || this.others.length > 0;
  }

  /** Takes the newest output; its save stays under way. */
  ready(): string[] {
    const ready = this.core.ready();
    if (ready === null) return this.answerOthers();
    const lines = readyText(this.id, ready, this.applied);
    this.applied = Math.max(this.applied, ready.commitIndex);
    for (const out of ready.requests) lines.push(this.outlet.request(this.id, out));
    for (const out of ready.replies) lines.push(this.outlet.reply(this.id, out));
    for (const { to, term } of ready.snapshots) lines.push(this.sendSnapshot(to, term));
    lines.push(...this.save(ready));
    return lines;
  }

  private answerOthers(): string[] {
    const { others } = this;
    this.others = [];
    const last = this.saves.at(-1);
    if (last === undefined) return others.map((send) => send());
    last.others.push(...others);
    return [];
  }

  private save(ready: Ready): string[] {
    const { saveId, snapshot, hardState, entries } = ready;
    const requests = [...ready.requestsAfterPersist];
    const replies = [...ready.repliesAfterPersist];
    const { others } = this;
    this.others = [];
    if (saveId !== 0) {
      const reset = snapshot === null ? {} : { reset: snapshot };
      const write = { ...reset, hardState, entries };
      this.saves.push({ id: saveId, write, requests, replies, others });
      return [];
    }
    const last = this.saves.at(-1);
    if (last === undefined) return this.leave(requests, replies, others);
    last.requests.push(...requests);
    last.replies.push(...replies);
    last.others.push(...others);
    return [];
  }

  /** The oldest save is on disk, and what waited for it leaves. */
  persist(): string[] {
    const save = this.saves.shift();
    if (save === undefined) return [];
    this.disk.apply(save.write);
    const lines = [
      `${this.id} has save ${save.id} on disk`,
      ...this.leave(save.requests, save.replies, save.others),
    ];
    this.core.persisted(save.id);
    return lines;
  }

  private leave(
    requests: readonly OutgoingRequest[],
    replies: readonly OutgoingReply[],
    others: readonly (() => string)[],
  ): string[] {
    return [
      ...requests.map((out) => this.outlet.request(this.id, out)),
      ...replies.map((out) => this.outlet.reply(this.id, out)),
      ...others.map((send) => send()),
    ];
  }

  private sendSnapshot(to: number, term: number): string {
    const meta = this.disk.snapshot?.meta;
    if (meta === undefined) throw new Error(`node ${this.id} has no snapshot to send`);
    return this.outlet.snapshot(this.id, to, term, meta);
  }

  /** The application takes a snapshot at `index`, and the entries up to there go. */
  compact(index: number): void {
    this.disk.writeSnapshot({ meta: { index, term: this.core.log.term(index) }, hash: 0 });
    this.core.compact(index);
    this.disk.apply({ compactThrough: index });
  }

  /** A whole snapshot has come; it is on disk before the core hears of it. */
  receive(
    from: number,
    term: number,
    meta: SnapshotMeta,
    answer: (taken: boolean) => string,
  ): void {
    const taken = this.core.snapshotChunk(term, from);
    if (taken) {
      this.disk.writeSnapshot({ meta, hash: 0 });
      this.core.snapshotReceived(term, from, meta);
    }
    this.others.push(() => answer(taken));
  }
}
