import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Err } from "../../kvserver/err.js";
import { incarnationSuffixBytes } from "../../kvserver/incarnations.js";
import { Sessions, type SessionLimits, type SessionRecord } from "../../kvserver/sessions.js";

const limits: SessionLimits = {
  sessionsMax: 3,
  sessionIdleMsMax: 1000,
  sessionWindowMax: 8,
  sessionDropsPerCommandMax: 2,
  clientIdBytesMax: 4,
  sessionNameBytesMax: 4 + incarnationSuffixBytes,
};

const client = (name: string): Uint8Array => new TextEncoder().encode(name);
const a = client("a");
const b = client("b");
const c = client("c");

function opened(...clients: Uint8Array[]): Sessions {
  const sessions = new Sessions(limits);
  for (const id of clients) sessions.open(id);
  return sessions;
}

function names(sessions: Sessions): string[] {
  return [...sessions.capture()].map(({ clientId }) => Buffer.from(clientId).toString());
}

describe("a session that was opened", () => {
  test("applies each id once, in whatever order they come", () => {
    const sessions = opened(a);
    for (const id of [1, 3, 2, 6, 4]) expect(sessions.admit(a, id, 1)).toBeNull();
    for (const id of [6, 1, 2, 3, 4]) expect(sessions.admit(a, id, 1)).toBe(Err.ok);
    expect(sessions.admit(a, 5, 1)).toBeNull();
    expect([...sessions.capture()]).toMatchObject([{ appliedThrough: 6, outOfOrder: [] }]);
  });

  test("does not take a retried 5 for a duplicate because 6 came first", () => {
    const sessions = opened(a);
    expect(sessions.admit(a, 6, 5)).toBeNull();
    expect(sessions.admit(a, 5, 5)).toBeNull();
    expect(sessions.admit(a, 5, 5)).toBe(Err.ok);
  });

  test("takes ids below the low-water mark for finished", () => {
    const sessions = opened(a);
    expect(sessions.admit(a, 1, 1)).toBeNull();
    expect(sessions.admit(a, 7, 7)).toBeNull();
    expect(sessions.admit(a, 3, 1)).toBe(Err.ok);
    expect(sessions.admit(a, 6, 2)).toBe(Err.ok);
  });

  test("refuses ids beyond its window, and remembers nothing of them", () => {
    const sessions = opened(a);
    expect(sessions.admit(a, 9, 1)).toBe(Err.sessionExpired);
    expect(sessions.admit(a, 8, 1)).toBeNull();
    expect(sessions.admit(a, 9, 2)).toBeNull();
    expect(sessions.admit(a, 2 ** 52, 2)).toBe(Err.sessionExpired);
    expect(sessions.admit(a, 2 ** 52, 2 ** 52)).toBeNull();
    expect(sessions.admit(a, 9, 2)).toBe(Err.ok);
  });

  test("keeps a result that is not OK until it is finished for the client", () => {
    const sessions = opened(a);
    sessions.admit(a, 2, 1);
    sessions.recordTooLarge();
    expect(sessions.admit(a, 1, 1)).toBeNull();
    expect(sessions.admit(a, 2, 1)).toBe(Err.valueTooLarge);
    expect(sessions.lookup(a, 2, 1)).toBe(Err.valueTooLarge);
    expect(sessions.lookup(a, 1, 1)).toBe(Err.ok);
    expect(sessions.admit(a, 3, 3)).toBeNull();
    expect(sessions.admit(a, 2, 1)).toBe(Err.ok);
    expect([...sessions.capture()]).toMatchObject([{ tooLarge: [] }]);
  });

  test("must be opened first, and opening it again keeps it", () => {
    const sessions = new Sessions(limits);
    expect(sessions.admit(a, 1, 1)).toBe(Err.sessionExpired);
    expect(sessions.size).toBe(0);
    expect(sessions.open(a)).toBe(Err.ok);
    expect(sessions.admit(a, 1, 1)).toBeNull();
    expect(sessions.open(a)).toBe(Err.ok);
    expect(sessions.admit(a, 1, 1)).toBe(Err.ok);
  });

  test.each([client(""), client("12345")])("has an id of 1 to clientIdBytesMax bytes", (id) => {
    const sessions = new Sessions(limits);
    expect(sessions.open(id)).toBe(Err.sessionExpired);
    expect(sessions.admit(id, 1, 1)).toBe(Err.sessionExpired);
    expect(sessions.size).toBe(0);
  });
});

