/**
 * `Op` as the original writes it: a text archive of Operation, Key, Value, ClientId, RequestId.
 *
 * An op of a session that was opened has two numbers more. They follow as `session <first
 * unfinished> <log time>` behind what the original's reader reads, which ignores it.
 */
import { ArchiveError, ArchiveReader, ArchiveWriter } from "./boostArchive.js";
import { OpCodecError, type Op, type Operation } from "./op.js";

/**
 * The grammar of an op is the same from version 0 to 18, and a reader takes what is no newer than
 * itself: the lowest is understood by the most builds of the original.
 */
export const opArchiveVersion = 0;

const int32Max = 2 ** 31 - 1;
const operations = (["Put", "Append", "Get", "OpenSession"] as const).map(
  (operation): [Operation, Uint8Array] => [operation, new TextEncoder().encode(operation)],
);

/** @throws OpCodecError for a RequestId that is no int32 or a number that is no safe integer. */
export function encodeBoostOp(op: Op, version = opArchiveVersion): Uint8Array {
  const name = operations.find(([operation]) => operation === op.operation)?.[1];
  if (name === undefined) throw new OpCodecError(`${op.operation} can't be encoded`);
  if (!Number.isInteger(op.requestId) || op.requestId > int32Max || op.requestId < -int32Max - 1) {
    throw new OpCodecError(`RequestId ${op.requestId} is no int32, and the archive has no other`);
  }
  const archive = startOpArchive(name, op, version);
  if (op.firstUnfinished > 0 || op.operation === "OpenSession") archive.trailer(sessionPart(op));
  return archive.finish();
}

/** With any name of an operation, as the original writes it. */
export function startOpArchive(
  operation: Uint8Array,
  op: Pick<Op, "key" | "value" | "clientId" | "requestId">,
  version: number,
): ArchiveWriter {
  return new ArchiveWriter(version)
    .classInfo()
    .string(operation)
    .string(op.key)
    .string(op.value)
    .string(op.clientId)
    .integer(op.requestId);
}

/** @throws OpCodecError when `command` is no such archive. */
export function decodeBoostOp(command: Uint8Array): Op {
  try {
    return readOp(new ArchiveReader(command));
  } catch (error) {
    if (!(error instanceof ArchiveError)) throw error;
    throw new OpCodecError(`the command is no archive of an operation: ${error.message}`, {
      cause: error,
    });
  }
}

function readOp(archive: ArchiveReader): Op {
  archive.classInfo();
  const name = archive.string();
  const key = archive.string();
  const value = archive.string();
  const clientId = archive.string();
  const requestId = archive.int32();
  const [firstUnfinished, logTimeMs] = readSessionPart(archive.rest());
  const operation = operationNamed(name);
  return { operation, key, value, clientId, requestId, firstUnfinished, logTimeMs };
}

function operationNamed(name: Uint8Array): Operation {
  return operations.find(([, bytes]) => Buffer.compare(bytes, name) === 0)?.[0] ?? "Unknown";
}

const sessionPartCharsMax = 64;

function sessionPart({ firstUnfinished, logTimeMs }: Op): string {
  if (!Number.isSafeInteger(firstUnfinished) || !Number.isSafeInteger(logTimeMs)) {
    throw new OpCodecError("a number of the operation is no safe integer");
  }
  return ` session ${firstUnfinished} ${logTimeMs}`;
}

/** What is not of this form is rubbish, and means nothing. */
function readSessionPart(rest: Uint8Array): [firstUnfinished: number, logTimeMs: number] {
  if (rest.length === 0 || rest.length > sessionPartCharsMax) return [0, 0];
  const text = Buffer.from(rest).toString("latin1");
  const [, first, time] = /^ session ([0-9]{1,16}) ([0-9]{1,16})$/.exec(text) ?? [];
  const numbers = [Number(first), Number(time)] as const;
  return numbers.every((number) => Number.isSafeInteger(number)) ? [...numbers] : [0, 0];
}
