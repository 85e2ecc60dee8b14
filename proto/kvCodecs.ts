/**
 * PutAppend and Get, the messages that a clerk's calls travel in, written and read by hand: without
 * the Buffer that a generated codec makes of each field. A property test holds them against the
 * generated ones.
 */
import { MessageReader } from "../rpc/messageReader.js";
import type { ByteWriter } from "../rpc/byteWriter.js";
import type { Codec, MethodDescriptor } from "../rpc/service.js";
import { RpcError, RpcStatus } from "../rpc/status.js";
import { kvServerRpcMethods } from "./gen/services.js";

/** Field tags: number * 8 + wire type. */
const tag = {
  bytes1: 10,
  bytes2: 18,
  bytes3: 26,
  bytes4: 34,
  varint2: 16,
  varint3: 24,
  varint5: 40,
  varint6: 48,
} as const;

const noBytes: Uint8Array = new Uint8Array(0);
const reader = new MessageReader(noBytes);

const encoder = new TextEncoder();
/** What `PutAppendArgs.Op` says: always these very arrays, once decoded. */
export const opPut: Uint8Array = encoder.encode("Put");
export const opAppend: Uint8Array = encoder.encode("Append");
/** What `Err` mostly says. */
const errOk = encoder.encode("OK");

/** `read` reads the message that `reader` was opened for. */
function codecOf<T>(
  name: string,
  write: (message: Partial<T>, writer: ByteWriter) => void,
  read: () => T,
): Codec<T, Partial<T>> {
  const invalid = (cause: unknown): RpcError => {
    const why = cause instanceof Error ? cause.message : String(cause);
    return new RpcError(RpcStatus.INVALID_ARGUMENT, `${name}: ${why}`, { cause });
  };
  const decodePart = (bytes: Uint8Array, start: number, end: number): T => {
    try {
      reader.open(bytes, start, end);
      return read();
    } catch (cause) {
      throw invalid(cause);
    } finally {
      // Otherwise the last message would keep the whole chunk that it arrived in.
      reader.open(noBytes);
    }
  };
  return {
    encode(message, writer) {
      try {
        write(message, writer);
      } catch (cause) {
        throw invalid(cause);
      }
    },
    decode: (bytes) => decodePart(bytes, 0, bytes.length),
    decodePart,
  };
}

function writeBytes(writer: ByteWriter, field: number, value: Uint8Array | undefined): void {
  if (value !== undefined && value.length > 0) writer.uint32(field).bytes(value);
}

/** A large one is sent from where it lies: it must not change any more. */
function lendBytes(writer: ByteWriter, field: number, value: Uint8Array | undefined): void {
  if (value !== undefined && value.length > 0) writer.uint32(field).lend(value);
}

function writeNumber(writer: ByteWriter, field: number, value: number | undefined): void {
  if (value !== undefined && value !== 0) writer.uint32(field).int64(value);
}

/** As `plainBytes`, without a view of its own for what is mostly said. */
function bytesOrOneOf(first: Uint8Array, second = first): Uint8Array {
  if (startsWith(first)) return first;
  return startsWith(second) ? second : reader.plainBytes();
}

/** Whether `field` comes next, with its length before it; passes over it. */
function startsWith(field: Uint8Array): boolean {
  const { buf, pos } = reader;
  const end = pos + 1 + field.length;
  if (end > reader.len || buf[pos] !== field.length) return false;
  for (let i = 0; i < field.length; i++) if (buf[pos + 1 + i] !== field[i]) return false;
  reader.pos = end;
  return true;
}

export interface PutAppendArgs {
  readonly Key: Uint8Array;
  readonly Value: Uint8Array;
  readonly Op: Uint8Array;
  readonly ClientId: Uint8Array;
  readonly RequestId: number;
  readonly FirstUnfinished: number;
}

export interface PutAppendReply {
  readonly Err: Uint8Array;
  readonly LeaderHint: number;
}

export interface GetArgs {
  readonly Key: Uint8Array;
  readonly ClientId: Uint8Array;
  readonly RequestId: number;
}

export interface GetReply extends PutAppendReply {
  readonly Value: Uint8Array;
}

