/**
 * Reading the headers of `rpcheader.proto` by hand: each call passes here four times. Their layout
 * stands in `framing.ts`, which writes them.
 */
import { skipField } from "./fieldScan.js";
import { noMetadata, type Metadata, type MetadataEntry } from "./mprpcController.js";
import { noDetails, type ErrorDetail } from "./status.js";
import { readVarint, type VarintResult } from "./varint.js";

/** First byte of a framed reply: no protobuf message begins with it, since no field has number 0. */
export const replyMark = 0x00;

// Bits of `RpcHeader.flags`. A bit that nobody knows is ignored.

/** The call `call_id` is canceled; nothing follows the header. */
export const cancelFlag = 1;
/** One-way: the request is run, and never answered. */
export const notifyFlag = 2;
/** Asks for a reply header with the same `call_id` and nothing else. */
export const pingFlag = 4;
/** Grants `credit` more bytes to the stream `call_id`; nothing follows the header. */
export const creditFlag = 8;
/** Answers a server's ping; `call_id` is 0. */
export const pongFlag = 16;

// Bits of `RpcReplyHeader.flags`.

/** One message of a stream; more frames with this `call_id` follow. */
export const moreFlag = 1;
/** The server drains: no new calls on this connection. `call_id` is 0. */
export const goAwayFlag = 2;
/** A server's ping; `call_id` is 0. */
export const replyPingFlag = 4;
/** With a status: the call was certainly not run. */
export const refusedFlag = 8;

/** A stream's window in bytes when its request names none. */
export const streamWindowBytesDefault = 65_536;
/** Bytes of credit that a stream may have at most. */
export const streamCreditMax = 2 ** 31 - 1;
/** What a message of a stream costs beside its own bytes, so that empty ones are not free. */
export const streamMessageOverhead = 16;

const uint32Max = 0xffff_ffff;
const found: VarintResult = { value: 0, next: 0 };
export const noBytes: Buffer = Buffer.alloc(0);

export interface FrameLimits {
  readonly headerBytesMax: number;
  readonly bodyBytesMax: number;
}

/** A header in front of a frame's body. It is filled again for each frame. */
export interface FrameHeader {
  /** Bytes that follow the header. */
  bodySize: number;
  /** Reads `bytes[start..end)`; false when that is no such header. */
  decode(bytes: Buffer, start: number, end: number): boolean;
}

/** What an RpcHeader says. The names stay where they arrived: most need no string. */
export class RequestHeader implements FrameHeader {
  bytes: Buffer = noBytes;
  serviceStart = 0;
  serviceEnd = 0;
  methodStart = 0;
  methodEnd = 0;
  bodySize = 0;
  /** 0: the caller speaks revision 1. */
  callId = 0;
  /** 0: no deadline. */
  timeoutMs = 0;
  metadata: Metadata = noMetadata;
  flags = 0;
  /** Bytes that a stream may send: in its request at first, in a credit frame beside that. */
  credit = 0;

  get serviceName(): string {
    return this.bytes.toString("latin1", this.serviceStart, this.serviceEnd);
  }

  get methodName(): string {
    return this.bytes.toString("latin1", this.methodStart, this.methodEnd);
  }

  decode(bytes: Buffer, start: number, end: number): boolean {
    this.#clear(bytes);
    let position = start;
    while (position < end) {
      const tag = bytes[position]!;
      // 1, 2, 6 are length-delimited, 3, 4, 5, 7, 8 varints; whatever else comes is skipped.
      const known =
        tag === 0x0a || tag === 0x12 || tag === 0x32
          ? this.#readBytes(tag, position, end)
          : tag === 0x18 || tag === 0x20 || tag === 0x28 || tag === 0x38 || tag === 0x40
            ? this.#readInteger(tag, position, end)
            : skipField(bytes, position, end);
      if (known < 0) return false;
      position = known;
    }
    return true;
  }

