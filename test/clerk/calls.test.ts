import { RpcStatus } from "../../rpc/status.js";
import { describe, expect, it, vi } from "vitest";
import { Clerk } from "../../clerk/clerk.js";
import { answerAsLeader } from "./fakeNode.js";
import { failureOf, harness, knownHarness, openedHarness } from "./harness.js";

describe("values", () => {
  it("tells a missing key from an empty value", async () => {
    const { clerk, nodes } = knownHarness(1);
    const missing = clerk.get("x");
    nodes[0]!.only.reply("ErrNoKey");
    expect(await missing).toBeUndefined();
    const empty = clerk.get("x");
    nodes[0]!.only.reply("OK", 0, "");
    expect(await empty).toEqual(Buffer.alloc(0));
    const emptyString = clerk.getString("x");
    nodes[0]!.only.reply("OK");
    expect(await emptyString).toBe("");
  });

  it("carries any bytes both ways", async () => {
    const { clerk, nodes } = await openedHarness(1);
    const bytes = Uint8Array.from({ length: 256 }, (_, index) => index);
    const put = clerk.put(bytes, bytes);
    expect(nodes[0]!.only.put).toMatchObject({ Key: bytes, Value: bytes, Op: Buffer.from("Put") });
    nodes[0]!.only.reply("OK");
    await put;
    const get = clerk.get(bytes);
    expect(nodes[0]!.only.read!.Key).toEqual(bytes);
    nodes[0]!.only.reply("OK", 0, bytes);
    expect(new Uint8Array((await get)!)).toEqual(bytes);
  });

  it("takes a string for its UTF-8", async () => {
    const { clerk, nodes } = await openedHarness(1);
    void clerk.append("ключ", "значение").catch(() => {});
    expect(nodes[0]!.only.put).toMatchObject({
      Key: Buffer.from("ключ"),
      Value: Buffer.from("значение"),
      Op: Buffer.from("Append"),
    });
  });

  it("owns what it returns: the receive buffer may change", async () => {
    const { clerk, nodes } = knownHarness(1);
    const received = Buffer.from("before");
    const get = clerk.getString("x");
    const request = nodes[0]!.only;
    request.reply("OK", 0, received);
    received.fill("!");
    expect(await get).toBe("before");
  });

  it("sends reads without a session", () => {
    const { clerk, nodes } = knownHarness(1);
    void clerk.get("x").catch(() => {});
    expect(nodes[0]!.only.read).toMatchObject({ ClientId: new Uint8Array(0), RequestId: 0 });
  });

  it.each([undefined, 7, null])("rejects the key %s with INVALID_ARGUMENT", async (key) => {
    const { clerk } = knownHarness(1);
    // @ts-expect-error A caller without types.
    const failure = await failureOf(clerk.get(key));
    expect(failure.code).toBe("INVALID_ARGUMENT");
  });
});

describe("a deadline", () => {
  it("is options.timeoutMs, or the Clerk's own", async () => {
    const { clerk, clock } = await openedHarness(1, { timeoutMs: 1_000 });
    const own = failureOf(clerk.put("a", "1"));
    const short = failureOf(clerk.put("a", "1", { timeoutMs: 10 }));
    let ended = 0;
    void own.then(() => ended++);
    void short.then(() => ended++);
    await clock.advance(9);
    expect(ended).toBe(0);
    await clock.advance(1);
    expect(ended).toBe(1);
    await clock.advance(989);
    expect(ended).toBe(1);
    await clock.advance(1);
    expect(ended).toBe(2);
  });

  it("counts the wait in the queue, and ends a call there without sending it", async () => {
    const { clerk, nodes, clock } = await openedHarness(1, { callsInFlightMax: 1 });
    const first = failureOf(clerk.put("a", "1", { timeoutMs: 200 }));
    const second = failureOf(clerk.put("b", "1", { timeoutMs: 100 }));
    await clock.advance(200);
    expect(await second).toMatchObject({ code: "TIMEOUT", mayHaveHappened: false });
    expect(await first).toMatchObject({ code: "TIMEOUT", mayHaveHappened: true });
    expect(nodes[0]!.requests).toHaveLength(1);
  });

  it("passing for thousands at once sends none of those that waited", async () => {
    const { clerk, nodes, clock } = await openedHarness(1, { callsInFlightMax: 2 });
    const puts = Array.from({ length: 5_000 }, () => failureOf(clerk.put("a", "1")));
    await clock.advance(30_000);
    const errors = await Promise.all(puts);
    expect(errors.filter((error) => error.mayHaveHappened)).toHaveLength(2);
    expect(nodes[0]!.requests.filter((request) => request.put?.Key[0] === 97)).toHaveLength(
      // Two calls, each sent again after every attempt that timed out.
      nodes[0]!.requests.length,
    );
    expect(new Set(nodes[0]!.requests.map((request) => request.put!.RequestId)).size).toBe(2);
  });

  it("bounds each attempt", async () => {
    const { clerk, nodes, clock } = await openedHarness(2, {
      attemptTimeoutMs: 500,
      silenceMs: Infinity,
    });
    const failure = failureOf(clerk.put("a", "1", { timeoutMs: 700 }));
    await clock.advance(500);
    expect(nodes[0]!.requests[0]!.answered).toBe(true);
    expect(nodes[1]!.open).toHaveLength(1);
    await clock.advance(200);
    expect((await failure).code).toBe("TIMEOUT");
  });

  it("of 0 has passed already, of Infinity never comes", async () => {
    const { clerk, nodes, clock } = await openedHarness(1);
    expect((await failureOf(clerk.put("a", "1", { timeoutMs: 0 }))).mayHaveHappened).toBe(false);
    nodes[0]!.onRequest = (request) => request.reply("ErrWrongLeader");
    const put = clerk.put("a", "1", { timeoutMs: Infinity });
    await clock.advance(1_000_000);
    nodes[0]!.onRequest = answerAsLeader;
    await clock.advance(1_000);
    await put;
  });

  it.each([-1, Number.NaN])("of %d is refused", async (timeoutMs) => {
    const { clerk } = knownHarness(1);
    expect((await failureOf(clerk.get("a", { timeoutMs }))).code).toBe("INVALID_ARGUMENT");
  });

  it("needs one timer however many calls there are, and none once they are gone", async () => {
    const { clerk, nodes, clock } = await openedHarness(1);
    const before = clock.timerCount;
    const puts = Array.from({ length: 100 }, () => clerk.put("a", "1"));
    // One of the fake node's own for each request.
    expect(clock.timerCount).toBe(before + 100);
    for (const request of nodes[0]!.open) request.reply("OK");
    await Promise.all(puts);
    await clerk.close();
    expect(clock.timerCount).toBe(0);
  });
});

