import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { replicated } from "../../config/options.js";
import { Err } from "../../kvserver/err.js";
import { encodeOp, OpCodecError, type Op } from "../../kvserver/opCodec.js";
import { KvStateMachine } from "../../kvserver/stateMachine.js";
import { stateDigest } from "../../kvserver/stateSnapshot.js";

const bytes = (of: string): Uint8Array => new TextEncoder().encode(of);

function command(fields: Partial<Op>, codec: "compact" | "boost" = "compact"): Uint8Array {
  const empty = new Uint8Array(0);
  const op: Op = {
    operation: "Put",
    key: empty,
    value: empty,
    clientId: bytes("client"),
    requestId: 0,
    firstUnfinished: 0,
    logTimeMs: 0,
    ...fields,
  };
  return encodeOp(op, codec);
}

const key = bytes("k");
const put = (requestId: number, value: string, codec?: "boost"): Uint8Array =>
  command({ key, value: bytes(value), requestId }, codec);
const append = (requestId: number, value: string): Uint8Array =>
  command({ operation: "Append", key, value: bytes(value), requestId });

function text(machine: KvStateMachine): string | undefined {
  const value = machine.get(key);
  return value === undefined ? undefined : Buffer.from(value).toString();
}

describe("KvStateMachine", () => {
  test("puts, and appends at the end (the original replaces)", () => {
    const machine = new KvStateMachine();
    expect(machine.apply(append(1, "a"), 1)).toEqual({ err: Err.ok });
    machine.apply(append(2, "b"), 2);
    expect(text(machine)).toBe("ab");
    machine.apply(put(3, "c"), 3);
    machine.apply(append(4, "d"), 4);
    expect(text(machine)).toBe("cd");
    expect(machine.keyCount).toBe(1);
  });

  test("applies a repeated request once, in either encoding", () => {
    const machine = new KvStateMachine();
    machine.apply(append(1, "a"), 1);
    machine.apply(append(1, "a"), 2);
    machine.apply(put(1, "z", "boost"), 3);
    expect(text(machine)).toBe("a");
    machine.apply(put(2, "z", "boost"), 4);
    expect(text(machine)).toBe("z");
  });

  test("copies what it keeps: the command's memory may be used again", () => {
    const machine = new KvStateMachine();
    const entry = put(1, "value");
    machine.apply(entry, 1);
    entry.fill(0xee);
    expect(text(machine)).toBe("value");
    expect(machine.apply(put(1, "other"), 2)).toEqual({ err: Err.ok });
    expect(text(machine)).toBe("value");
  });

  test("a Get in the log, as the original's leader writes it, changes nothing", () => {
    const machine = new KvStateMachine();
    machine.apply(put(1, "v"), 1);
    const before = stateDigest(machine);
    for (const codec of ["boost", "compact"] as const) {
      machine.apply(command({ operation: "Get", key, requestId: 2 }, codec), 2);
    }
    expect(stateDigest(machine)).toBe(before);
  });

  test("an operation of the original that nobody knows changes nothing", () => {
    const machine = new KvStateMachine();
    const noop = bytes("22 serialization::archive 18 0 0 4 Noop 0  0  1 c 5");
    expect(machine.apply(noop, 1)).toEqual({ err: Err.ok });
    expect(stateDigest(machine)).toBe(stateDigest(new KvStateMachine()));
  });

  test("the empty command of a new leader is a no-op", () => {
    const machine = new KvStateMachine();
    machine.onUndecodable = () => expect.unreachable();
    expect(machine.apply(new Uint8Array(0), 1)).toEqual({ err: Err.ok });
  });

  test("a command that can't be read changes nothing and is reported once", () => {
    const machine = new KvStateMachine();
    const reports: [number, unknown][] = [];
    machine.onUndecodable = (index, error) => reports.push([index, error]);
    const before = stateDigest(machine);
    machine.apply(bytes("22 rubbish"), 7);
    machine.apply(Uint8Array.of(0x08), 8);
    expect(stateDigest(machine)).toBe(before);
    expect(reports).toEqual([[7, expect.any(OpCodecError)]]);
    expect(machine.undecodableCount).toBe(2);
  });

  test("refuses a value over the limit, and says so to a retry too", () => {
    const machine = new KvStateMachine();
    const half = new Uint8Array(replicated.valueBytesMax / 2).fill(1);
    const grow = (requestId: number): Uint8Array =>
      command({ operation: "Append", key, value: half, requestId });
    machine.apply(grow(1), 1);
    machine.apply(grow(2), 2);
    expect(machine.apply(append(3, "x"), 3)).toEqual({ err: Err.valueTooLarge });
    expect(machine.get(key)?.length).toBe(replicated.valueBytesMax);
    machine.apply(put(2, "duplicate"), 4);
    expect(machine.apply(append(3, "x"), 5)).toEqual({ err: Err.valueTooLarge });
    expect(machine.lookupResult(bytes("client"), 3, 0)).toEqual({ err: Err.valueTooLarge });

    machine.apply(put(4, "small"), 6);
    const huge = command({
      key,
      value: new Uint8Array(replicated.valueBytesMax + 1),
      requestId: 5,
    });
    expect(machine.apply(huge, 7)).toEqual({ err: Err.valueTooLarge });
    expect(text(machine)).toBe("small");
  });

  test("a session must be opened before requests that say so", () => {
    const machine = new KvStateMachine();
    const request = command({ key, value: bytes("v"), requestId: 1, firstUnfinished: 1 });
    expect(machine.apply(request, 1)).toEqual({ err: Err.sessionExpired });
    expect(text(machine)).toBeUndefined();
    expect(machine.lookupResult(bytes("client"), 1, 1)).toBeUndefined();
    machine.apply(command({ operation: "OpenSession", logTimeMs: 5 }), 2);
    expect(machine.apply(request, 3)).toEqual({ err: Err.ok });
    expect(machine.lookupResult(bytes("client"), 1, 1)).toEqual({ err: Err.ok });
    expect(text(machine)).toBe("v");
    expect([machine.sessionCount, machine.logTimeMs]).toEqual([1, 5]);
  });

  test("sessions expire by the times in the log", () => {
    const machine = new KvStateMachine();
    machine.apply(command({ operation: "OpenSession", logTimeMs: 1 }), 1);
    const other = { clientId: bytes("other"), requestId: 1 };
    machine.apply(command({ ...other, logTimeMs: replicated.sessionIdleMsMax + 1 }), 2);
    expect(machine.sessionCount).toBe(2);
    machine.apply(command({ ...other, logTimeMs: replicated.sessionIdleMsMax + 2 }), 3);
    expect(machine.sessionCount).toBe(1);
  });

  test("the same commands give the same state, whatever was read between them", () => {
    const anyCommand = fc.oneof(
      fc.uint8Array({ maxLength: 12 }),
      fc
        .record({
          operation: fc.constantFrom("Put" as const, "Append" as const, "OpenSession", "Get"),
          key: fc.uint8Array({ maxLength: 1 }),
          value: fc.uint8Array({ maxLength: 20 }),
          clientId: fc.constantFrom(bytes("a"), bytes("b"), bytes("")),
          requestId: fc.nat(10),
          firstUnfinished: fc.nat(3),
          logTimeMs: fc.nat(2 * replicated.sessionIdleMsMax),
        })
        .map((fields) => command(fields)),
    );
    fc.assert(
      fc.property(fc.array(anyCommand, { maxLength: 60 }), (commands) => {
        const [one, other] = [new KvStateMachine(), new KvStateMachine()];
        const answers = commands.map((entry, i) => {
          one.get(entry);
          one.lookupResult(bytes("a"), i, 0);
          return [one.apply(entry, i + 1), other.apply(entry, i + 1)];
        });
        for (const [mine, theirs] of answers) expect(mine).toEqual(theirs);
        expect(stateDigest(one)).toBe(stateDigest(other));
      }),
    );
  });
});
