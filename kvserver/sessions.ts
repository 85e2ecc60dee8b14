import { replicated } from "../config/options.js";
import { ByteHash } from "./byteHash.js";
import { equalBytes } from "./equalBytes.js";
import { Err } from "./err.js";
import { copyBytes } from "./freshBytes.js";
import { HashIndex } from "./hashIndex.js";
import { IdWindow } from "./idWindow.js";
import { clientIdBytesOf, IncarnationIndex } from "./incarnations.js";
import { SessionTable } from "./sessionTable.js";

/** The bounds of `replicated` that sessions keep to. */
export interface SessionLimits {
  readonly sessionsMax: number;
  readonly sessionIdleMsMax: number;
  readonly sessionWindowMax: number;
  readonly sessionDropsPerCommandMax: number;
  readonly clientIdBytesMax: number;
  readonly sessionNameBytesMax: number;
}

/** One session, as a snapshot holds it. */
export interface SessionRecord {
  readonly clientId: Uint8Array;
  /** By OpenSession; else it is one of a client of the original's kind. */
  readonly opened: boolean;
  /** Ids below are finished for the client. 0 when it was not opened. */
  readonly firstUnfinished: number;
  /** Every id up to here was applied; the last request's when it was not opened. */
  readonly appliedThrough: number;
  /** By the log's clock. */
  readonly lastActiveMs: number;
  /** Applied ids above `appliedThrough`, ascending. */
  readonly outOfOrder: readonly number[];
  /** Applied ids whose result is ErrValueTooLarge, ascending. */
  readonly tooLarge: readonly number[];
}

/**
 * Which requests of which clients were applied, and with what result (thesis §6.3). Everything here
 * follows from the log alone, so all replicas hold the same, down to the order of activity.
 *
 * An opened session may have many requests in flight. Its client says below which id it needs no
 * results any more; nothing is kept for those:
 *
 *     id    1 2 3 4 | 5 6 7 | 8  9* 10 11* 12 ...   | firstUnfinished + window
 *           finished| firstUnfinished = 5            \ refused from here
 *           applied through 7 -----^   (* applied out of order)
 *
 * A client of the original's kind opens nothing and has one request at a time: its session is the
 * last id and that result. Requests without a client id have no session.
 */
export class Sessions {
  private readonly limits: SessionLimits;
  private readonly table = new SessionTable();
  private readonly index = new HashIndex();
  private readonly hasher = new ByteHash();
  private readonly incarnations = new IncarnationIndex();
  private clockMs = 0;
  /** Captures taken so far. A window of an older epoch may be in one and is copied on change. */
  private epoch = 0;
  /** The session and the id of the last request that `admit` let pass. */
  private admittedSlot = 0;
  private admittedId = 0;

  constructor(limits: SessionLimits = replicated) {
    this.limits = limits;
  }

  get size(): number {
    return this.table.size;
  }

  /** The log's clock: the latest time that an entry told. */
  get logTimeMs(): number {
    return this.clockMs;
  }

  /** Before an entry is applied: moves the clock on and drops sessions that were idle too long. */
  advanceClock(logTimeMs: number): void {
    if (logTimeMs <= this.clockMs) return;
    this.clockMs = logTimeMs;
    for (let drops = 0; drops < this.limits.sessionDropsPerCommandMax; drops++) {
      const oldest = this.table.oldest;
      if (oldest === 0) return;
      if (this.clockMs - this.table.lastActiveMs(oldest) <= this.limits.sessionIdleMsMax) return;
      this.drop(oldest);
    }
  }

  /** Opens a session; one that is open already stays as it is. */
  open(clientId: Uint8Array): Err {
    if (clientId.length === 0 || clientId.length > this.limits.clientIdBytesMax) {
      return Err.sessionExpired;
    }
    const slot = this.find(clientId);
    if (slot !== 0 && this.table.isOpened(slot)) {
      this.table.touch(slot, this.clockMs);
      return Err.ok;
    }
    if (slot !== 0) this.drop(slot);
    this.create(clientId, true, 1, 0);
    return Err.ok;
  }

