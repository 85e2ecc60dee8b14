import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { replicated } from "../../config/options.js";
import { encodeOp, type Op } from "../../kvserver/opCodec.js";
import { SnapshotFormatError } from "../../kvserver/snapshotRecords.js";
import { KvStateMachine } from "../../kvserver/stateMachine.js";
import { restoreState } from "../../kvserver/stateRestore.js";
import { captureState, chunkBytes, stateDigest } from "../../kvserver/stateSnapshot.js";

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

function apply(machine: KvStateMachine, fields: Partial<Op>): void {
  const op: Op = {
    operation: "Put",
    key: bytes("k"),
    value: bytes(""),
    clientId: bytes("client"),
    requestId: 0,
    firstUnfinished: 0,
    logTimeMs: 0,
    ...fields,
  };
  machine.apply(encodeOp(op, "compact"), 1);
}

/** Pairs of all sizes, sessions of both kinds with requests out of order and refused ones. */
function sample(): KvStateMachine {
  const machine = new KvStateMachine();
  const opened = { clientId: bytes("opened"), firstUnfinished: 1, logTimeMs: 1000 };
  apply(machine, { ...opened, operation: "OpenSession" });
  for (const size of [0, 1, 300, 16_384, 20_000, 70_000, 300_000]) {
    const value = new Uint8Array(size).fill(size);
    apply(machine, { ...opened, key: bytes(`size${size}`), value, requestId: 1 + (size % 97) });
  }
  for (let i = 0; i < 500; i++) {
    apply(machine, { clientId: bytes(`c${i % 50}`), key: bytes(`key${i}`), requestId: i - 5 });
  }
  const tooLarge = new Uint8Array(replicated.valueBytesMax + 1);
  apply(machine, { ...opened, value: tooLarge, requestId: 1000 });
  apply(machine, { clientId: bytes("c7"), value: tooLarge, requestId: 9000, logTimeMs: 2000 });
  return machine;
}

function chunksOf(machine: KvStateMachine): Uint8Array[] {
  return Array.from(captureState(machine), (chunk) => chunk.slice());
}

function cut(whole: Uint8Array, size: number): Uint8Array[] {
  const parts = [];
  for (let at = 0; at < whole.length; at += size) parts.push(whole.subarray(at, at + size));
  return parts;
}

