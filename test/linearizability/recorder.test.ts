import { describe, expect, test } from "vitest";
import { bytes, get, put, unknown } from "./handMade.js";
import {
  HistoryError,
  HistoryRecorder,
  checkHistory,
  fromJsonLines,
  machineMicros,
  mergeHistories,
  toJsonLines,
} from "./index.js";

const key = bytes("k");

describe("HistoryRecorder", () => {
  test("keeps what each client asked and learned", () => {
    let time = 0;
    const recorder = new HistoryRecorder({ now: () => (time += 10) });
    recorder.begin({ client: "A", kind: "put", key, value: bytes("x") }).ok();
    recorder.begin({ client: "A", kind: "get", key }).ok(bytes("x"));
    recorder.begin({ client: "A", kind: "get", key }).ok(undefined);
    recorder.begin({ client: "B", kind: "append", key, value: bytes("y") }).unknown();
    recorder.begin({ client: "B", kind: "append", key, value: bytes("z") }).failed();
    recorder.begin({ client: "C", kind: "put", key, value: bytes("open") });
    expect(recorder.operations()).toEqual(
      [
        { client: "A", kind: "put", value: "x", outcome: "ok", callTime: 10, returnTime: 20 },
        { client: "A", kind: "get", output: "x", outcome: "ok", callTime: 30, returnTime: 40 },
        { client: "A", kind: "get", outcome: "ok", callTime: 50, returnTime: 60 },
        { client: "B", kind: "append", value: "y", outcome: "unknown", callTime: 70 },
        {
          client: "B",
          kind: "append",
          value: "z",
          outcome: "failed",
          callTime: 80,
          returnTime: 90,
        },
        { client: "C", kind: "put", value: "open", outcome: "unknown", callTime: 100 },
      ].map(({ value, output, ...rest }) => ({
        returnTime: Infinity,
        ...rest,
        key: Uint8Array.from(key),
        ...(value !== undefined && { value: Uint8Array.from(bytes(value)) }),
        ...(rest.kind === "get" && { output: output && Uint8Array.from(bytes(output)) }),
      })),
    );
  });

  test("orders what one process sees while its clock stands still", () => {
    for (const now of [0, 5, -5, 1e12]) {
      const recorder = new HistoryRecorder({ now: () => now });
      recorder.begin({ client: "A", kind: "put", key, value: bytes("x") }).ok();
      recorder.begin({ client: "B", kind: "get", key }).ok(undefined);
      expect(checkHistory(recorder.operations()).verdict).toBe("illegal");
    }
  });

  test("its own clock does not stand still for long, and is the machine's", () => {
    const before = machineMicros();
    const recorder = new HistoryRecorder();
    recorder.begin({ client: "A", kind: "get", key }).ok(undefined);
    const [operation] = recorder.operations();
    expect(operation!.callTime).toBeGreaterThanOrEqual(before);
    expect(operation!.returnTime).toBeGreaterThan(operation!.callTime);
    expect(operation!.returnTime).toBeLessThan(machineMicros() + 1);
  });

  test("does not keep the caller's buffers", () => {
    const recorder = new HistoryRecorder();
    const shared = Buffer.from("before");
    recorder.begin({ client: "A", kind: "put", key: shared, value: shared }).ok();
    recorder.begin({ client: "A", kind: "get", key: shared }).ok(shared);
    shared.fill("!");
    const [written, read] = recorder.operations();
    const before = new Uint8Array(Buffer.from("before"));
    expect(written).toMatchObject({ key: before, value: before });
    expect(read).toMatchObject({ key: before, output: before });
    expect(checkHistory(recorder.operations())).toMatchObject({ verdict: "legal", keys: 1 });
  });

  test("an operation ends once", () => {
    const recorder = new HistoryRecorder();
    const handle = recorder.begin({ client: "A", kind: "get", key });
    handle.ok(undefined);
    expect(() => handle.unknown()).toThrow(HistoryError);
    expect(recorder.operations()).toMatchObject([{ outcome: "ok" }]);
  });

  test("holds no more than it may", () => {
    const recorder = new HistoryRecorder({ operationsMax: 1 });
    recorder.begin({ client: "A", kind: "get", key });
    const more = (): unknown => recorder.begin({ client: "A", kind: "get", key });
    expect(more).toThrow(expect.objectContaining({ code: "FULL" }));
  });
});

describe("histories in files", () => {
  const history = [
    put("A", "\0\xff\n", [0.25, 1]),
    unknown(put("B", "", [2, 3])),
    get("A", "", [4, 5]),
    get("A", null, [4, 6]),
  ];

  test("come back as they were", () => {
    const text = toJsonLines(history);
    expect(text.split("\n")).toHaveLength(history.length + 1);
    const plain = history.map((operation) => ({
      ...operation,
      key: Uint8Array.from(operation.key),
      ...(operation.kind === "get"
        ? { output: operation.output && Uint8Array.from(operation.output) }
        : { value: Uint8Array.from(operation.value) }),
    }));
    expect(fromJsonLines(text)).toEqual(plain);
  });

  test("of several processes become one, by time", () => {
    const merged = mergeHistories(history.slice(2), history.slice(0, 2));
    expect(merged.map(({ callTime }) => callTime)).toEqual([0.25, 2, 4, 4]);
  });

  test.each([
    "{",
    "null",
    '{"client":"A"}',
    toJsonLines(history).replace('"put"', '"remove"'),
    toJsonLines(history).replace("0.25", "null"),
    toJsonLines(history).replace("0.25", "99"),
  ])("that are damaged are refused, with the line: %j", (text) => {
    const read = (): unknown => fromJsonLines(text);
    expect(read).toThrow(expect.objectContaining({ code: "INVALID_FILE" }));
    expect(read).toThrow("line 1");
  });
});