describe("a session of a client of the original's kind", () => {
  test("begins with its first request and has one at a time", () => {
    const sessions = new Sessions(limits);
    expect(sessions.admit(a, 7, 0)).toBeNull();
    expect(sessions.admit(a, 7, 0)).toBe(Err.ok);
    expect(sessions.admit(a, 6, 0)).toBe(Err.ok);
    expect(sessions.admit(a, 9, 0)).toBeNull();
    expect(sessions.lookup(a, 9, 0)).toBe(Err.ok);
    expect(sessions.lookup(a, 10, 0)).toBeUndefined();
    expect(sessions.lookup(a, 9, 1)).toBeUndefined();
  });

  test("keeps the result of the last request alone", () => {
    const sessions = new Sessions(limits);
    sessions.admit(a, -1, 0);
    sessions.recordTooLarge();
    expect(sessions.admit(a, -1, 0)).toBe(Err.valueTooLarge);
    sessions.admit(a, 5, 0);
    sessions.recordTooLarge();
    expect(sessions.admit(a, 5, 0)).toBe(Err.valueTooLarge);
    expect(sessions.admit(a, -1, 0)).toBe(Err.ok);
    expect(sessions.admit(a, 6, 0)).toBeNull();
    expect(sessions.admit(a, 6, 0)).toBe(Err.ok);
  });

  test("is none for requests that name no client: each is applied", () => {
    const sessions = new Sessions(limits);
    expect(sessions.admit(client(""), 1, 0)).toBeNull();
    sessions.recordTooLarge();
    expect(sessions.admit(client(""), 1, 0)).toBeNull();
    expect(sessions.size).toBe(0);
  });

  test("does not serve a client that says it opened one", () => {
    const sessions = new Sessions(limits);
    sessions.admit(a, 1, 0);
    expect(sessions.admit(a, 2, 1)).toBe(Err.sessionExpired);
    expect(sessions.open(a)).toBe(Err.ok);
    expect(sessions.admit(a, 1, 1)).toBeNull();
  });
});

describe("the bounds", () => {
  test("the session idle for longest makes room for a new one", () => {
    const sessions = opened(a, b, c);
    sessions.admit(a, 1, 1);
    sessions.open(client("d"));
    expect(names(sessions)).toEqual(["c", "a", "d"]);
    expect(sessions.admit(b, 1, 1)).toBe(Err.sessionExpired);
    expect(sessions.size).toBe(3);
  });

  test("a duplicate is activity too", () => {
    const sessions = opened(a, b);
    sessions.admit(b, 1, 1);
    sessions.admit(a, 1, 1);
    sessions.admit(b, 1, 1);
    expect(names(sessions)).toEqual(["a", "b"]);
  });

  test("sessions expire by the log's clock, which never goes back", () => {
    const sessions = opened(a);
    sessions.advanceClock(500);
    sessions.open(b);
    sessions.advanceClock(100);
    expect(sessions.logTimeMs).toBe(500);
    sessions.advanceClock(1000);
    expect(names(sessions)).toEqual(["a", "b"]);
    sessions.advanceClock(1001);
    expect(names(sessions)).toEqual(["b"]);
    sessions.admit(b, 1, 1);
    sessions.advanceClock(2001);
    expect(names(sessions)).toEqual(["b"]);
    sessions.advanceClock(2002);
    expect(names(sessions)).toEqual([]);
  });

  test("one command drops a bounded number", () => {
    const sessions = opened(a, b, c);
    sessions.advanceClock(5000);
    expect(names(sessions)).toEqual(["c"]);
    sessions.advanceClock(5001);
    expect(names(sessions)).toEqual([]);
  });

  test("thousands of sessions come and go", () => {
    const many = new Sessions({ ...limits, sessionsMax: 5000, clientIdBytesMax: 16 });
    for (let i = 0; i < 20_000; i++) many.open(client(`client ${i}`));
    expect(many.size).toBe(5000);
    expect(many.admit(client("client 14999"), 1, 1)).toBe(Err.sessionExpired);
    expect(many.admit(client("client 15000"), 1, 1)).toBeNull();
    expect([...many.capture()].length).toBe(5000);
  });
});

type Action =
  | { kind: "open"; client: number; id: number; first: number; late: boolean }
  | {
      kind: "request" | "tick" | "capture";
      client: number;
      id: number;
      first: number;
      late: boolean;
    };

const action: fc.Arbitrary<Action> = fc.record({
  kind: fc.constantFrom("open", "request", "request", "request", "request", "tick", "capture"),
  client: fc.nat(4),
  id: fc.integer({ min: -2, max: 24 }),
  first: fc.nat(12),
  late: fc.boolean(),
});

interface ModelSession {
  opened: boolean;
  first: number;
  last: number;
  results: Map<number, Err>;
  activeMs: number;
}

/** The rules in the plainest form: a map from id to result for each client, in order of activity. */
class Model {
  readonly sessions = new Map<string, ModelSession>();
  clockMs = 0;