describe("an AbortSignal", () => {
  it("ends a call, and its reason is the cause", async () => {
    const { clerk, nodes } = await openedHarness(1);
    const aborter = new AbortController();
    const failure = failureOf(clerk.put("a", "1", { signal: aborter.signal }));
    const reason = new Error("changed my mind");
    aborter.abort(reason);
    expect(await failure).toMatchObject({
      code: "CANCELLED",
      mayHaveHappened: true,
      cause: reason,
    });
    expect(nodes[0]!.only.cancelled).toBe(true);
  });

  it("that has fired already, or fires in the queue, means that it did not happen", async () => {
    const { clerk, nodes } = await openedHarness(1, { callsInFlightMax: 1 });
    void clerk.put("a", "1").catch(() => {});
    const early = await failureOf(clerk.put("b", "1", { signal: AbortSignal.abort() }));
    expect(early).toMatchObject({ code: "CANCELLED", mayHaveHappened: false });
    const aborter = new AbortController();
    const queued = failureOf(clerk.put("c", "1", { signal: aborter.signal }));
    aborter.abort();
    expect(await queued).toMatchObject({ code: "CANCELLED", mayHaveHappened: false });
    expect(nodes[0]!.requests).toHaveLength(1);
  });

  it("ends a call that sleeps or waits for a node's revision", async () => {
    const { clerk, nodes, clock } = harness(1);
    const aborter = new AbortController();
    const { signal } = aborter;
    const probing = failureOf(clerk.put("a", "1", { signal }));
    const reading = failureOf(clerk.get("a", { signal }));
    nodes[0]!.open.at(-1)!.fail(RpcStatus.UNAVAILABLE);
    aborter.abort();
    expect((await probing).code).toBe("CANCELLED");
    expect((await reading).code).toBe("CANCELLED");
    await clock.advance(10_000);
  });

  it("is not listened to after the call has ended", async () => {
    const { clerk, nodes } = await openedHarness(1);
    const { signal } = new AbortController();
    const remove = vi.spyOn(signal, "removeEventListener");
    const put = clerk.put("a", "1", { signal });
    nodes[0]!.only.reply("OK");
    await put;
    expect(remove).toHaveBeenCalledOnce();
  });
});

describe("close", () => {
  it("rejects what is in flight, what waits and what comes later", async () => {
    const { clerk, nodes, clock } = await openedHarness(1, { callsInFlightMax: 1 });
    const flying = failureOf(clerk.put("a", "1"));
    const waiting = failureOf(clerk.put("b", "1"));
    await clerk.close();
    await clerk.close();
    expect(await flying).toMatchObject({ code: "CLOSED", mayHaveHappened: true });
    expect(await waiting).toMatchObject({ code: "CLOSED", mayHaveHappened: false });
    expect(await failureOf(clerk.get("a"))).toMatchObject({ code: "CLOSED" });
    expect(nodes[0]!.closed).toBe(true);
    expect(nodes[0]!.requests).toHaveLength(1);
    expect((await clerk.status())[0]!.problem).toContain("closed");
    await clock.advance(100_000);
  });

  it("ends the opening of a session", async () => {
    const { clerk, nodes, clock } = knownHarness(1);
    const put = failureOf(clerk.put("a", "1"));
    await clerk.close();
    expect(await put).toMatchObject({ code: "CLOSED", mayHaveHappened: false });
    nodes[0]!.only.reply("OK");
    await clock.advance(100_000);
    expect(nodes[0]!.requests).toHaveLength(1);
  });

  it("is what Symbol.asyncDispose calls", async () => {
    const { clerk, nodes } = knownHarness(1);
    await clerk[Symbol.asyncDispose]();
    expect(nodes[0]!.closed).toBe(true);
  });
});

