/** The records of a snapshot, one by one: see `stateSnapshot.ts` for the whole. */
import { replicated } from "../config/options.js";
import { freshBytes } from "./freshBytes.js";
import type { SessionRecord } from "./sessions.js";
import type { KeyValue } from "./skipList.js";

/** Bytes that are no snapshot, are cut off, or hold what no state could. */
export class SnapshotFormatError extends Error {
  override readonly name = "SnapshotFormatError";
  readonly code = "ERR_SNAPSHOT_FORMAT";
}

export interface SnapshotHeader {
  readonly logTimeMs: number;
  readonly sessionCount: number;
  readonly keyCount: number;
}

export const headerBytes = 40;
export const sessionHeadBytes = 32;
export const pairHeadBytes = 8;

const magic = new TextEncoder().encode("KVSTATE\n");
const formatVersion = 1;
const two32 = 2 ** 32;

export function writeHeader(into: Uint8Array, header: SnapshotHeader): void {
  into.set(magic);
  const view = viewOf(into);
  view.setUint32(8, formatVersion, true);
  view.setUint32(12, 0, true);
  setInt64(view, 16, header.logTimeMs);
  setInt64(view, 24, header.sessionCount);
  setInt64(view, 32, header.keyCount);
}

export function readHeader(bytes: Uint8Array): SnapshotHeader {
  if (Buffer.compare(bytes.subarray(0, magic.length), magic) !== 0) {
    throw new SnapshotFormatError("this is no snapshot of a key-value state");
  }
  const view = viewOf(bytes);
  const version = view.getUint32(8, true);
  if (version !== formatVersion) {
    throw new SnapshotFormatError(
      `the snapshot has version ${version}; this program reads version ${formatVersion}`,
    );
  }
  const sessionCount = getInt64(view, 24);
  const keyCount = getInt64(view, 32);
  check(sessionCount >= 0 && sessionCount <= replicated.sessionsMax, "its count of sessions");
  check(keyCount >= 0, "its count of keys");
  return { logTimeMs: getInt64(view, 16), sessionCount, keyCount };
}

export function encodeSession(session: SessionRecord): Uint8Array {
  const { clientId, outOfOrder, tooLarge } = session;
  const size = sessionHeadBytes + clientId.length + 2 * (outOfOrder.length + tooLarge.length);
  const record = freshBytes(size);
  const view = viewOf(record);
  view.setUint16(0, clientId.length, true);
  view.setUint8(2, session.opened ? 1 : 0);
  view.setUint8(3, 0);
  setInt64(view, 4, session.firstUnfinished);
  setInt64(view, 12, session.appliedThrough);
  setInt64(view, 20, session.lastActiveMs);
  view.setUint16(28, outOfOrder.length, true);
  view.setUint16(30, tooLarge.length, true);
  record.set(clientId, sessionHeadBytes);
  const at = sessionHeadBytes + clientId.length;
  writeIds(view, at, outOfOrder, session.appliedThrough + 1);
  writeIds(view, at + 2 * outOfOrder.length, tooLarge, tooLargeBase(session));
  return record;
}

/** Bytes that follow the head of a session. */
export function sessionBodyBytes(head: Uint8Array): number {
  const view = viewOf(head);
  const idBytes = view.getUint16(0, true);
  check(idBytes > 0 && idBytes <= replicated.sessionNameBytesMax, "a client id's length");
  const ids = view.getUint16(28, true) + view.getUint16(30, true);
  check(ids <= 2 * replicated.sessionWindowMax, "a session's count of requests");
  return idBytes + 2 * ids;
}

export function decodeSession(head: Uint8Array, body: Uint8Array): SessionRecord {
  const view = viewOf(head);
  const idBytes = view.getUint16(0, true);
  const outOfOrderEnd = idBytes + 2 * view.getUint16(28, true);
  const fields = {
    clientId: body.subarray(0, idBytes),
    opened: view.getUint8(2) === 1,
    firstUnfinished: getInt64(view, 4),
    appliedThrough: getInt64(view, 12),
    lastActiveMs: getInt64(view, 20),
  };
  const { opened, firstUnfinished, appliedThrough } = fields;
  check(opened ? firstUnfinished > 0 : firstUnfinished === 0, "a session's first request");
  check(!opened || appliedThrough >= firstUnfinished - 1, "a session's last request");
  return {
    ...fields,
    outOfOrder: readIds(body.subarray(idBytes, outOfOrderEnd), fields.appliedThrough + 1),
    tooLarge: readIds(body.subarray(outOfOrderEnd), tooLargeBase(fields)),
  };
}

export function writePairHead(into: Uint8Array, at: number, { key, value }: KeyValue): void {
  writeUint32(into, at, key.length);
  writeUint32(into, at + 4, value.length);
}

export function readPairHead(
  bytes: Uint8Array,
  at: number,
): { keyBytes: number; valueBytes: number } {
  const keyBytes = readUint32(bytes, at);
  const valueBytes = readUint32(bytes, at + 4);
  check(keyBytes <= replicated.keyBytesMax, "a key's length");
  check(valueBytes <= replicated.valueBytesMax, "a value's length");
  return { keyBytes, valueBytes };
}

function tooLargeBase(
  session: Pick<SessionRecord, "opened" | "firstUnfinished" | "appliedThrough">,
): number {
  return session.opened ? session.firstUnfinished : session.appliedThrough;
}

function writeIds(view: DataView, at: number, ids: readonly number[], base: number): void {
  for (const [i, id] of ids.entries()) view.setUint16(at + 2 * i, id - base, true);
}

function readIds(bytes: Uint8Array, base: number): number[] {
  const ids = [];
  for (let at = 0; at < bytes.length; at += 2) {
    const offset = bytes[at]! | (bytes[at + 1]! << 8);
    check(offset < replicated.sessionWindowMax, "a request's id");
    ids.push(base + offset);
  }
  return ids;
}

function check(holds: boolean, what: string): void {
  if (!holds) throw new SnapshotFormatError(`the snapshot is damaged: ${what} is out of range`);
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
}

function setInt64(view: DataView, at: number, value: number): void {
  const high = Math.floor(value / two32);
  view.setUint32(at, value - high * two32, true);
  view.setInt32(at + 4, high, true);
}

function getInt64(view: DataView, at: number): number {
  const value = view.getInt32(at + 4, true) * two32 + view.getUint32(at, true);
  check(Number.isSafeInteger(value), "a number");
  return value;
}

function writeUint32(into: Uint8Array, at: number, value: number): void {
  into[at] = value;
  into[at + 1] = value >>> 8;
  into[at + 2] = value >>> 16;
  into[at + 3] = value >>> 24;
}

function readUint32(bytes: Uint8Array, at: number): number {
  return (
    (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)) >>> 0
  );
}