  tick(): void {
    this.clockMs += 400;
    const idle = [...this.sessions].filter(
      ([, { activeMs }]) => this.clockMs - activeMs > limits.sessionIdleMsMax,
    );
    for (const [name] of idle.slice(0, limits.sessionDropsPerCommandMax))
      this.sessions.delete(name);
  }

  open(name: string): Err {
    const known = this.sessions.get(name);
    if (known?.opened === true) this.touch(name, known);
    else this.create(name, { opened: true, first: 1, last: 0, results: new Map(), activeMs: 0 });
    return Err.ok;
  }

  request(name: string, id: number, first: number, result: Err): Err | null {
    const session = this.sessions.get(name);
    if (session?.opened === true) return this.requestOpened(name, session, id, first, result);
    if (first > 0) return Err.sessionExpired;
    if (session !== undefined && id <= session.last) {
      this.touch(name, session);
      return (id === session.last ? session.results.get(id) : undefined) ?? Err.ok;
    }
    const results = new Map([[id, result]]);
    this.create(name, { opened: false, first: 0, last: id, results, activeMs: 0 });
    return null;
  }

  private requestOpened(
    name: string,
    session: ModelSession,
    id: number,
    first: number,
    result: Err,
  ): Err | null {
    const floor = Math.max(first, session.first);
    if (id >= floor + limits.sessionWindowMax) return Err.sessionExpired;
    this.touch(name, session);
    session.first = floor;
    if (id < floor) return Err.ok;
    const known = session.results.get(id);
    if (known === undefined) session.results.set(id, result);
    return known ?? null;
  }

  private create(name: string, session: ModelSession): void {
    const oldest = [...this.sessions.keys()][0] ?? "";
    if (!this.sessions.delete(name) && this.sessions.size === limits.sessionsMax) {
      this.sessions.delete(oldest);
    }
    this.touch(name, session);
  }

  private touch(name: string, session: ModelSession): void {
    session.activeMs = this.clockMs;
    this.sessions.delete(name);
    this.sessions.set(name, session);
  }
}

/** Does the step on both; the two outcomes. */
function step(
  sessions: Sessions,
  model: Model,
  { kind, id, first, late, ...on }: Action,
): unknown[] {
  const name = String(on.client);
  if (kind === "tick") {
    model.tick();
    sessions.advanceClock(model.clockMs);
    return [null, null];
  }
  if (kind === "open") return [sessions.open(client(name)), model.open(name)];
  const expected = model.request(name, id, first, late ? Err.valueTooLarge : Err.ok);
  const actual = sessions.admit(client(name), id, first);
  if (actual === null && late) sessions.recordTooLarge();
  return [actual, expected];
}

const plain = (records: Iterable<SessionRecord>): unknown =>
  [...records].map((record) => ({ ...record, clientId: Buffer.from(record.clientId).toString() }));

test("does what the plain rules say, and stays so through a snapshot", () => {
  fc.assert(
    fc.property(fc.array(action, { maxLength: 150 }), (actions) => {
      let sessions = new Sessions(limits);
      const model = new Model();
      for (const next of actions) {
        const [actual, expected] = step(sessions, model, next);
        expect(actual).toBe(expected);
        if (next.kind === "capture") sessions = restored(sessions);
        expect(names(sessions)).toEqual([...model.sessions.keys()]);
      }
    }),
    { numRuns: 300 },
  );
});

function restored(sessions: Sessions): Sessions {
  const copy = new Sessions(limits);
  copy.advanceClock(sessions.logTimeMs);
  for (const record of sessions.capture()) copy.restore(record);
  expect(plain(copy.capture())).toEqual(plain(sessions.capture()));
  return copy;
}

test("a capture stays as it was while the sessions change", () => {
  fc.assert(
    fc.property(fc.array(action), fc.array(action), (before, after) => {
      const sessions = new Sessions(limits);
      const model = new Model();
      for (const next of before) step(sessions, model, next);
      const expected = plain(sessions.capture());
      const capture = sessions.capture();
      for (const next of after) step(sessions, model, next);
      expect(plain(capture)).toEqual(expected);
    }),
    { numRuns: 300 },
  );
});

test("lookup knows what admit answered", () => {
  fc.assert(
    fc.property(fc.array(action), (actions) => {
      const sessions = new Sessions(limits);
      const model = new Model();
      for (const next of actions) {
        const before = sessions.lookup(client(String(next.client)), next.id, next.first);
        const [actual] = step(sessions, model, next);
        // A request that is below a low-water mark which it brings itself is known only then.
        const known = next.kind === "request" && before !== undefined && next.id >= next.first;
        expect(known ? before : actual).toBe(actual);
      }
    }),
    { numRuns: 300 },
  );
});