  #clear(bytes: Buffer): void {
    this.bytes = bytes;
    this.serviceStart = this.serviceEnd = 0;
    this.methodStart = this.methodEnd = 0;
    this.bodySize = 0;
    this.callId = 0;
    this.timeoutMs = 0;
    this.metadata = noMetadata;
    this.flags = 0;
    this.credit = 0;
  }

  /** Returns where the next field begins, or a negative number. */
  #readBytes(tag: number, position: number, end: number): number {
    readVarint(this.bytes, position + 1, end, found);
    const start = found.next;
    const next = start + found.value;
    if (found.value < 0 || next > end) return -1;
    if (tag === 0x0a) {
      this.serviceStart = start;
      this.serviceEnd = next;
    } else if (tag === 0x12) {
      this.methodStart = start;
      this.methodEnd = next;
    } else {
      const entry = readMetadataEntry(this.bytes, start, next);
      if (entry === null) return -1;
      this.metadata = withOne(this.metadata, entry);
    }
    return next;
  }

  #readInteger(tag: number, position: number, end: number): number {
    readVarint(this.bytes, position + 1, end, found);
    const { value } = found;
    if (value < 0 || (tag !== 0x20 && value > uint32Max)) return -1;
    if (tag === 0x18) this.bodySize = value;
    else if (tag === 0x20) this.callId = value;
    else if (tag === 0x28) this.timeoutMs = value;
    else if (tag === 0x38) this.flags = value;
    else this.credit = value;
    return found.next;
  }
}

/** What an RpcReplyHeader says. */
export class ReplyHeader implements FrameHeader {
  bodySize = 0;
  callId = 0;
  status = 0;
  errorText = "";
  metadata: Metadata = noMetadata;
  flags = 0;
  details: readonly ErrorDetail[] = noDetails;

  decode(bytes: Buffer, start: number, end: number): boolean {
    this.bodySize = 0;
    this.callId = 0;
    this.status = 0;
    this.errorText = "";
    this.metadata = noMetadata;
    this.flags = 0;
    this.details = noDetails;
    let position = start;
    while (position < end) {
      const tag = bytes[position]!;
      const known =
        tag === 0x08 || tag === 0x10 || tag === 0x20 || tag === 0x30
          ? this.#readInteger(bytes, tag, position, end)
          : tag === 0x1a || tag === 0x2a || tag === 0x3a
            ? this.#readBytes(bytes, tag, position, end)
            : skipField(bytes, position, end);
      if (known < 0) return false;
      position = known;
    }
    return true;
  }

  #readInteger(bytes: Buffer, tag: number, position: number, end: number): number {
    readVarint(bytes, position + 1, end, found);
    const { value } = found;
    if (value < 0 || (tag !== 0x08 && value > uint32Max)) return -1;
    if (tag === 0x08) this.callId = value;
    else if (tag === 0x10) this.status = value;
    else if (tag === 0x20) this.bodySize = value;
    else this.flags = value;
    return found.next;
  }

  #readBytes(bytes: Buffer, tag: number, position: number, end: number): number {
    readVarint(bytes, position + 1, end, found);
    const start = found.next;
    const next = start + found.value;
    if (found.value < 0 || next > end) return -1;
    if (tag === 0x1a) {
      this.errorText = bytes.toString("utf8", start, next);
      return next;
    }
    const entry = readMetadataEntry(bytes, start, next);
    if (entry === null) return -1;
    if (tag === 0x2a) this.metadata = withOne(this.metadata, entry);
    // The same layout under other names: a string and bytes.
    else this.details = withOne(this.details, { type: entry.key, value: entry.value });
    return next;
  }
}

/**
 * `list` and `entry`. Only the empty list is another's too; any other has been made here, and grows
 * in place: a header may hold thousands of entries, and copying them for each would take a second.
 */
function withOne<T>(list: readonly T[], entry: T): readonly T[] {
  if (list.length === 0) return [entry];
  (list as T[]).push(entry);
  return list;
}

/** The value is a copy: metadata and details may be kept. */
function readMetadataEntry(bytes: Buffer, start: number, end: number): MetadataEntry | null {
  let key = "";
  let value: Uint8Array = noBytes;
  let position = start;
  while (position < end) {
    const tag = bytes[position]!;
    if (tag !== 0x0a && tag !== 0x12) {
      position = skipField(bytes, position, end);
      if (position < 0) return null;
      continue;
    }
    readVarint(bytes, position + 1, end, found);
    const next = found.next + found.value;
    if (found.value < 0 || next > end) return null;
    if (tag === 0x0a) key = bytes.toString("utf8", found.next, next);
    else value = Buffer.from(bytes.subarray(found.next, next));
    position = next;
  }
  return { key, value };
}
