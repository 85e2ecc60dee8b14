/**
 * What the log calls the sessions of revision-1 clients. All clerks of the original have one ClientId
 * and count their requests from 1, so the leader gives each process that it meets a session of its
 * own: an incarnation of the ClientId.
 */
import { crc32c } from "../raft/persister/crc32c.js";
import { ByteHash } from "./byteHash.js";
import { freshBytes } from "./freshBytes.js";
import { HashIndex } from "./hashIndex.js";
import type { Op } from "./op.js";

/** Behind the ClientId: `#`, the term in base 36, `.` and a count within it. */
export const incarnationSuffixBytes = 19;
const termDigits = 11;
const countDigits = 6;
const hash = 0x23;
const dot = 0x2e;

/** No two leaders have one term, and none gives one count twice: the name is new. */
export function incarnationName(clientId: Uint8Array, term: number, count: number): Uint8Array {
  const suffix = `#${base36(term, termDigits)}.${base36(count, countDigits)}`;
  const name = freshBytes(clientId.length + incarnationSuffixBytes);
  name.set(clientId);
  name.set(Buffer.from(suffix, "latin1"), clientId.length);
  return name;
}

function base36(number: number, digits: number): string {
  return number.toString(36).padStart(digits, "0");
}

/** Bytes of the ClientId in the name of an incarnation; -1 for another name. */
export function clientIdBytesOf(name: Uint8Array): number {
  const bytes = name.length - incarnationSuffixBytes;
  return name[bytes] === hash && name[bytes + 1 + termDigits] === dot ? bytes : -1;
}

/** More than the original's int32 holds, and stamped still a safe integer. */
export const stampableIdMax = 2 ** 32;
const stampBits = 20;

/**
 * The RequestId with 20 bits of what is to be written behind it: two processes use the same ids,
 * but only a retry has the same content as well. Ascends as the RequestId does.
 */
export function stampedId({ operation, requestId, key, value }: Op): number {
  const head = Buffer.from(`${operation} ${key.length} `, "latin1");
  let sum = 0;
  for (const part of [head, key, value]) sum = crc32c(part, 0, part.length, sum);
  return requestId * 2 ** stampBits + (sum >>> (32 - stampBits));
}

/** Finds incarnations by ClientId and last request. The hash is keyed: clients choose both. */
export class IncarnationIndex {
  private readonly index = new HashIndex();
  private readonly hasher = new ByteHash();

  /** Both do nothing for a session that is no incarnation. */
  add(name: Uint8Array, lastId: number, slot: number): void {
    const bytes = clientIdBytesOf(name);
    if (bytes >= 0) this.index.add(this.hash(name.subarray(0, bytes), lastId), slot);
  }

  remove(name: Uint8Array, lastId: number, slot: number): void {
    const bytes = clientIdBytesOf(name);
    if (bytes >= 0) this.index.remove(this.hash(name.subarray(0, bytes), lastId), slot);
  }

  /** Slots that may be meant; the caller compares. */
  candidates(clientId: Uint8Array, lastId: number): number[] {
    const slots = [];
    let slot = this.index.first(this.hash(clientId, lastId));
    for (; slot !== 0; slot = this.index.next()) slots.push(slot);
    return slots;
  }

  private hash(clientId: Uint8Array, lastId: number): number {
    const bytes = new Uint8Array(clientId.length + 8);
    bytes.set(clientId);
    new DataView(bytes.buffer).setFloat64(clientId.length, lastId);
    return this.hasher.hash(bytes);
  }
}
