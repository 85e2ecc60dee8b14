/**
 * Both revisions of the wire (DESIGN.md, section 4), as far as bytes go. The headers are those of
 * `rpcheader.proto`, read and written by hand: each call passes here four times.
 *
 *     request          = varint32(header size) | RpcHeader | arguments
 *     reply, revision 1 = the bare message
 *     reply, revision 2 = 0x00 | varint32(header size) | RpcReplyHeader | message
 */
import { ByteWriter } from "./byteWriter.js";
import { skipField } from "./fieldScan.js";
import { noMetadata, type Metadata, type MetadataEntry } from "./mprpcController.js";
import type { Codec, MethodDescriptor } from "./service.js";
import { RpcError, RpcStatus } from "./status.js";
import { readVarint, varintSize, type VarintResult } from "./varint.js";

/** First byte of a framed reply: no protobuf message begins with it, since no field has number 0. */
export const replyMark = 0x00;

/** `RpcHeader.flags`: the call `call_id` is canceled; nothing follows the header. */
export const cancelFlag = 1;

const uint32Max = 0xffff_ffff;
const found: VarintResult = { value: 0, next: 0 };
const noBytes = Buffer.alloc(0);

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
      // 1, 2, 6 are length-delimited, 3, 4, 5, 7 varints; whatever else comes is skipped.
      const known =
        tag === 0x0a || tag === 0x12 || tag === 0x32
          ? this.#readBytes(tag, position, end)
          : tag === 0x18 || tag === 0x20 || tag === 0x28 || tag === 0x38
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
      this.metadata = [...this.metadata, entry];
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
    else this.flags = value;
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

  decode(bytes: Buffer, start: number, end: number): boolean {
    this.bodySize = 0;
    this.callId = 0;
    this.status = 0;
    this.errorText = "";
    this.metadata = noMetadata;
    let position = start;
    while (position < end) {
      const tag = bytes[position]!;
      const known =
        tag === 0x08 || tag === 0x10 || tag === 0x20
          ? this.#readInteger(bytes, tag, position, end)
          : tag === 0x1a || tag === 0x2a
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
    else this.bodySize = value;
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
    this.metadata = [...this.metadata, entry];
    return next;
  }
}

/** The value is a copy: metadata may be kept. */
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

/** Metadata as fields with the tag `tag`; nothing for none, which is the rule. */
function encodeMetadata(tag: number, metadata: Metadata): Buffer {
  if (metadata.length === 0) return noBytes;
  const writer = new ByteWriter();
  for (const { key, value } of metadata) {
    writer.byte(tag).fork();
    if (key !== "") writer.byte(0x0a).string(key);
    if (value.length > 0) writer.byte(0x12).bytes(value);
    writer.ldelim();
  }
  return writer.view();
}

/** Bytes of a varint field whose tag takes one byte; 0 when the value is 0 and so is left out. */
function fieldSize(value: number): number {
  return value === 0 ? 0 : 1 + varintSize(value);
}

function writeField(writer: ByteWriter, tag: number, value: number): void {
  if (value !== 0) writer.byte(tag).int64(value);
}

export interface FrameLimits {
  readonly headerBytesMax: number;
  readonly bodyBytesMax: number;
}

/**
 * Writes the requests of one method. The arguments are written first, where they will probably
 * belong, and the header that tells their size then goes before them: no buffer in between.
 */
export class RequestFramer<Req> {
  readonly #codec: Codec<Req>;
  /** `service_name` and `method_name`, which are in every header. */
  readonly #names: Buffer;
  /** What the last arguments took: most often the next ones' header has the same size. */
  #argsSize = 0;

  constructor(method: MethodDescriptor<Req>) {
    this.#codec = method.request;
    const names = new ByteWriter();
    names.byte(0x0a).string(method.serviceName).byte(0x12).string(method.name);
    this.#names = names.finish();
  }

