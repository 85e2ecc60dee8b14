/**
 * PutAppend and Get, the messages that a clerk's calls travel in, written and read by hand: without
 * the Buffer that a generated codec makes of each field. A property test holds them against the
 * generated ones.
 */
import { handCodec, lendBytes, noBytes, writeBytes, writeNumber } from "../rpc/handCodec.js";
import type { MessageReader } from "../rpc/messageReader.js";
import type { MethodDescriptor } from "../rpc/service.js";
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

const encoder = new TextEncoder();
/** What `PutAppendArgs.Op` says: always these very arrays, once decoded. */
export const opPut: Uint8Array = encoder.encode("Put");
export const opAppend: Uint8Array = encoder.encode("Append");
/** What `Err` mostly says. */
const errOk = encoder.encode("OK");

/** As `plainBytes`, without a view of its own for what is mostly said. */
function bytesOrOneOf(reader: MessageReader, first: Uint8Array, second = first): Uint8Array {
  if (startsWith(reader, first)) return first;
  return startsWith(reader, second) ? second : reader.plainBytes();
}

/** Whether `field` comes next, with its length before it; passes over it. */
function startsWith(reader: MessageReader, field: Uint8Array): boolean {
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

export const putAppendArgsCodec = handCodec<PutAppendArgs, Partial<PutAppendArgs>>(
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

function readPutAppendArgs(reader: MessageReader): PutAppendArgs {
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
    else if (field === tag.bytes3) Op = bytesOrOneOf(reader, opPut, opAppend);
    else if (field === tag.bytes4) ClientId = reader.plainBytes();
    else if (field === tag.varint5) RequestId = reader.int64();
    else if (field === tag.varint6) FirstUnfinished = reader.int64();
    else reader.skipType(field & 7);
  }
  return { Key, Value, Op, ClientId, RequestId, FirstUnfinished };
}

export const putAppendReplyCodec = handCodec<PutAppendReply, Partial<PutAppendReply>>(
  "PutAppendReply",
  ({ Err, LeaderHint }, writer) => {
    writeBytes(writer, tag.bytes1, Err);
    if (LeaderHint) writer.uint32(tag.varint2).int32(LeaderHint);
  },
  (reader) => {
    let Err: Uint8Array = noBytes;
    let LeaderHint = 0;
    while (reader.pos < reader.len) {
      const field = reader.tag();
      if (field === tag.bytes1) Err = bytesOrOneOf(reader, errOk);
      else if (field === tag.varint2) LeaderHint = reader.int32();
      else reader.skipType(field & 7);
    }
    return { Err, LeaderHint };
  },
);

export const getArgsCodec = handCodec<GetArgs, Partial<GetArgs>>(
  "GetArgs",
  ({ Key, ClientId, RequestId }, writer) => {
    writeBytes(writer, tag.bytes1, Key);
    writeBytes(writer, tag.bytes2, ClientId);
    writeNumber(writer, tag.varint3, RequestId);
  },
  (reader) => {
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

export const getReplyCodec = handCodec<GetReply, Partial<GetReply>>(
  "GetReply",
  ({ Err, Value, LeaderHint }, writer) => {
    writeBytes(writer, tag.bytes1, Err);
    lendBytes(writer, tag.bytes2, Value);
    if (LeaderHint) writer.uint32(tag.varint3).int32(LeaderHint);
  },
  (reader) => {
    let Err: Uint8Array = noBytes;
    let Value = noBytes;
    let LeaderHint = 0;
    while (reader.pos < reader.len) {
      const field = reader.tag();
      if (field === tag.bytes1) Err = bytesOrOneOf(reader, errOk);
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
