import type { IdWindow } from "./idWindow.js";
import type { SessionRecord } from "./sessions.js";

const slotsMin = 16;
const noBytes = new Uint8Array(0);
const noIds: readonly number[] = [];

/**
 * The sessions' fields in columns, and their order of activity as a list threaded through them:
 * touching a session costs no allocation, and copying all of them costs a few array copies. Slot 0
 * stands for none, and for both ends of the list.
 */
export class SessionTable {
  private openedOf = new Uint8Array(slotsMin);
  private firstUnfinishedOf = new Float64Array(slotsMin);
  private appliedThroughOf = new Float64Array(slotsMin);
  private lastActiveMsOf = new Float64Array(slotsMin);
  private older = new Int32Array(slotsMin);
  private newer = new Int32Array(slotsMin);
  private clientIds: Uint8Array[] = [noBytes];
  private outOfOrderOf: (IdWindow | null)[] = [null];
  private tooLargeOf: (IdWindow | null)[] = [null];
  private slotsFree: number[] = [];
  private count = 0;

  get size(): number {
    return this.count;
  }

  /** The slot of the least recently active session, or 0. */
  get oldest(): number {
    return this.newer[0]!;
  }

  /** A new slot, whose other fields are 0 and which the next `touch` makes the newest. */
  create(clientId: Uint8Array, opened: boolean): number {
    const slot = this.slotsFree.pop() ?? this.clientIds.length;
    if (slot === this.openedOf.length) this.grow();
    this.clientIds[slot] = clientId;
    this.openedOf[slot] = opened ? 1 : 0;
    this.outOfOrderOf[slot] = null;
    this.tooLargeOf[slot] = null;
    this.older[slot] = slot;
    this.newer[slot] = slot;
    this.count++;
    return slot;
  }

  destroy(slot: number): void {
    this.unlink(slot);
    this.clientIds[slot] = noBytes;
    this.outOfOrderOf[slot] = null;
    this.tooLargeOf[slot] = null;
    this.slotsFree.push(slot);
    this.count--;
  }

  /** The session was active: it is the newest now. */
  touch(slot: number, timeMs: number): void {
    this.lastActiveMsOf[slot] = timeMs;
    const newest = this.older[0]!;
    if (newest === slot) return;
    this.unlink(slot);
    this.newer[newest] = slot;
    this.older[slot] = newest;
    this.newer[slot] = 0;
    this.older[0] = slot;
  }

  clientId(slot: number): Uint8Array {
    return this.clientIds[slot]!;
  }

  isOpened(slot: number): boolean {
    return this.openedOf[slot] === 1;
  }

  lastActiveMs(slot: number): number {
    return this.lastActiveMsOf[slot]!;
  }

  firstUnfinished(slot: number): number {
    return this.firstUnfinishedOf[slot]!;
  }

  setFirstUnfinished(slot: number, id: number): void {
    this.firstUnfinishedOf[slot] = id;
  }

  appliedThrough(slot: number): number {
    return this.appliedThroughOf[slot]!;
  }

  setAppliedThrough(slot: number, id: number): void {
    this.appliedThroughOf[slot] = id;
  }

  outOfOrder(slot: number): IdWindow | null {
    return this.outOfOrderOf[slot]!;
  }

  setOutOfOrder(slot: number, window: IdWindow | null): void {
    this.outOfOrderOf[slot] = window;
  }

  tooLarge(slot: number): IdWindow | null {
    return this.tooLargeOf[slot]!;
  }

  setTooLarge(slot: number, window: IdWindow | null): void {
    this.tooLargeOf[slot] = window;
  }

  /** For reading alone. The windows are shared. */
  copy(): SessionTable {
    const copy = new SessionTable();
    const slots = this.clientIds.length;
    copy.openedOf = this.openedOf.slice(0, slots);
    copy.firstUnfinishedOf = this.firstUnfinishedOf.slice(0, slots);
    copy.appliedThroughOf = this.appliedThroughOf.slice(0, slots);
    copy.lastActiveMsOf = this.lastActiveMsOf.slice(0, slots);
    copy.newer = this.newer.slice(0, slots);
    copy.clientIds = this.clientIds.slice();
    copy.outOfOrderOf = this.outOfOrderOf.slice();
    copy.tooLargeOf = this.tooLargeOf.slice();
    copy.count = this.count;
    return copy;
  }

  /** Least recently active first. */
  *records(): Generator<SessionRecord, void, undefined> {
    for (let slot = this.oldest; slot !== 0; slot = this.newer[slot]!) {
      yield {
        clientId: this.clientId(slot),
        opened: this.isOpened(slot),
        firstUnfinished: this.firstUnfinished(slot),
        appliedThrough: this.appliedThrough(slot),
        lastActiveMs: this.lastActiveMs(slot),
        outOfOrder: this.outOfOrder(slot)?.ids() ?? noIds,
        tooLarge: this.tooLarge(slot)?.ids() ?? noIds,
      };
    }
  }

  /** A slot that is in no list is linked to itself, and this does nothing to it. */
  private unlink(slot: number): void {
    const older = this.older[slot]!;
    const newer = this.newer[slot]!;
    this.newer[older] = newer;
    this.older[newer] = older;
  }

  private grow(): void {
    const slots = this.openedOf.length * 2;
    this.openedOf = enlarged(this.openedOf, new Uint8Array(slots));
    this.firstUnfinishedOf = enlarged(this.firstUnfinishedOf, new Float64Array(slots));
    this.appliedThroughOf = enlarged(this.appliedThroughOf, new Float64Array(slots));
    this.lastActiveMsOf = enlarged(this.lastActiveMsOf, new Float64Array(slots));
    this.older = enlarged(this.older, new Int32Array(slots));
    this.newer = enlarged(this.newer, new Int32Array(slots));
  }
}

function enlarged<T extends Uint8Array | Int32Array | Float64Array>(old: T, larger: T): T {
  larger.set(old);
  return larger;
}
