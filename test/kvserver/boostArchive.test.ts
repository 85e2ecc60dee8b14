import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { ArchiveError } from "../../kvserver/boostArchive.js";
import { startOpArchive } from "../../kvserver/boostOp.js";
import { decodeOp, encodeOp, OpCodecError, type Op } from "../../kvserver/opCodec.js";
import {
  readOriginalRaftState,
  readOriginalSnapshot,
  writeOriginalRaftState,
  writeOriginalSnapshot,
} from "../../kvserver/originalFiles.js";

function vectors<T>(name: string): T[] {
  const path = join(import.meta.dirname, "../interop/vectors", `${name}.json`);
  const file: { vectors: T[] } = JSON.parse(readFileSync(path, "utf8"));
  return file.vectors;
}

const fromHex = (hex: string): Uint8Array => new Uint8Array(Buffer.from(hex, "hex"));
const toHex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");
const latin1 = (bytes: Uint8Array): string => Buffer.from(bytes).toString("latin1");
const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);

interface OpVector {
  name: string;
  operationHex: string;
  keyHex: string;
  valueHex: string;
  clientIdHex: string;
  requestId: number;
  hex: string;
}

const known = new Set(["Put", "Append", "Get", "OpenSession"]);

describe("an operation in the original's archive", () => {
  test.each(vectors<OpVector>("ops"))("$name", (vector) => {
    const fields = {
      key: fromHex(vector.keyHex),
      value: fromHex(vector.valueHex),
      clientId: fromHex(vector.clientIdHex),
      requestId: vector.requestId,
    };
    const written = startOpArchive(fromHex(vector.operationHex), fields, 18).finish();
    expect(toHex(written)).toBe(vector.hex);

    const op = decodeOp(fromHex(vector.hex));
    const name = latin1(fromHex(vector.operationHex));
    expect(op.operation).toBe(known.has(name) ? name : "Unknown");
    expect(toHex(op.key)).toBe(vector.keyHex);
    expect(toHex(op.value)).toBe(vector.valueHex);
    expect(toHex(op.clientId)).toBe(vector.clientIdHex);
    expect(op).toMatchObject({ requestId: vector.requestId, firstUnfinished: 0, logTimeMs: 0 });
  });

  const put: Op = {
    operation: "Put",
    key: utf8("x"),
    value: utf8("499"),
    clientId: utf8("c"),
    requestId: 1,
    firstUnfinished: 0,
    logTimeMs: 1234,
  };

  test("is written in the lowest version, and in nothing but the original's own bytes", () => {
    expect(latin1(encodeOp(put, "boost"))).toBe(
      "22 serialization::archive 0 0 0 3 Put 1 x 3 499 1 c 1",
    );
  });

  test("of an opened session carries its numbers behind what the original reads", () => {
    const command = encodeOp({ ...put, firstUnfinished: 4 }, "boost");
    expect(latin1(command)).toBe(
      "22 serialization::archive 0 0 0 3 Put 1 x 3 499 1 c 1 session 4 1234",
    );
    expect(decodeOp(command)).toMatchObject({ firstUnfinished: 4, logTimeMs: 1234, requestId: 1 });
  });

  test.each([" session 4", " session 4 x", " session 99999999999999999 1", " sessions 4 1"])(
    "takes%s behind it for rubbish, as the original does",
    (rubbish) => {
      const command = Buffer.concat([encodeOp(put, "boost"), utf8(rubbish)]);
      expect(decodeOp(command)).toMatchObject({ firstUnfinished: 0, logTimeMs: 0 });
    },
  );

  test.each([2 ** 31, -(2 ** 31) - 1])("has no RequestId %d", (requestId) => {
    expect(() => encodeOp({ ...put, requestId }, "boost")).toThrow(OpCodecError);
  });
});

interface ReaderVector {
  kind: "op" | "snapshot" | "raftnode";
  name: string;
  hex: string;
  cppResult: string;
}