describe("a snapshot of the state", () => {
  test("comes back as the same state", async () => {
    const machine = sample();
    const restored = await restoreState(chunksOf(machine));
    expect(stateDigest(restored)).toBe(stateDigest(machine));
    expect(restored.keyCount).toBe(machine.keyCount);
    expect(restored.sessionCount).toBe(51);
    expect(restored.logTimeMs).toBe(2000);
    expect(restored.get(bytes("size70000"))).toEqual(machine.get(bytes("size70000")));
  });

  test("restores each key's own value (the original restores the keys)", async () => {
    const machine = new KvStateMachine();
    apply(machine, { key: bytes("key"), value: bytes("value"), requestId: 1 });
    const restored = await restoreState(chunksOf(machine));
    expect(restored.get(bytes("key"))).toEqual(bytes("value"));
  });

  test("goes on as the original state would", async () => {
    const machine = sample();
    const restored = await restoreState(chunksOf(machine));
    const later = replicated.sessionIdleMsMax + 1500;
    for (const each of [machine, restored]) {
      for (let id = 0; id < 120; id++) {
        const request = { clientId: bytes("opened"), requestId: id, firstUnfinished: 1 };
        apply(each, { ...request, key: bytes(`after${id}`) });
      }
      apply(each, { clientId: bytes("c1"), requestId: 10_000, logTimeMs: later });
    }
    expect(restored.sessionCount).toBe(machine.sessionCount);
    expect(stateDigest(restored)).toBe(stateDigest(machine));
  });

  test.each([1, 7, 1000, 1 << 30])("may arrive in pieces of %i bytes", async (size) => {
    const machine = new KvStateMachine();
    for (let i = 0; i < 20; i++) {
      apply(machine, {
        clientId: bytes(`c${i}`),
        key: bytes(`k${i}`),
        value: bytes("v"),
        requestId: 1,
      });
    }
    const whole = Buffer.concat(chunksOf(machine));
    const restored = await restoreState(cut(whole, size));
    expect(stateDigest(restored)).toBe(stateDigest(machine));
  });

  test("may arrive in two pieces, cut anywhere", async () => {
    const machine = new KvStateMachine();
    for (const key of ["a", "", "ccc"]) {
      apply(machine, { clientId: bytes("c"), key: bytes(key), value: bytes(key), requestId: 1 });
    }
    const whole = Buffer.concat(chunksOf(machine));
    for (let at = 0; at <= whole.length; at++) {
      const restored = await restoreState([whole.subarray(0, at), whole.subarray(at)]);
      expect(stateDigest(restored)).toBe(stateDigest(machine));
    }
  });

  test("of nothing is a snapshot too", async () => {
    const restored = await restoreState(chunksOf(new KvStateMachine()));
    expect(stateDigest(restored)).toBe(stateDigest(new KvStateMachine()));
  });

  test("is cut into chunks of bounded size, each an array of its own", () => {
    const chunks = chunksOf(sample());
    expect(chunks.length).toBeGreaterThan(5);
    expect(Math.max(...chunks.map(({ length }) => length))).toBeLessThanOrEqual(chunkBytes);
    expect(new Set(chunks.map(({ buffer }) => buffer)).size).toBe(chunks.length);
  });

  test("is of the moment of the call, whatever is applied between its chunks", () => {
    const write = fc.record({
      operation: fc.constantFrom("Put" as const, "Append" as const),
      key: fc.nat(40).map((n) => bytes(`key${n}`)),
      value: fc.constantFrom(10, 1000, 15_000, 40_000).map((n) => new Uint8Array(n).fill(n)),
      clientId: fc.nat(5).map((n) => bytes(`client${n}`)),
      requestId: fc.nat(100),
      logTimeMs: fc.nat(10_000),
    });
    const writes = fc.array(write, { minLength: 10, maxLength: 60 });
    fc.assert(
      fc.property(writes, writes, (before, during) => {
        const machine = new KvStateMachine();
        for (const fields of before) apply(machine, fields);
        const expected = Buffer.concat(chunksOf(machine));
        const capture = captureState(machine);
        const chunks: Uint8Array[] = [];
        for (const chunk of capture) {
          chunks.push(chunk.slice());
          const from = 5 * chunks.length;
          for (const fields of during.slice(from, from + 5)) apply(machine, fields);
        }
        expect(Buffer.concat(chunks).equals(expected)).toBe(true);
      }),
      { numRuns: 60 },
    );
  });

  test("holds the old value of a pair that is overwritten in place between two chunks", () => {
    const machine = new KvStateMachine();
    const fill = (byte: number): void => {
      for (let i = 0; i < 40; i++) {
        const value = new Uint8Array(15_000).fill(byte);
        apply(machine, { key: bytes(`key${i}`), value, clientId: bytes("") });
      }
    };
    fill(1);
    const expected = Buffer.concat(chunksOf(machine));
    const chunks: Uint8Array[] = [];
    for (const chunk of captureState(machine)) {
      chunks.push(chunk.slice());
      fill(1 + chunks.length);
    }
    expect(Buffer.concat(chunks).equals(expected)).toBe(true);
  });

  test("may arrive in one buffer that is used again and again", async () => {
    const machine = new KvStateMachine();
    for (let i = 0; i < 60; i++) apply(machine, { clientId: bytes(`client${i}`), requestId: i });
    const whole = Buffer.concat(chunksOf(machine));
    for (let size = 30; size < 50; size++) {
      const restored = await restoreState(inOneBuffer(whole, size));
      expect(stateDigest(restored)).toBe(stateDigest(machine));
    }
  });

  test("can be taken again after one was given up", () => {
    const machine = sample();
    const unused = captureState(machine);
    expect(() => captureState(machine)).toThrow(/open already/);
    unused.close();
    for (const chunk of captureState(machine)) {
      expect(chunk.length).toBeGreaterThan(0);
      break;
    }
    expect(stateDigest(machine)).toBe(stateDigest(sample()));
  });
});