describe("the limits of a Clerk", () => {
  it("sends callsInFlightMax at once and the others in order", async () => {
    const { clerk, nodes } = await openedHarness(1, { callsInFlightMax: 2 });
    const calls = ["a", "b", "c", "d"].map((key) =>
      key === "c" ? clerk.get(key) : clerk.put(key, "1"),
    );
    expect(nodes[0]!.open.map((request) => request.key)).toEqual(["a", "b"]);
    nodes[0]!.open[1]!.reply("OK");
    expect(nodes[0]!.open.map((request) => request.key)).toEqual(["a", "c"]);
    for (let left = 3; left > 0; left--) answerAsLeader(nodes[0]!.open[0]!);
    await Promise.all(calls);
    expect(nodes[0]!.requests.map((request) => request.key)).toEqual(["a", "b", "c", "d"]);
  });

  it("refuses what passes callsQueuedMax", async () => {
    const { clerk, nodes } = await openedHarness(1, { callsInFlightMax: 1, callsQueuedMax: 2 });
    const calls = ["a", "b", "c"].map((key) => clerk.put(key, "1"));
    const failure = await failureOf(clerk.put("d", "1"));
    expect(failure).toMatchObject({ code: "QUEUE_FULL", mayHaveHappened: false });
    for (let left = 3; left > 0; left--) nodes[0]!.only.reply("OK");
    await Promise.all(calls);
  });

  it("lets reads pass while the writes wait for a session", async () => {
    const { clerk, nodes } = knownHarness(1, { callsInFlightMax: 2, callsQueuedMax: 2 });
    const puts = [clerk.put("a", "1"), clerk.put("b", "1")];
    const get = clerk.get("c");
    nodes[0]!.open[1]!.reply("ErrNoKey");
    expect(await get).toBeUndefined();
    nodes[0]!.only.reply("OK");
    for (const request of nodes[0]!.open) request.reply("OK");
    await Promise.all(puts);
  });

  it("must be above 0", () => {
    expect(() => knownHarness(1, { callsInFlightMax: 0 })).toThrow(/callsInFlightMax/);
    expect(() => knownHarness(1, { timeoutMs: Number.NaN })).toThrow(/timeoutMs/);
  });
});

describe("the node list", () => {
  it("must have nodes, each with a port", () => {
    expect(() => new Clerk([])).toThrow(/empty/);
    expect(() => new Clerk([{ host: "h", port: 0 }])).toThrow(/h:0/);
    expect(() => new Clerk([{ host: "h", port: 65_536 }])).toThrow(/h:65536/);
  });

  it("may be a file", () => {
    const seen: string[] = [];
    const { nodes } = harness(3);
    const connect = (node: { host: string; port: number }) => {
      seen.push(`${node.host}:${node.port}`);
      return nodes[0]!;
    };
    const clerk = new Clerk("config/nodes.conf", { connect });
    expect(clerk).toBeInstanceOf(Clerk);
    expect(seen).toEqual(["127.0.0.1:29016", "127.0.0.1:29017", "127.0.0.1:29018"]);
  });

  it("that can't be read is a ConfigError", () => {
    expect(() => new Clerk("config/none.conf")).toThrow(/none\.conf: no such file/);
  });
});

describe("status", () => {
  it("asks every node, and says why one has no answer", async () => {
    const { clerk, nodes } = knownHarness(3);
    nodes[1]!.revision = 1;
    const all = clerk.status({ timeoutMs: 100 });
    nodes[0]!.only.fail(RpcStatus.UNAVAILABLE, "connection refused", false);
    nodes[2]!.only.fail(RpcStatus.DEADLINE_EXCEEDED, "no answer within 100 ms");
    const [first, second, third] = await all;
    expect(first).toEqual({
      id: 0,
      address: "node:1",
      status: null,
      problem: "connection refused",
    });
    expect(second!.problem).toContain("revision 1");
    expect(third!.problem).toContain("100 ms");
  });

  it("asks one node if told which", async () => {
    const { clerk, nodes } = knownHarness(3);
    const one = clerk.status({ node: 1 });
    nodes[1]!.only.fail(RpcStatus.UNAVAILABLE, "connection refused", false);
    expect((await one).map(({ id }) => id)).toEqual([1]);
    expect(nodes[0]!.requests).toHaveLength(0);
    expect((await failureOf(clerk.status({ node: 3 }))).code).toBe("INVALID_ARGUMENT");
  });
});
