/**
 * Both revisions of the wire (DESIGN.md, section 4), as far as bytes go. The headers are those of
 * `rpcheader.proto`, written here by hand and read in `frameHeaders.ts`.
 *
 *     request          = varint32(header size) | RpcHeader | arguments
 *     reply, revision 1 = the bare message
 *     reply, revision 2 = 0x00 | varint32(header size) | RpcReplyHeader | message
 */
import { ByteWriter } from "./byteWriter.js";
import { cancelFlag, creditFlag, noBytes, replyMark, type FrameLimits } from "./frameHeaders.js";
import { noMetadata, type Metadata } from "./mprpcController.js";
import type { Codec, MethodDescriptor } from "./service.js";
import { noDetails, RpcError, RpcStatus, type ErrorDetail } from "./status.js";
import { varintSize } from "./varint.js";

export * from "./frameHeaders.js";

/** Metadata as fields with the tag `tag`; nothing for none, which is the rule. */
function encodeEntries(tag: number, metadata: Metadata): Buffer {
  if (metadata.length === 0) return noBytes;
  const writer = new ByteWriter();
  for (const { key, value } of metadata) writeEntry(writer, tag, key, value);
  return writer.view();
}

function encodeDetails(details: readonly ErrorDetail[]): Buffer {
  if (details.length === 0) return noBytes;
  const writer = new ByteWriter();
  for (const { type, value } of details) writeEntry(writer, 0x3a, type, value);
  return writer.view();
}

/** A field that holds a message of a string and bytes: `MetadataEntry`, `ErrorDetail`. */
function writeEntry(writer: ByteWriter, tag: number, name: string, value: Uint8Array): void {
  writer.byte(tag).fork();
  if (name !== "") writer.byte(0x0a).string(name);
  if (value.length > 0) writer.byte(0x12).bytes(value);
  writer.ldelim();
}

/** Bytes of a varint field whose tag takes one byte; 0 when the value is 0 and so is left out. */
function fieldSize(value: number): number {
  return value === 0 ? 0 : 1 + varintSize(value);
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
   * Appends one request. With `callId` 0 it is one of revision 1. `credit` is the window of a
   * stream in bytes; 0 leaves it to the default.
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
    flags = 0,
    credit = 0,
  ): void {
    const start = writer.length;
    const extra = encodeEntries(0x32, metadata);
    let fixed = this.#names.length + fieldSize(callId) + fieldSize(timeoutMs) + extra.length;
    fixed += fieldSize(flags) + fieldSize(credit);
    const guessed = withLength(fixed + fieldSize(this.#argsSize));
    try {
      this.#codec.encode(request, writer.skip(guessed));
      const argsSize = writer.length - start - guessed;
      const headerSize = fixed + fieldSize(argsSize);
      checkSizes("request", headerSize, argsSize, limits);
      this.#argsSize = argsSize;
      const room = withLength(headerSize);
      if (room !== guessed) writer.shift(start + guessed, room - guessed);
      const end = writer.length;
      writer.seek(start).uint32(headerSize).raw(this.#names);
      writer.field(0x18, argsSize).field(0x20, callId).field(0x28, timeoutMs);
      if (extra.length > 0) writer.raw(extra);
      writer.field(0x38, flags).field(0x40, credit).seek(end);
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
  writeControl(writer, callId, cancelFlag);
}

/** Appends the frame that grants a stream `credit` more bytes. */
export function writeCredit(writer: ByteWriter, callId: number, credit: number): void {
  writeControl(writer, callId, creditFlag, credit);
}

/** Appends an RpcHeader without names and arguments: a cancel, a grant, a ping, a pong. */
export function writeControl(writer: ByteWriter, callId: number, flags: number, credit = 0): void {
  writer.uint32(fieldSize(callId) + fieldSize(flags) + fieldSize(credit));
  writer.field(0x20, callId);
  writer.field(0x38, flags);
  writer.field(0x40, credit);
}

/** Appends an RpcReplyHeader alone: the answer to a ping, a ping, a goaway. */
export function writeReplyControl(writer: ByteWriter, callId: number, flags: number): void {
  writer.byte(replyMark).uint32(fieldSize(callId) + fieldSize(flags));
  writer.field(0x08, callId);
  writer.field(0x30, flags);
}

/** Writes the framed replies of one method; the same way as `RequestFramer`. */
export class ReplyFramer {
  readonly #codec: Codec<unknown>;
  #replySize = 0;

  constructor(codec: Codec<unknown>) {
    this.#codec = codec;
  }

  /**
   * Appends one reply with the status OK, or with `moreFlag` one message of a stream. Returns the
   * size of the message.
   * @throws RpcError for a reply that can't be encoded or is beyond a limit; the writer is then as
   * it was.
   */
  write(
    writer: ByteWriter,
    callId: number,
    metadata: Metadata,
    reply: unknown,
    limits: FrameLimits,
    flags = 0,
  ): number {
    const start = writer.length;
    const extra = encodeEntries(0x2a, metadata);
    const fixed = fieldSize(callId) + extra.length + fieldSize(flags);
    const guessed = 1 + withLength(fixed + fieldSize(this.#replySize));
    try {
      this.#codec.encode(reply, writer.skip(guessed));
      const replySize = writer.length - start - guessed;
      const headerSize = fixed + fieldSize(replySize);
      checkSizes("reply", headerSize, replySize, limits);
      this.#replySize = replySize;
      const room = 1 + withLength(headerSize);
      if (room !== guessed) writer.shift(start + guessed, room - guessed);
      const end = writer.length;
      writer.seek(start).byte(replyMark).uint32(headerSize);
      writer.field(0x08, callId).field(0x20, replySize);
      if (extra.length > 0) writer.raw(extra);
      writer.field(0x30, flags).seek(end);
      return replySize;
    } catch (error) {
      writer.truncate(start);
      throw error;
    }
  }
}

/** Characters of an error's text that travel; the rest is cut. */
const errorTextLengthMax = 1024;

/** How a call ended, as far as it travels. */
export interface Outcome {
  readonly status: RpcStatus;
  readonly errorText: string;
  readonly metadata?: Metadata;
  readonly details?: readonly ErrorDetail[];
  readonly flags?: number;
}

/**
 * Appends a reply that holds no message: how a call failed, or how a stream ended. Of a failure,
 * details that would pass the limit of a header are left out, and so is metadata.
 * @throws RpcError when the metadata of a success would; nothing is then appended.
 */
export function writeStatus(
  writer: ByteWriter,
  callId: number,
  outcome: Outcome,
  limits: FrameLimits,
): void {
  const { status, flags = 0 } = outcome;
  const text = Buffer.from(outcome.errorText.slice(0, errorTextLengthMax));
  const textSize = text.length === 0 ? 0 : 1 + withLength(text.length);
  let size = fieldSize(callId) + fieldSize(status) + textSize + fieldSize(flags);
  const details = ifFits(encodeDetails(outcome.details ?? noDetails), size, limits);
  size += details.length;
  const entries = encodeEntries(0x2a, outcome.metadata ?? noMetadata);
  if (status === RpcStatus.OK) checkSizes("reply", size + entries.length, 0, limits);
  const metadata = ifFits(entries, size, limits);
  writer.byte(replyMark).uint32(size + metadata.length);
  writer.field(0x08, callId);
  writer.field(0x10, status);
  if (text.length > 0) writer.byte(0x1a).bytes(text);
  writer.raw(metadata);
  writer.field(0x30, flags);
  writer.raw(details);
}

function ifFits(part: Buffer, size: number, limits: FrameLimits): Buffer {
  return size + part.length > limits.headerBytesMax ? noBytes : part;
}