  /** Ends a session, if it is there. */
  close(clientId: Uint8Array): Err {
    const slot = this.find(clientId);
    if (slot !== 0) this.drop(slot);
    return Err.ok;
  }

  /** Names of the incarnations of a revision-1 client whose last request is `id`. */
  incarnationsAt(clientId: Uint8Array, id: number): Uint8Array[] {
    const names = [];
    for (const slot of this.incarnations.candidates(clientId, id)) {
      const name = this.table.clientId(slot);
      const isMeant = equalBytes(name.subarray(0, clientIdBytesOf(name)), clientId);
      if (isMeant && this.table.appliedThrough(slot) === id) names.push(name);
    }
    return names;
  }

  /**
   * A request is to be applied: null when it must be, for the first time; otherwise its result, and
   * nothing is to be done.
   */
  admit(clientId: Uint8Array, requestId: number, firstUnfinished: number): Err | null {
    this.admittedSlot = 0;
    if (clientId.length === 0 && firstUnfinished === 0) return null;
    if (clientId.length > this.limits.sessionNameBytesMax) return Err.sessionExpired;
    const slot = this.find(clientId);
    if (slot !== 0 && this.table.isOpened(slot)) {
      return this.admitOpened(slot, requestId, firstUnfinished);
    }
    if (firstUnfinished > 0) return Err.sessionExpired;
    return this.admitSequential(slot, clientId, requestId);
  }

  /** The request that `admit` let pass was refused for its size, and a retry must hear so too. */
  recordTooLarge(): void {
    const slot = this.admittedSlot;
    if (slot === 0) return;
    const floor = this.table.isOpened(slot) ? this.table.firstUnfinished(slot) : this.admittedId;
    const window = this.writable(this.table.tooLarge(slot), floor);
    window.add(this.admittedId);
    this.table.setTooLarge(slot, window);
  }

  /** The result of a request that was applied; undefined when that is not known here. */
  lookup(clientId: Uint8Array, requestId: number, firstUnfinished: number): Err | undefined {
    const slot = this.find(clientId);
    if (slot === 0) return undefined;
    const opened = this.table.isOpened(slot);
    if (!opened && firstUnfinished > 0) return undefined;
    const applied =
      requestId <= this.table.appliedThrough(slot) ||
      (opened && this.table.outOfOrder(slot)?.has(requestId) === true);
    return applied ? this.resultOf(slot, requestId) : undefined;
  }

  /**
   * All sessions as they are now, least recently active first. Takes a millisecond for a hundred
   * thousand; the records are made as they are read, while sessions go on changing.
   */
  capture(): Iterable<SessionRecord> {
    this.epoch++;
    return this.table.copy().records();
  }

  /** Adds a session of a snapshot, as the most recently active one. False: it is there already. */
  restore(record: SessionRecord): boolean {
    if (this.find(record.clientId) !== 0) return false;
    const { opened, firstUnfinished, appliedThrough } = record;
    const slot = this.create(record.clientId, opened, firstUnfinished, appliedThrough);
    this.table.touch(slot, record.lastActiveMs);
    const floor = opened ? firstUnfinished : appliedThrough;
    this.table.setTooLarge(slot, this.windowOf(floor, record.tooLarge));
    this.table.setOutOfOrder(slot, this.windowOf(appliedThrough + 1, record.outOfOrder));
    return true;
  }

