import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { replicated } from "../../config/options.js";
import {
  clientIdBytesOf,
  incarnationName,
  incarnationSuffixBytes,
  stampableIdMax,
  stampedId,
} from "../../kvserver/incarnations.js";
import type { Op } from "../../kvserver/op.js";
import { Sessions } from "../../kvserver/sessions.js";

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const text = (value: Uint8Array): string => Buffer.from(value).toString("latin1");

describe("the name of an incarnation", () => {
  test("is the ClientId, the term and a count", () => {
    expect(text(incarnationName(bytes("clerk"), 35, 36))).toBe("clerk#0000000000z.000010");
  });

  test("tells its ClientId, whatever bytes that has", () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: replicated.clientIdBytesMax }),
        fc.maxSafeNat(),
        fc.nat(36 ** 6 - 1),
        (clientId, term, count) => {
          const name = incarnationName(clientId, term, count);
          expect(name.length).toBe(clientId.length + incarnationSuffixBytes);
          expect(clientIdBytesOf(name)).toBe(clientId.length);
          expect(name.subarray(0, clientId.length)).toEqual(clientId);
        },
      ),
    );
  });

  test("is at most as long as a session's may be", () => {
    const { clientIdBytesMax, sessionNameBytesMax } = replicated;
    expect(sessionNameBytesMax).toBe(clientIdBytesMax + incarnationSuffixBytes);
  });

  test.each(["", "clerk", "171463691516816927778469308861804289383"])(
    "is not what an original client is called: '%s'",
    (clientId) => expect(clientIdBytesOf(bytes(clientId))).toBe(-1),
  );
});

const op: Op = {
  operation: "Put",
  key: bytes("k"),
  value: bytes("v"),
  clientId: bytes("c"),
  requestId: 7,
  firstUnfinished: 0,
  logTimeMs: 0,
};

describe("a stamped RequestId", () => {
  test("is the same for a retry, and another for other content", () => {
    expect(stampedId({ ...op, logTimeMs: 5, clientId: bytes("d") })).toBe(stampedId(op));
    const others: Partial<Op>[] = [
      { operation: "Append" },
      { key: bytes("j") },
      { value: bytes("w") },
      { key: bytes("kv"), value: bytes("") },
      { requestId: 8 },
    ];
    for (const other of others) expect(stampedId({ ...op, ...other })).not.toBe(stampedId(op));
  });

  test("ascends with the RequestId, and is a safe integer up to the largest", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: stampableIdMax }),
        fc.uint8Array(),
        fc.uint8Array(),
        (requestId, one, other) => {
          const later = stampedId({ ...op, requestId, value: one });
          expect(Number.isSafeInteger(later)).toBe(true);
          expect(later).toBeGreaterThan(
            stampedId({ ...op, requestId: requestId - 1, value: other }),
          );
        },
      ),
    );
  });
});

describe("the incarnations among the sessions", () => {
  const clerk = bytes("clerk");
  const first = incarnationName(clerk, 1, 1);
  const second = incarnationName(clerk, 1, 2);
  const found = (sessions: Sessions, id: number): string[] =>
    sessions.incarnationsAt(clerk, id).map(text).toSorted();

  test("are found by their last request, and by no other", () => {
    const sessions = new Sessions();
    sessions.admit(first, 5, 0);
    sessions.admit(second, 5, 0);
    sessions.admit(incarnationName(bytes("other"), 1, 3), 5, 0);
    expect(found(sessions, 5)).toEqual([text(first), text(second)]);
    sessions.admit(first, 6, 0);
    sessions.admit(first, 6, 0);
    expect(found(sessions, 5)).toEqual([text(second)]);
    expect(found(sessions, 6)).toEqual([text(first)]);
    expect(found(sessions, 7)).toEqual([]);
  });

  test("are gone when they were closed, and only they", () => {
    const sessions = new Sessions();
    sessions.admit(first, 5, 0);
    sessions.admit(second, 5, 0);
    sessions.close(first);
    sessions.close(first);
    expect(found(sessions, 5)).toEqual([text(second)]);
    expect(sessions.size).toBe(1);
  });

  test("come back from a snapshot", () => {
    const sessions = new Sessions();
    sessions.admit(first, 5, 0);
    const restored = new Sessions();
    for (const record of sessions.capture()) restored.restore(record);
    expect(found(restored, 5)).toEqual([text(first)]);
    expect(restored.admit(first, 5, 0)).toBe("OK");
  });

  test("are none of the sessions that clients opened or named themselves", () => {
    const sessions = new Sessions();
    sessions.open(first);
    sessions.admit(first, 1, 1);
    sessions.admit(clerk, 1, 0);
    expect(found(sessions, 1)).toEqual([]);
  });
});
