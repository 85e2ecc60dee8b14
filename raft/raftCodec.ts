import { rpcLimits } from "../config/options.js";
import { ByteWriter } from "../rpc/byteWriter.js";
import { handCodec, lendBytes, noBytes, writeNumber } from "../rpc/handCodec.js";
import type { MessageReader } from "../rpc/messageReader.js";
import { varintSize } from "../rpc/varint.js";
import type { AppendEntries, AppendEntriesReply, Entry } from "./core/types.js";

/*
 * The two messages that a put travels in, written by hand straight between the wire and the core's
 * own types: AppendEntriesArgs and AppendEntriesReply of raftRPC.proto. A property test holds them
 * against protobufjs.
 */

/** Field tags: number * 8 + wire type. */
const tag = {
  varint1: 8,
  varint2: 16,
  varint3: 24,
  varint4: 32,
  bytes5: 42,
  varint5: 40,
  varint6: 48,
  varint7: 56,
} as const;
const commandTag = 10;
const logTermTag = 16;
const logIndexTag = 24;

/** Bytes that a writer wants free before it writes a number. */
const varint64BytesMax = 10;

/** The original: the node works normally. */
const appStateNormal = 1;

export const appendEntriesCodec = handCodec<AppendEntries>(
  "AppendEntriesArgs",
  (request, writer) => {
    writeNumber(writer, tag.varint1, request.term);
    writeNumber(writer, tag.varint2, request.from);
    writeNumber(writer, tag.varint3, request.prevLogIndex);
    writeNumber(writer, tag.varint4, request.prevLogTerm);
    writeEntries(writer, request.entries);
    writeNumber(writer, tag.varint6, request.leaderCommit);
    writeNumber(writer, tag.varint7, request.admits);
  },
  readAppendEntries,
  { keepsBytes: true },
);

export const appendEntriesReplyCodec = handCodec<AppendEntriesReply>(
  "AppendEntriesReply",
  (reply, writer) => {
    writeNumber(writer, tag.varint1, reply.term);
    if (reply.success) writer.uint32(tag.varint2).bool(true);
    writeNumber(writer, tag.varint3, reply.updateNextIndex);
    // The original drops a success of a node that does not work normally: one that joins.
    if (reply.joining === undefined) writeNumber(writer, tag.varint4, appStateNormal);
    else writeNumber(writer, tag.varint5, reply.joining);
    if (reply.reluctant === true) writer.uint32(tag.varint6).bool(true);
  },
  readAppendEntriesReply,
);

function writeEntries(writer: ByteWriter, entries: readonly Entry[]): void {
  if (entries.length === 0) return;
  if (entries !== cachedEntries && entries.some(isLarge)) {
    for (const entry of entries) writeEntry(writer, entry);
  } else writer.raw(encodedEntries(entries));
}

/** Its command is written from where it lies, to all followers. */
function isLarge({ command }: Entry): boolean {
  return command.length >= rpcLimits.lentBytesMin;
}

/** The entries sent last and their bytes: all followers of one batch share them. */
let cachedEntries: readonly Entry[] = [];
let cachedBytes: Uint8Array = noBytes;

function encodedEntries(entries: readonly Entry[]): Uint8Array {
  if (entries === cachedEntries) return cachedBytes;
  let size = 0;
  for (const entry of entries) size += withHead(entrySize(entry));
  const writer = new ByteWriter(size + varint64BytesMax);
  for (const entry of entries) writeEntry(writer, entry);
  cachedEntries = entries;
  cachedBytes = writer.take();
  return cachedBytes;
}

function entrySize({ command, term, index }: Entry): number {
  const commandSize = command.length === 0 ? 0 : withHead(command.length);
  return commandSize + numberSize(term) + numberSize(index);
}

/** With the tag and the length that stand before it. */
function withHead(size: number): number {
  return 1 + varintSize(size) + size;
}

function writeEntry(writer: ByteWriter, entry: Entry): void {
  writer.uint32(tag.bytes5).uint32(entrySize(entry));
  lendBytes(writer, commandTag, entry.command);
  writeNumber(writer, logTermTag, entry.term);
  writeNumber(writer, logIndexTag, entry.index);
}

function numberSize(value: number): number {
  return value === 0 ? 0 : 1 + varintSize(value);
}

/** The entries own their bytes: all of a request share one memory. */
function readAppendEntries(reader: MessageReader): AppendEntries {
  let term = 0;
  let from = 0;
  let prevLogIndex = 0;
  let prevLogTerm = 0;
  let leaderCommit = 0;
  let admits: number | undefined;
  const entries: Entry[] = [];
  while (reader.pos < reader.len) {
    const field = reader.tag();
    if (field === tag.bytes5) entries.push(readEntry(reader));
    else if (field === tag.varint1) term = reader.int64();
    else if (field === tag.varint2) from = reader.int32();
    else if (field === tag.varint3) prevLogIndex = reader.int64();
    else if (field === tag.varint4) prevLogTerm = reader.int64();
    else if (field === tag.varint6) leaderCommit = reader.int64();
    else if (field === tag.varint7) admits = reader.int64();
    else reader.skipType(field & 7);
  }
  const type = "AppendEntries";
  return { type, term, from, prevLogIndex, prevLogTerm, entries, leaderCommit, admits };
}

function readEntry(reader: MessageReader): Entry {
  const end = reader.uint32() + reader.pos;
  if (end > reader.len) throw new RangeError("an entry goes on beyond the end");
  let command: Uint8Array = noBytes;
  let term = 0;
  let index = 0;
  while (reader.pos < end) {
    const field = reader.tag();
    if (field === commandTag) command = reader.bytes();
    else if (field === logTermTag) term = reader.int64();
    else if (field === logIndexTag) index = reader.int64();
    else reader.skipType(field & 7);
  }
  if (reader.pos !== end) throw new RangeError("a field goes on beyond its entry");
  return { index, term, command };
}

function readAppendEntriesReply(reader: MessageReader): AppendEntriesReply {
  let term = 0;
  let success = false;
  let updateNextIndex = 0;
  let appState = 0;
  let joining: number | undefined;
  let reluctant: boolean | undefined;
  while (reader.pos < reader.len) {
    const field = reader.tag();
    if (field === tag.varint1) term = reader.int64();
    else if (field === tag.varint2) success = reader.bool();
    else if (field === tag.varint3) updateNextIndex = reader.int64();
    else if (field === tag.varint4) appState = reader.int32();
    else if (field === tag.varint5) joining = reader.int64();
    else if (field === tag.varint6) reluctant = reader.bool() || undefined;
    else reader.skipType(field & 7);
  }
  // The original too takes a success only from a node that says it works.
  success &&= appState === appStateNormal || joining !== undefined;
  return { type: "AppendEntriesReply", term, success, updateNextIndex, joining, reluctant };
}