/** The reader's outcome in the words of the vectors. */
function read({ kind, hex }: ReaderVector): string {
  const bytes = fromHex(hex);
  if (kind === "op") {
    const op = decodeOp(bytes);
    const id = `client=${latin1(op.clientId)} rid=${op.requestId}`;
    return `ok: op=${op.operation} key=${latin1(op.key)} value=${latin1(op.value)} ${id}`;
  }
  if (kind === "raftnode") {
    const state = readOriginalRaftState(bytes);
    return `ok: term=${state.term} logs=${state.entries.length}`;
  }
  const { pairs, lastRequests } = readOriginalSnapshot(bytes);
  const keys = pairs.map(({ key }) => `[${latin1(key)}=${latin1(key)}]`);
  // The original's map keeps its clients in the opposite order here.
  const ids = lastRequests.map(({ clientId, requestId }) => `${latin1(clientId)}=${requestId}`);
  return ["ok:", ...keys, "ids:", ...ids.toReversed()].join(" ");
}

const readerVectors = vectors<ReaderVector>("reader");

describe("the archive reader", () => {
  const accepted = readerVectors.filter(({ cppResult }) => cppResult.startsWith("ok"));
  const refused = readerVectors.filter(({ cppResult }) => !cppResult.startsWith("ok"));

  test("has vectors of both kinds", () => {
    expect(accepted.length).toBeGreaterThan(20);
    expect(refused.length).toBeGreaterThan(20);
  });

  test.each(accepted)("takes $kind: $name", (vector) => {
    expect(read(vector)).toBe(vector.cppResult);
  });

  test.each(refused)("refuses $kind: $name", (vector) => {
    const typed = vector.kind === "op" ? OpCodecError : ArchiveError;
    expect(() => read(vector)).toThrow(typed);
  });

  test("refuses a last string that is cut off", () => {
    const whole = utf8("22 serialization::archive 18 0 0 1 2 0 0 0 0 1 0 4 abcd");
    expect(readOriginalRaftState(whole).entries).toEqual([utf8("abcd")]);
    expect(() => readOriginalRaftState(whole.subarray(0, -1))).toThrow(ArchiveError);
  });

  test("a count that nothing follows reserves no memory", () => {
    const text = "22 serialization::archive 18 0 0 1 2 0 0 0 0 2147483647 0 1 x";
    expect(() => readOriginalRaftState(utf8(text))).toThrow(ArchiveError);
  });
});

interface RaftVector {
  name: string;
  currentTerm: number;
  votedFor: number;
  lastSnapshotIncludeIndex: number;
  lastSnapshotIncludeTerm: number;
  logs: { serializedHex: string }[];
  hex: string;
}

describe("the original's persisted state", () => {
  test.each(vectors<RaftVector>("raftnode"))("$name", (vector) => {
    const state = {
      term: vector.currentTerm,
      votedFor: vector.votedFor,
      snapshotIndex: vector.lastSnapshotIncludeIndex,
      snapshotTerm: vector.lastSnapshotIncludeTerm,
      entries: vector.logs.map(({ serializedHex }) => fromHex(serializedHex)),
    };
    expect(toHex(writeOriginalRaftState(state, 18))).toBe(vector.hex);
    expect(readOriginalRaftState(fromHex(vector.hex))).toEqual(state);
  });
});

interface SnapshotVector {
  name: string;
  entries: { keyHex: string; valueHex: string }[];
  lastRequestId: { clientIdHex: string; requestId: number }[];
  bucketCount: number;
  hex: string;
}

describe("the original's snapshot", () => {
  test.each(vectors<SnapshotVector>("snapshot"))("$name", (vector) => {
    const snapshot = {
      pairs: vector.entries.map(({ keyHex, valueHex }) => ({
        key: fromHex(keyHex),
        value: fromHex(valueHex),
      })),
      lastRequests: vector.lastRequestId.map(({ clientIdHex, requestId }) => ({
        clientId: fromHex(clientIdHex),
        requestId,
      })),
    };
    const format = { version: 18, bucketCount: vector.bucketCount };
    expect(toHex(writeOriginalSnapshot(snapshot, format))).toBe(vector.hex);
    expect(readOriginalSnapshot(fromHex(vector.hex))).toEqual(snapshot);
  });
});
