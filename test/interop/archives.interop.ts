import { execFileSync } from "node:child_process";
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { encodeBoostOp } from "../../kvserver/boostOp.js";
import { decodeOp, encodeOp, type Op } from "../../kvserver/opCodec.js";
import { peerBinary } from "./peer.js";
import { fromHex, toHex } from "./vectorFiles.js";

/** Our writer and reader of ops against the real library's. */

/** What the library writes in its own version; ours writes the lowest with the same grammar. */
const libraryVersion = 18;
const runs = 2_000;

const someBytes = fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes));
/** Those that an archive could trip over. */
const trickyBytes = fc
  .array(fc.constantFrom(" ", "0", "9", "22", "\n", "\0", "\x1a", "\xff", "\r\n", "-1", "\t"))
  .map((parts) => Buffer.from(parts.join(""), "latin1"));
const anyBytes = fc.oneof(someBytes, trickyBytes);
const int32 = fc.oneof(
  fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }),
  fc.constantFrom(0, -(2 ** 31), 2 ** 31 - 1),
);
const anyOp = fc.record({
  operation: fc.constantFrom("Put", "Append", "Get"),
  key: anyBytes,
  value: anyBytes,
  clientId: anyBytes,
  requestId: int32,
  firstUnfinished: fc.constant(0),
  logTimeMs: fc.constant(0),
}) as fc.Arbitrary<Op>;

function peerReads(archives: readonly Uint8Array[]): string[] {
  const input = archives.map((archive) => `${toHex(archive)}\n`).join("");
  const output = execFileSync(peerBinary, ["archives"], { input, maxBuffer: 64 << 20 });
  return output.toString().trimEnd().split("\n");
}

const fieldsOf = ({ operation, key, value, clientId, requestId }: Op): string =>
  [toHex(Buffer.from(operation)), toHex(key), toHex(value), toHex(clientId), requestId].join(",");

test(`the library reads what we write, writes the same bytes, and we read them: ${runs} random ops`, () => {
  const ops = fc.sample(anyOp, { numRuns: runs, seed: 7 });
  const lines = peerReads(ops.map((op) => encodeOp(op, "boost")));
  expect(lines).toHaveLength(runs);
  for (const [i, op] of ops.entries()) {
    const written = lines[i]!.slice(lines[i]!.lastIndexOf(",") + 1);
    expect(lines[i]).toBe(`${fieldsOf(op)},${written}`);
    expect(toHex(encodeBoostOp(op, libraryVersion))).toBe(written);
    expect(fieldsOf(decodeOp(fromHex(written)))).toBe(fieldsOf(op));
  }
});