  /**
   * Appends one request. With `callId` 0 it is one of revision 1.
   * @throws RpcError for a request that can't be encoded or is beyond a limit; the writer is then
   * as it was.
   */
  write(
    writer: ByteWriter,
    request: Req,
    callId: number,
    timeoutMs: number,
    metadata: Metadata,
    limits: FrameLimits,
  ): void {
    const start = writer.length;
    const extra = encodeMetadata(0x32, metadata);
    const fixed = this.#names.length + fieldSize(callId) + fieldSize(timeoutMs) + extra.length;
    const guessed = withLength(fixed + fieldSize(this.#argsSize));
    try {
      this.#codec.encode(request, writer.skip(guessed));
      const argsSize = writer.length - start - guessed;
      const headerSize = fixed + fieldSize(argsSize);
      checkSizes("request", headerSize, argsSize, limits);
      this.#argsSize = argsSize;
      const room = withLength(headerSize);
      if (room !== guessed) writer.shift(start + guessed, room - guessed);
      writer.truncate(start).uint32(headerSize).raw(this.#names);
      writeField(writer, 0x18, argsSize);
      writeField(writer, 0x20, callId);
      writeField(writer, 0x28, timeoutMs);
      writer.raw(extra).skip(argsSize);
    } catch (error) {
      writer.truncate(start);
      throw error;
    }
  }
}

function withLength(size: number): number {
  return varintSize(size) + size;
}

function checkSizes(what: Framed, header: number, body: number, limits: FrameLimits): void {
  if (body > limits.bodyBytesMax) throw tooLarge(what, body, limits.bodyBytesMax);
  if (header <= limits.headerBytesMax) return;
  const text = `the header of the ${what} takes ${header} bytes; headerBytesMax is ${limits.headerBytesMax}`;
  throw new RpcError(RpcStatus.RESOURCE_EXHAUSTED, text);
}

type Framed = "request" | "reply";

/** The error of a message that is larger than it may be; its text names the limit. */
export function tooLarge(what: Framed, bytes: number, bytesMax: number): RpcError {
  const text = `the ${what} takes ${bytes} bytes; ${what}BytesMax is ${bytesMax}`;
  return new RpcError(RpcStatus.RESOURCE_EXHAUSTED, text);
}

/** Appends the frame that cancels a call. */
export function writeCancel(writer: ByteWriter, callId: number): void {
  writer.uint32(fieldSize(callId) + fieldSize(cancelFlag));
  writeField(writer, 0x20, callId);
  writeField(writer, 0x38, cancelFlag);
}

/** Writes the framed replies of one method; the same way as `RequestFramer`. */
export class ReplyFramer {
  readonly #codec: Codec<unknown>;
  #replySize = 0;

  constructor(codec: Codec<unknown>) {
    this.#codec = codec;
  }

  /**
   * Appends one reply with the status OK.
   * @throws RpcError for a reply that can't be encoded or is beyond a limit; the writer is then as
   * it was.
   */
  write(
    writer: ByteWriter,
    callId: number,
    metadata: Metadata,
    reply: unknown,
    limits: FrameLimits,
  ): void {
    const start = writer.length;
    const extra = encodeMetadata(0x2a, metadata);
    const fixed = fieldSize(callId) + extra.length;
    const guessed = 1 + withLength(fixed + fieldSize(this.#replySize));
    try {
      this.#codec.encode(reply, writer.skip(guessed));
      const replySize = writer.length - start - guessed;
      const headerSize = fixed + fieldSize(replySize);
      checkSizes("reply", headerSize, replySize, limits);
      this.#replySize = replySize;
      const room = 1 + withLength(headerSize);
      if (room !== guessed) writer.shift(start + guessed, room - guessed);
      writer.truncate(start).byte(replyMark).uint32(headerSize);
      writeField(writer, 0x08, callId);
      writeField(writer, 0x20, replySize);
      writer.raw(extra).skip(replySize);
    } catch (error) {
      writer.truncate(start);
      throw error;
    }
  }
}

/** Characters of an error's text that travel; the rest is cut. */
const errorTextLengthMax = 1024;

/** Appends the reply of a call that failed. Metadata that would pass the limit is left out. */
export function writeFailure(
  writer: ByteWriter,
  callId: number,
  status: RpcStatus,
  errorText: string,
  metadata: Metadata,
  limits: FrameLimits,
): void {
  const text = Buffer.from(errorText.slice(0, errorTextLengthMax));
  const textSize = text.length === 0 ? 0 : 1 + withLength(text.length);
  const fixed = fieldSize(callId) + fieldSize(status) + textSize;
  const encoded = encodeMetadata(0x2a, metadata);
  const extra = fixed + encoded.length > limits.headerBytesMax ? noBytes : encoded;
  writer.byte(replyMark).uint32(fixed + extra.length);
  writeField(writer, 0x08, callId);
  writeField(writer, 0x10, status);
  if (text.length > 0) writer.byte(0x1a).bytes(text);
  writer.raw(extra);
}
