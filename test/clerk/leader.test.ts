import { describe, expect, it } from "vitest";
import { backoffMs } from "../../clerk/backoff.js";
import { LeaderTracker } from "../../clerk/leaderTracker.js";
import { RpcStatus } from "../../rpc/status.js";
import { failureOf, harness, knownHarness } from "./harness.js";

describe("finding the leader", () => {
  it("goes where a hint points, at once", async () => {
    const { clerk, nodes } = knownHarness(3);
    const value = clerk.getString("x");
    nodes[0]!.only.reply("ErrWrongLeader", 3);
    nodes[2]!.only.reply("OK", 0, "1");
    expect(await value).toBe("1");
    expect(nodes[1]!.requests).toHaveLength(0);
  });

  it("goes to the next node without a hint, and round the list", async () => {
    const { clerk, nodes } = knownHarness(3);
    const value = clerk.getString("x");
    nodes[0]!.only.reply("ErrWrongLeader");
    nodes[1]!.only.fail(RpcStatus.UNAVAILABLE, "connection refused", false);
    nodes[2]!.only.reply("OK", 0, "1");
    expect(await value).toBe("1");
  });

  it.each([-1, 4, 1_000_000, 1])("does not follow the useless hint %i of node 0", (hint) => {
    const { clerk, nodes } = knownHarness(3);
    void clerk.get("x").catch(() => {});
    nodes[0]!.only.reply("ErrWrongLeader", hint);
    expect(nodes[1]!.open).toHaveLength(1);
  });

  it("remembers the leader for the next call", async () => {
    const { clerk, nodes } = knownHarness(2);
    const first = clerk.get("x");
    nodes[0]!.only.reply("ErrWrongLeader", 2);
    nodes[1]!.only.reply("ErrNoKey");
    await first;
    void clerk.get("y").catch(() => {});
    expect(nodes[0]!.open).toHaveLength(0);
    expect(nodes[1]!.open).toHaveLength(1);
  });

  it("waits between rounds, longer each time, and asks each node once a round", async () => {
    const { clerk, nodes, clock } = knownHarness(2, { backoffMsMin: 10, backoffMsMax: 80 });
    for (const node of nodes) node.onRequest = (request) => request.reply("ErrWrongLeader");
    const times: number[] = [];
    nodes[0]!.onRequest = (request) => {
      times.push(clock.now());
      request.reply("ErrWrongLeader");
    };
    const failure = failureOf(clerk.get("x", { timeoutMs: 2_000 }));
    await clock.advance(2_000);
    expect((await failure).code).toBe("TIMEOUT");
    const gaps = times.slice(1).map((time, index) => time - times[index]!);
    expect(Math.min(...gaps)).toBeGreaterThanOrEqual(10);
    expect(gaps[0]).toBeLessThanOrEqual(21);
    expect(Math.max(...gaps)).toBeGreaterThan(40);
    expect(Math.max(...gaps)).toBeLessThanOrEqual(81);
    expect(Math.abs(nodes[0]!.requests.length - nodes[1]!.requests.length)).toBeLessThanOrEqual(1);
  });

  it("bounds a circle of hints by the backoff", async () => {
    const { clerk, nodes, clock } = knownHarness(2, { backoffMsMin: 10 });
    nodes[0]!.onRequest = (request) => request.reply("ErrWrongLeader", 2);
    nodes[1]!.onRequest = (request) => request.reply("ErrWrongLeader", 1);
    const failure = failureOf(clerk.get("x", { timeoutMs: 100 }));
    await clock.advance(100);
    expect((await failure).code).toBe("TIMEOUT");
    expect(nodes[0]!.requests.length).toBeLessThanOrEqual(11);
  });

  it("wakes the calls that sleep as soon as one finds a leader", async () => {
    const { clerk, nodes, clock } = knownHarness(1, { backoffMsMin: 100, backoffMsMax: 100 });
    const sleeping = clerk.getString("x");
    nodes[0]!.only.reply("ErrWrongLeader");
    expect(nodes[0]!.open).toHaveLength(0);
    const lucky = clerk.getString("y");
    nodes[0]!.only.reply("OK", 0, "2");
    expect(await lucky).toBe("2");
    nodes[0]!.only.reply("OK", 0, "1");
    expect(await sleeping).toBe("1");
    expect(clock.now()).toBe(0);
  });

  it("leaves a silent node after attemptTimeoutMs", async () => {
    const { clerk, nodes, clock } = knownHarness(2, { attemptTimeoutMs: 500, silenceMs: Infinity });
    const value = clerk.getString("x");
    await clock.advance(500);
    nodes[1]!.only.reply("OK", 0, "1");
    expect(await value).toBe("1");
  });

  it("leaves a silent node even if all calls end before attemptTimeoutMs", async () => {
    const { clerk, nodes, clock } = knownHarness(2, { attemptTimeoutMs: 500 });
    const failure = failureOf(clerk.get("x", { timeoutMs: 100 }));
    await clock.advance(100);
    expect((await failure).code).toBe("TIMEOUT");
    void clerk.get("y").catch(() => {});
    expect(nodes[1]!.open).toHaveLength(1);
  });

  it("does the same when the silent node has not shown its revision", async () => {
    const { clerk, nodes, clock } = harness(2, { attemptTimeoutMs: 500 });
    const failure = failureOf(clerk.put("x", "1", { timeoutMs: 100 }));
    await clock.advance(100);
    expect((await failure).mayHaveHappened).toBe(false);
    void clerk.get("y").catch(() => {});
    expect(nodes[1]!.open).toHaveLength(1);
  });
});

describe("a node that dies before it has shown its revision", () => {
  it("is left even if nobody waits for it any more", async () => {
    const { clerk, nodes } = harness(2);
    const aborter = new AbortController();
    const failure = failureOf(clerk.get(new Uint8Array(70_000), { signal: aborter.signal }));
    aborter.abort();
    expect((await failure).code).toBe("CANCELLED");
    nodes[0]!.only.fail(RpcStatus.UNAVAILABLE, "connection refused", false);
    void clerk.get("y").catch(() => {});
    expect(nodes[1]!.open).toHaveLength(1);
  });
});

describe("LeaderTracker", () => {
  it("moves once when many calls fail at one node", () => {
    const tracker = new LeaderTracker(3);
    for (let call = 0; call < 10; call++) tracker.failed(0);
    expect(tracker.current).toBe(1);
  });

  it("does not move for a node that it has left", () => {
    const tracker = new LeaderTracker(3);
    tracker.led(2);
    tracker.failed(0);
    expect(tracker.current).toBe(2);
  });

  it("ignores the hint of a node that it has left", () => {
    const tracker = new LeaderTracker(3);
    tracker.led(1);
    tracker.refused(0, 3);
    expect(tracker.current).toBe(1);
  });
});

describe("backoffMs", () => {
  it("is spread over the whole range, which doubles up to its bound", () => {
    expect(backoffMs(0, 5, 250, 0)).toBe(5);
    expect(backoffMs(0, 5, 250, 1)).toBe(10);
    expect(backoffMs(3, 5, 250, 1)).toBe(80);
    expect(backoffMs(3, 5, 250, 0)).toBe(5);
    expect(backoffMs(5000, 5, 250, 1)).toBe(250);
    expect(backoffMs(0, 500, 250, 1)).toBe(500);
  });
});
