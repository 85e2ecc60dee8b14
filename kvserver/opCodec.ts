/**
 * What a log entry's command holds, in its two encodings: the compact one (message `Op` of
 * `kvServerRPC.proto`) and the original's text archive, which a cluster with C++ nodes writes.
 */
import { originalNodes } from "../config/options.js";
import { archiveFirstByte } from "./boostArchive.js";
import { decodeBoostOp, encodeBoostOp } from "./boostOp.js";
import { freshBytes } from "./freshBytes.js";
import { OpCodecError, type Op, type Operation } from "./op.js";
import { readVarint, varintBytes, writeVarint, type VarintCursor } from "./varint.js";

export { OpCodecError, type Op, type Operation } from "./op.js";

/**
 * The op as a command, in bytes that nobody else holds.
 *
 * The archive has no place for a log time: it is left out where the op is one that the original
 * could have written, so that the bytes are the original's.
 * @throws OpCodecError for a number that is no safe integer, or not an int32 in the archive; for an
 * archive that is too long for a node of the original.
 */
export function encodeOp(op: Op, codec: "compact" | "boost"): Uint8Array {
  if (codec === "compact") return encodeCompactOp(op);
  const command = encodeBoostOp(op);
  const { commandBytesMax } = originalNodes;
  if (command.length <= commandBytesMax) return command;
  const why = "and no node of the original could take it";
  throw new OpCodecError(
    `the command has ${command.length} bytes: more than ${commandBytesMax}, ${why}`,
  );
}

/** Whether the original could apply this command: anything else ends its process. */
export function isBoostOp(command: Uint8Array): boolean {
  return command[0] === archiveFirstByte;
}

/**
 * Reads either encoding. The byte fields are views of `command`.
 * @throws OpCodecError when it is neither.
 */
export function decodeOp(command: Uint8Array): Op {
  return isBoostOp(command) ? decodeBoostOp(command) : decodeCompactOp(command);
}

const operations: readonly Operation[] = [
  "Unknown",
  "Put",
  "Append",
  "Get",
  "OpenSession",
  "CloseSession",
];
const noBytes = new Uint8Array(0);

/** Tags of the message's fields: number * 8 + wire type. */
const operationTag = 0x08;
const keyTag = 0x12;
const valueTag = 0x1a;
const clientIdTag = 0x22;
const requestIdTag = 0x28;
const firstUnfinishedTag = 0x30;
const logTimeMsTag = 0x38;

function encodeCompactOp(op: Op): Uint8Array {
  const number = operations.indexOf(op.operation);
  if (number <= 0) throw new OpCodecError(`${op.operation} can't be encoded`);
  refuseUnsafe(op);
  const command = freshBytes(compactBytes(op));
  command[0] = operationTag;
  command[1] = number;
  let at = writeBytesField(command, 2, keyTag, op.key);
  at = writeBytesField(command, at, valueTag, op.value);
  at = writeBytesField(command, at, clientIdTag, op.clientId);
  at = writeNumberField(command, at, requestIdTag, op.requestId);
  at = writeNumberField(command, at, firstUnfinishedTag, op.firstUnfinished);
  writeNumberField(command, at, logTimeMsTag, op.logTimeMs);
  return command;
}

function refuseUnsafe(op: Op): void {
  if (
    Number.isSafeInteger(op.requestId) &&
    Number.isSafeInteger(op.firstUnfinished) &&
    Number.isSafeInteger(op.logTimeMs)
  ) {
    return;
  }
  throw new OpCodecError("a number of the operation is no safe integer");
}

/** proto3 leaves out what is empty or 0. */
function compactBytes(op: Op): number {
  return (
    2 +
    bytesFieldBytes(op.key) +
    bytesFieldBytes(op.value) +
    bytesFieldBytes(op.clientId) +
    numberFieldBytes(op.requestId) +
    numberFieldBytes(op.firstUnfinished) +
    numberFieldBytes(op.logTimeMs)
  );
}

function bytesFieldBytes(field: Uint8Array): number {
  return field.length === 0 ? 0 : 1 + varintBytes(field.length) + field.length;
}

function numberFieldBytes(field: number): number {
  return field === 0 ? 0 : 1 + varintBytes(field);
}

function writeBytesField(into: Uint8Array, at: number, tag: number, field: Uint8Array): number {
  if (field.length === 0) return at;
  into[at] = tag;
  const start = writeVarint(into, at + 1, field.length);
  into.set(field, start);
  return start + field.length;
}

function writeNumberField(into: Uint8Array, at: number, tag: number, field: number): number {
  if (field === 0) return at;
  into[at] = tag;
  return writeVarint(into, at + 1, field);
}

/** What `decodeCompactOp` fills; the fields may come in any order. */
class OpReader implements Op, VarintCursor {
  operation: Operation = "Unknown";
  key: Uint8Array = noBytes;
  value: Uint8Array = noBytes;
  clientId: Uint8Array = noBytes;
  requestId = 0;
  firstUnfinished = 0;
  logTimeMs = 0;
  at = 0;
}

function decodeCompactOp(command: Uint8Array): Op {
  const op = new OpReader();
  while (op.at < command.length) {
    const tag = readNumber(command, op);
    switch (tag) {
      case operationTag:
        op.operation = operations[readNumber(command, op)] ?? "Unknown";
        break;
      case keyTag:
        op.key = readBytes(command, op);
        break;
      case valueTag:
        op.value = readBytes(command, op);
        break;
      case clientIdTag:
        op.clientId = readBytes(command, op);
        break;
      case requestIdTag:
        op.requestId = readNumber(command, op);
        break;
      case firstUnfinishedTag:
        op.firstUnfinished = readNumber(command, op);
        break;
      case logTimeMsTag:
        op.logTimeMs = readNumber(command, op);
        break;
      default:
        skipField(command, op, tag);
    }
  }
  if (op.operation === "Unknown") throw new OpCodecError("the command names no known operation");
  return op;
}

function readNumber(command: Uint8Array, cursor: VarintCursor): number {
  const value = readVarint(command, cursor);
  if (!Number.isFinite(value)) throw new OpCodecError("a number is cut off or out of range");
  return value;
}

function readBytes(command: Uint8Array, cursor: VarintCursor): Uint8Array {
  const length = readNumber(command, cursor);
  const start = cursor.at;
  advance(command, cursor, length);
  return command.subarray(start, cursor.at);
}

function advance(command: Uint8Array, cursor: VarintCursor, length: number): void {
  if (length < 0 || length > command.length - cursor.at) {
    throw new OpCodecError("the command is cut off");
  }
  cursor.at += length;
}

/** A field that a later version added. Groups have been out of use since before proto3. */
function skipField(command: Uint8Array, cursor: VarintCursor, tag: number): void {
  const wireType = tag & 7;
  if (tag < 8) throw new OpCodecError("the command is no message: field number 0");
  if (wireType === 0) skipVarint(command, cursor);
  else if (wireType === 1) advance(command, cursor, 8);
  else if (wireType === 2) advance(command, cursor, readNumber(command, cursor));
  else if (wireType === 5) advance(command, cursor, 4);
  else throw new OpCodecError(`the command is no message: wire type ${wireType}`);
}

function skipVarint(command: Uint8Array, cursor: VarintCursor): void {
  if (Number.isNaN(readVarint(command, cursor))) throw new OpCodecError("a number is cut off");
}