  private admitOpened(slot: number, id: number, firstUnfinished: number): Err | null {
    const floor = Math.max(firstUnfinished, this.table.firstUnfinished(slot));
    if (id >= floor + this.limits.sessionWindowMax) return Err.sessionExpired;
    this.table.touch(slot, this.clockMs);
    if (floor > this.table.firstUnfinished(slot)) this.finishBelow(slot, floor);
    const through = this.table.appliedThrough(slot);
    if (id <= through) return this.resultOf(slot, id);
    if (id === through + 1) {
      this.appliedInOrder(slot, id);
    } else {
      const window = this.table.outOfOrder(slot);
      if (window?.has(id) === true) return this.resultOf(slot, id);
      const changed = this.writable(window, through + 1);
      changed.add(id);
      this.table.setOutOfOrder(slot, changed);
    }
    this.admittedSlot = slot;
    this.admittedId = id;
    return null;
  }

  private admitSequential(slot: number, clientId: Uint8Array, id: number): Err | null {
    let session = slot;
    if (session === 0) {
      session = this.create(clientId, false, 0, id);
    } else {
      this.table.touch(session, this.clockMs);
      const through = this.table.appliedThrough(session);
      if (id <= through) return this.resultOf(session, id);
      this.table.setAppliedThrough(session, id);
      this.incarnations.remove(clientId, through, session);
      this.incarnations.add(clientId, id, session);
      this.table.setTooLarge(session, null);
    }
    this.admittedSlot = session;
    this.admittedId = id;
    return null;
  }

  /** Below the low-water mark nothing is known any more, and nobody asks. */
  private resultOf(slot: number, id: number): Err {
    return this.table.tooLarge(slot)?.has(id) === true ? Err.valueTooLarge : Err.ok;
  }

  private appliedInOrder(slot: number, id: number): void {
    let through = id;
    const window = this.table.outOfOrder(slot);
    if (window !== null) {
      while (window.has(through + 1)) through++;
      this.table.setOutOfOrder(slot, this.raised(window, through + 1));
    }
    this.table.setAppliedThrough(slot, through);
  }

  private finishBelow(slot: number, floor: number): void {
    this.table.setFirstUnfinished(slot, floor);
    const tooLarge = this.table.tooLarge(slot);
    if (tooLarge !== null) this.table.setTooLarge(slot, this.raised(tooLarge, floor));
    if (floor - 1 > this.table.appliedThrough(slot)) this.appliedInOrder(slot, floor - 1);
  }

  private raised(window: IdWindow, floor: number): IdWindow | null {
    const changed = this.writable(window, floor);
    changed.raise(floor);
    return changed.size === 0 ? null : changed;
  }

  private writable(window: IdWindow | null, floor: number): IdWindow {
    if (window === null) return new IdWindow(floor, this.limits.sessionWindowMax, this.epoch);
    return window.epoch === this.epoch ? window : window.clone(this.epoch);
  }

  private windowOf(floor: number, ids: readonly number[]): IdWindow | null {
    if (ids.length === 0) return null;
    const window = this.writable(null, floor);
    for (const id of ids) window.add(id);
    return window;
  }

  private find(clientId: Uint8Array): number {
    let slot = this.index.first(this.hasher.hash(clientId));
    while (slot !== 0 && !equalBytes(this.table.clientId(slot), clientId)) slot = this.index.next();
    return slot;
  }

  private create(
    clientId: Uint8Array,
    opened: boolean,
    firstUnfinished: number,
    appliedThrough: number,
  ): number {
    if (this.table.size >= this.limits.sessionsMax) this.drop(this.table.oldest);
    const slot = this.table.create(copyBytes(clientId), opened);
    this.table.setFirstUnfinished(slot, firstUnfinished);
    this.table.setAppliedThrough(slot, appliedThrough);
    this.table.touch(slot, this.clockMs);
    this.index.add(this.hasher.hash(clientId), slot);
    if (!opened) this.incarnations.add(clientId, appliedThrough, slot);
    return slot;
  }

  private drop(slot: number): void {
    const { table } = this;
    const clientId = table.clientId(slot);
    this.index.remove(this.hasher.hash(clientId), slot);
    if (!table.isOpened(slot)) this.incarnations.remove(clientId, table.appliedThrough(slot), slot);
    table.destroy(slot);
  }
}