async function* inOneBuffer(whole: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  const shared = new Uint8Array(size);
  for (const part of cut(whole, size)) {
    shared.set(part);
    yield shared.subarray(0, part.length);
    shared.fill(0xee);
  }
}

async function* failing(first: Uint8Array): AsyncGenerator<Uint8Array> {
  yield first;
  throw new Error("the disk is gone");
}

describe("what is no snapshot", () => {
  const valid = Buffer.concat(
    chunksOf(
      (() => {
        const machine = new KvStateMachine();
        apply(machine, { operation: "OpenSession", clientId: bytes("abc") });
        apply(machine, {
          clientId: bytes("d"),
          key: bytes("k1"),
          value: bytes("v1"),
          requestId: 1,
        });
        return machine;
      })(),
    ),
  );

  test("is refused wherever it is cut off", async () => {
    for (let length = 0; length < valid.length; length++) {
      await expect(restoreState([valid.subarray(0, length)])).rejects.toThrow(SnapshotFormatError);
    }
  });

  test("is refused when it goes on behind its end", async () => {
    const longer = Buffer.concat([valid, Buffer.from([0])]);
    await expect(restoreState([longer])).rejects.toThrow(/behind its end/);
    await expect(restoreState([valid, Buffer.from([0])])).rejects.toThrow(/behind its end/);
  });

  const pairAt = 40 + 32 + 3 + 32 + 1;
  test.each([
    ["another magic", 0, [0x58], /no snapshot/],
    ["a later version", 8, [2], /version 2/],
    ["more sessions than there may be", 24, [0xff, 0xff, 0xff], /count of sessions/],
    ["a negative count of keys", 39, [0x80], /number|count of keys/],
    ["a client id of no bytes", 40, [0, 0], /client id/],
    ["a first request that its kind can't have", 44, [0], /first request/],
    ["a key beyond the limit", pairAt, [0xff, 0xff, 0xff, 0x7f], /key's length/],
    ["a value beyond the limit", pairAt + 4, [0xff, 0xff, 0xff, 0xff], /value's length/],
  ])("is refused with %s", async (_, at, patch, message) => {
    const damaged = Buffer.from(valid);
    damaged.set(patch, at);
    await expect(restoreState([damaged])).rejects.toThrow(SnapshotFormatError);
    await expect(restoreState([damaged])).rejects.toThrow(message);
  });

  test("is refused when a key or a session stands in it twice", async () => {
    const pair = valid.subarray(pairAt);
    const twoKeys = Buffer.concat([valid, pair]);
    twoKeys.writeUInt32LE(2, 32);
    await expect(restoreState([twoKeys])).rejects.toThrow(/key stands in it twice/);
    const session = valid.subarray(40, 40 + 32 + 3);
    const twoSessions = Buffer.concat([valid.subarray(0, 40), session, valid.subarray(40)]);
    twoSessions.writeUInt32LE(3, 24);
    await expect(restoreState([twoSessions])).rejects.toThrow(/session stands in it twice/);
  });

  test("never brings anything but the typed error", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.nat(valid.length - 1), fc.nat(255)), { minLength: 1, maxLength: 4 }),
        async (patches) => {
          const damaged = Buffer.from(valid);
          for (const [at, byte] of patches) damaged[at] = byte;
          const outcome = await restoreState([damaged]).catch((error: unknown) => error);
          const fine = outcome instanceof KvStateMachine || outcome instanceof SnapshotFormatError;
          expect(fine).toBe(true);
        },
      ),
      { numRuns: 300 },
    );
  });

  test("passes on what the source of the chunks throws", async () => {
    await expect(restoreState(failing(valid.subarray(0, 10)))).rejects.toThrow("the disk is gone");
  });
});
