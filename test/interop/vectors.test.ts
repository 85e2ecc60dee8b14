import { readdirSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { rpcDefaults } from "../../config/index.js";
import { ArchiveError } from "../../kvserver/boostArchive.js";
import { startOpArchive } from "../../kvserver/boostOp.js";
import { decodeOp, OpCodecError } from "../../kvserver/opCodec.js";
import {
  readOriginalRaftState,
  readOriginalSnapshot,
  writeOriginalRaftState,
  writeOriginalSnapshot,
} from "../../kvserver/originalFiles.js";
import * as proto from "../../proto/index.js";
import { raftService } from "../../raft/raftMethods.js";
import { ByteWriter } from "../../rpc/byteWriter.js";
import { FrameReader } from "../../rpc/frameReader.js";
import { RequestFramer, RequestHeader } from "../../rpc/framing.js";
import type { Codec, MethodDescriptor } from "../../rpc/service.js";
import { fromHex, toHex, vectors, vectorsDir } from "./vectorFiles.js";

/**
 * Every recorded byte goes through our reader and our writer. What either makes of a vector is
 * looked at where it lives (test/rpc, test/raft, test/kvserver); here nothing may be left out, and
 * the counts are told.
 */

/** The counts of one file, as they must come out. */
interface Counts {
  readonly written: number;
  readonly read: number;
  readonly refused: number;
}

/** The archive version of the recorded bytes; we write lower ones, with the same grammar. */
const recordedVersion = 18;
const archiveVersion = (hex: string): number =>
  Number(/^22 serialization::archive (\d+) /.exec(fromHex(hex).toString("latin1"))?.[1]);

const methods = new Map<string, MethodDescriptor>(
  [raftService, proto.kvServerRpcDescriptor].flatMap(({ methods: all }) =>
    all.map((method) => [`${method.serviceName}.${method.name}`, method] as const),
  ),
);
const codecs = new Map(
  Object.entries(proto).map(([name, value]) => [name, value as Codec<unknown>]),
);

function encode(codec: Codec<unknown>, message: unknown): string {
  const writer = new ByteWriter();
  codec.encode(message, writer);
  return toHex(writer.finish());
}

/** Whole frames in, the method and the decoded arguments out. */
function readRequest(hex: string): { method: MethodDescriptor; request: unknown } {
  const { headerBytesMax, requestBytesMax } = rpcDefaults;
  const taken: { method: MethodDescriptor; request: unknown }[] = [];
  const limits = { headerBytesMax, bodyBytesMax: requestBytesMax };
  const reader = new FrameReader(new RequestHeader(), false, limits, {
    onFrame({ serviceName, methodName, callId }, bytes, start, end) {
      expect(callId).toBe(0);
      const method = methods.get(`${serviceName}.${methodName}`)!;
      // Decoded bytes are views, and the reader keeps its buffers.
      taken.push({
        method,
        request: method.request.decode(Buffer.from(bytes.subarray(start, end))),
      });
    },
    onOversized: () => expect.unreachable("over the limit"),
    onGarbage: (reason) => expect.unreachable(reason),
  });
  reader.push(fromHex(hex));
  expect(taken).toHaveLength(1);
  return taken[0]!;
}

function writeRequest({ method, request }: ReturnType<typeof readRequest>): string {
  const { headerBytesMax, requestBytesMax } = rpcDefaults;
  const writer = new ByteWriter();
  const limits = { headerBytesMax, bodyBytesMax: requestBytesMax };
  new RequestFramer(method).write(writer, request, 0, 0, [], limits);
  return toHex(writer.finish());
}

interface Exchange {
  readonly requestHex: string;
  readonly responseHex: string | null;
}

/** Requests, and the replies where there was one. */
function exchanges(file: string): Counts {
  let count = 0;
  for (const { requestHex, responseHex } of vectors<Exchange>(file)) {
    const taken = readRequest(requestHex);
    expect(writeRequest(taken)).toBe(requestHex);
    count++;
    if (responseHex === null) continue;
    const { response } = taken.method;
    expect(encode(response, response.decode(fromHex(responseHex)))).toBe(responseHex);
    count++;
  }
  return { written: count, read: count, refused: 0 };
}

function messages(): Counts {
  const all = vectors<{ message: string; hex: string; size: number }>("proto");
  for (const { message, hex, size } of all) {
    const codec = codecs.get(`${message}Codec`)!;
    expect(encode(codec, codec.decode(fromHex(hex)))).toBe(hex);
    expect(hex.length / 2).toBe(size);
  }
  return { written: all.length, read: all.length, refused: 0 };
}

function frames(): Counts {
  const all = vectors<{ hex: string }>("frames");
  for (const { hex } of all) expect(writeRequest(readRequest(hex))).toBe(hex);
  return { written: all.length, read: all.length, refused: 0 };
}

function ops(): Counts {
  const all = vectors<{ operationHex: string; hex: string }>("ops");
  for (const { operationHex, hex } of all) {
    // The name as it was: our reader knows only that it is another one than ours.
    const archive = startOpArchive(fromHex(operationHex), decodeOp(fromHex(hex)), recordedVersion);
    expect(toHex(archive.finish())).toBe(hex);
  }
  return { written: all.length, read: all.length, refused: 0 };
}

function raftStates(): Counts {
  const all = vectors<{ hex: string }>("raftnode");
  for (const { hex } of all) {
    const state = readOriginalRaftState(fromHex(hex));
    expect(toHex(writeOriginalRaftState(state, archiveVersion(hex)))).toBe(hex);
    const codec = proto.LogEntryCodec;
    for (const entry of state.entries)
      expect(encode(codec, codec.decode(entry))).toBe(toHex(entry));
  }
  return { written: all.length, read: all.length, refused: 0 };
}

function snapshots(): Counts {
  const all = vectors<{ hex: string; bucketCount: number }>("snapshot");
  for (const { hex, bucketCount } of all) {
    const snapshot = readOriginalSnapshot(fromHex(hex));
    const format = { version: archiveVersion(hex), bucketCount };
    expect(toHex(writeOriginalSnapshot(snapshot, format))).toBe(hex);
  }
  return { written: all.length, read: all.length, refused: 0 };
}

const readers = { op: decodeOp, raftnode: readOriginalRaftState, snapshot: readOriginalSnapshot };

function readerOutcomes(): Counts {
  let read = 0;
  let refused = 0;
  for (const { kind, hex, cppResult } of vectors<{
    kind: keyof typeof readers;
    hex: string;
    cppResult: string;
  }>("reader")) {
    const outcome = (): unknown => readers[kind](fromHex(hex));
    if (cppResult.startsWith("ok")) {
      outcome();
      read++;
    } else {
      expect(outcome).toThrow(kind === "op" ? OpCodecError : ArchiveError);
      refused++;
    }
  }
  return { written: 0, read, refused };
}

const files: readonly (readonly [string, () => Counts, Counts])[] = [
  ["proto", messages, { written: 44, read: 44, refused: 0 }],
  ["frames", frames, { written: 6, read: 6, refused: 0 }],
  ["wire", () => exchanges("wire"), { written: 26, read: 26, refused: 0 }],
  ["follower", () => exchanges("follower"), { written: 66, read: 66, refused: 0 }],
  ["ops", ops, { written: 16, read: 16, refused: 0 }],
  ["raftnode", raftStates, { written: 3, read: 3, refused: 0 }],
  ["snapshot", snapshots, { written: 5, read: 5, refused: 0 }],
  ["reader", readerOutcomes, { written: 0, read: 33, refused: 32 }],
];

describe("the vectors", () => {
  test.each(
    files.map(
      ([name, run, counts]) => [name, counts.written, counts.read, counts.refused, run] as const,
    ),
  )("%s: %i written, %i read, %i refused", (_name, written, read, refused, run) => {
    expect(run()).toEqual({ written, read, refused });
  });

  test("166 written, 199 read, 32 refused, from every file", () => {
    const sum = (part: keyof Counts): number =>
      files.reduce((total, [, , counts]) => total + counts[part], 0);
    expect([sum("written"), sum("read"), sum("refused")]).toEqual([166, 199, 32]);
    const present = readdirSync(vectorsDir).map((file) => file.replace(/\.json$/, ""));
    expect(files.map(([name]) => name).toSorted()).toEqual(present.toSorted());
  });
});