export const putAppendArgsCodec = codecOf<PutAppendArgs>(
  "PutAppendArgs",
  ({ Key, Value, Op, ClientId, RequestId, FirstUnfinished }, writer) => {
    writeBytes(writer, tag.bytes1, Key);
    lendBytes(writer, tag.bytes2, Value);
    writeBytes(writer, tag.bytes3, Op);
    writeBytes(writer, tag.bytes4, ClientId);
    writeNumber(writer, tag.varint5, RequestId);
    writeNumber(writer, tag.varint6, FirstUnfinished);
  },
  readPutAppendArgs,
);

function readPutAppendArgs(): PutAppendArgs {
  let Key = noBytes;
  let Value = noBytes;
  let Op: Uint8Array = noBytes;
  let ClientId = noBytes;
  let RequestId = 0;
  let FirstUnfinished = 0;
  while (reader.pos < reader.len) {
    const field = reader.tag();
    if (field === tag.bytes1) Key = reader.plainBytes();
    else if (field === tag.bytes2) Value = reader.plainBytes();
    else if (field === tag.bytes3) Op = bytesOrOneOf(opPut, opAppend);
    else if (field === tag.bytes4) ClientId = reader.plainBytes();
    else if (field === tag.varint5) RequestId = reader.int64();
    else if (field === tag.varint6) FirstUnfinished = reader.int64();
    else reader.skipType(field & 7);
  }
  return { Key, Value, Op, ClientId, RequestId, FirstUnfinished };
}

export const putAppendReplyCodec = codecOf<PutAppendReply>(
  "PutAppendReply",
  ({ Err, LeaderHint }, writer) => {
    writeBytes(writer, tag.bytes1, Err);
    if (LeaderHint) writer.uint32(tag.varint2).int32(LeaderHint);
  },
  () => {
    let Err: Uint8Array = noBytes;
    let LeaderHint = 0;
    while (reader.pos < reader.len) {
      const field = reader.tag();
      if (field === tag.bytes1) Err = bytesOrOneOf(errOk);
      else if (field === tag.varint2) LeaderHint = reader.int32();
      else reader.skipType(field & 7);
    }
    return { Err, LeaderHint };
  },
);

export const getArgsCodec = codecOf<GetArgs>(
  "GetArgs",
  ({ Key, ClientId, RequestId }, writer) => {
    writeBytes(writer, tag.bytes1, Key);
    writeBytes(writer, tag.bytes2, ClientId);
    writeNumber(writer, tag.varint3, RequestId);
  },
  () => {
    let Key = noBytes;
    let ClientId = noBytes;
    let RequestId = 0;
    while (reader.pos < reader.len) {
      const field = reader.tag();
      if (field === tag.bytes1) Key = reader.plainBytes();
      else if (field === tag.bytes2) ClientId = reader.plainBytes();
      else if (field === tag.varint3) RequestId = reader.int64();
      else reader.skipType(field & 7);
    }
    return { Key, ClientId, RequestId };
  },
);

export const getReplyCodec = codecOf<GetReply>(
  "GetReply",
  ({ Err, Value, LeaderHint }, writer) => {
    writeBytes(writer, tag.bytes1, Err);
    lendBytes(writer, tag.bytes2, Value);
    if (LeaderHint) writer.uint32(tag.varint3).int32(LeaderHint);
  },
  () => {
    let Err: Uint8Array = noBytes;
    let Value = noBytes;
    let LeaderHint = 0;
    while (reader.pos < reader.len) {
      const field = reader.tag();
      if (field === tag.bytes1) Err = bytesOrOneOf(errOk);
      else if (field === tag.bytes2) Value = reader.plainBytes();
      else if (field === tag.varint3) LeaderHint = reader.int32();
      else reader.skipType(field & 7);
    }
    return { Err, Value, LeaderHint };
  },
);

/** The two methods of kvServerRpc with the codecs above. */
export const putAppendMethod: MethodDescriptor<Partial<PutAppendArgs>, PutAppendReply> = {
  ...kvServerRpcMethods.PutAppend,
  request: putAppendArgsCodec,
  response: putAppendReplyCodec,
};
export const getMethod: MethodDescriptor<Partial<GetArgs>, GetReply> = {
  ...kvServerRpcMethods.Get,
  request: getArgsCodec,
  response: getReplyCodec,
};
