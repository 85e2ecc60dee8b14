import { describe, expect, it } from "vitest";
import { Session, revision1ClientId } from "../../clerk/session.js";
import { RpcStatus } from "../../rpc/status.js";
import { answerAsLeader } from "./fakeNode.js";
import { failureOf, harness, knownHarness, openedHarness } from "./harness.js";

describe("opening a session", () => {
  it("happens with the first write, with 16 random bytes, and once", async () => {
    const { clerk, nodes } = knownHarness(1);
    const read = clerk.get("x");
    nodes[0]!.only.reply("ErrNoKey");
    await read;
    const puts = [clerk.put("a", "1"), clerk.put("b", "2")];
    const open = nodes[0]!.only;
    expect(open.method).toBe("OpenSession");
    expect(open.clientId).toHaveLength(32);
    open.reply("OK");
    const requests = nodes[0]!.open;
    expect(requests.map((request) => request.put?.RequestId)).toEqual([1, 2]);
    expect(requests.map((request) => request.clientId)).toEqual([open.clientId, open.clientId]);
    for (const request of requests) request.reply("OK");
    await Promise.all(puts);
  });

  it("uses another id on each Clerk", () => {
    const ids = [1, 2].map(() => {
      const { clerk, nodes } = knownHarness(1);
      void clerk.put("a", "1").catch(() => {});
      return nodes[0]!.only.clientId;
    });
    expect(ids[0]).not.toBe(ids[1]);
  });

  it("follows the leader, with another id after an attempt that may have opened one", async () => {
    const { clerk, nodes } = knownHarness(3);
    const put = clerk.put("a", "1");
    const first = nodes[0]!.only;
    first.reply("ErrWrongLeader", 2);
    expect(nodes[1]!.only).toMatchObject({ method: "OpenSession", clientId: first.clientId });
    nodes[1]!.only.fail(RpcStatus.UNAVAILABLE, "connection reset", true);
    const last = nodes[2]!.only;
    expect(last.method).toBe("OpenSession");
    expect(last.clientId).not.toBe(first.clientId);
    last.reply("OK");
    expect(nodes[2]!.only.clientId).toBe(last.clientId);
    nodes[2]!.only.reply("OK");
    await put;
  });

  it("asks a node whose revision is unknown for an empty key first", async () => {
    const { clerk, nodes } = harness(2);
    const puts = [clerk.put("a", "1"), clerk.put("b", "1")];
    expect(nodes[0]!.only).toMatchObject({ method: "Get", key: "" });
    nodes[0]!.only.reply("ErrWrongLeader", 2);
    expect(nodes[1]!.only).toMatchObject({ method: "Get", key: "" });
    nodes[1]!.only.reply("ErrNoKey");
    expect(nodes[1]!.only.method).toBe("OpenSession");
    nodes[1]!.only.reply("OK");
    for (const request of nodes[1]!.open) answerAsLeader(request);
    await Promise.all(puts);
    expect(nodes[1]!.requests).toHaveLength(4);
  });

  it("sends no session's write to a node whose revision is unknown", async () => {
    const { clerk, nodes } = await openedHarness(2);
    nodes[1]!.revision = 0;
    const put = clerk.put("a", "1");
    nodes[0]!.only.reply("ErrWrongLeader", 2);
    expect(nodes[1]!.only.method).toBe("Get");
    nodes[1]!.only.reply("OK");
    nodes[1]!.only.reply("OK");
    await put;
  });

  it("explains a write that never started by what the OpenSession met", async () => {
    const { clerk, nodes, clock } = knownHarness(1);
    nodes[0]!.onRequest = (request) =>
      request.fail(RpcStatus.UNAVAILABLE, "connection refused", false);
    const failure = failureOf(clerk.put("a", "1", { timeoutMs: 50 }));
    await clock.advance(50);
    expect(await failure).toMatchObject({ code: "UNREACHABLE", mayHaveHappened: false });
    expect((await failure).message).toContain("connection refused");
  });

  it("gives up when no write waits for it any more, and begins anew with the next", async () => {
    const { clerk, nodes, clock } = knownHarness(1);
    nodes[0]!.onRequest = (request) => request.reply("ErrWrongLeader");
    const failure = failureOf(clerk.put("a", "1", { timeoutMs: 50 }));
    await clock.advance(1_000);
    expect((await failure).code).toBe("TIMEOUT");
    const sent = nodes[0]!.requests.length;
    await clock.advance(60_000);
    expect(nodes[0]!.requests).toHaveLength(sent);
    nodes[0]!.onRequest = answerAsLeader;
    const put = clerk.put("a", "1");
    await clock.advance(1);
    await put;
  });

  it("fails the writes that wait when a node refuses it for good", async () => {
    const { clerk, nodes } = knownHarness(1);
    const failures = [failureOf(clerk.put("a", "1")), failureOf(clerk.put("b", "1"))];
    nodes[0]!.only.fail(RpcStatus.PERMISSION_DENIED, "not for you");
    for (const failure of failures) {
      expect(await failure).toMatchObject({ code: "REFUSED", mayHaveHappened: false });
    }
  });
});

describe("a session that expired", () => {
  it("is opened anew under another id, and the write sent again", async () => {
    const { clerk, nodes } = await openedHarness(1);
    const put = clerk.put("a", "1");
    const old = nodes[0]!.only;
    old.reply("ErrSessionExpired");
    const open = nodes[0]!.only;
    expect(open.method).toBe("OpenSession");
    expect(open.clientId).not.toBe(old.clientId);
    open.reply("OK");
    expect(nodes[0]!.only.put).toMatchObject({ RequestId: 1, FirstUnfinished: 1 });
    expect(nodes[0]!.only.clientId).toBe(open.clientId);
    nodes[0]!.only.reply("OK");
    await put;
  });

  it("fails a write with an ambiguous attempt: it may have happened", async () => {
    const { clerk, nodes } = await openedHarness(2);
    const failure = failureOf(clerk.put("a", "1"));
    nodes[0]!.only.fail(RpcStatus.UNAVAILABLE, "connection reset", true);
    nodes[1]!.only.reply("ErrSessionExpired");
    expect(await failure).toMatchObject({ code: "SESSION_EXPIRED", mayHaveHappened: true });
  });

  it("is opened once for many writes in flight, and each is sent again once", async () => {
    const { clerk, nodes } = await openedHarness(1);
    const puts = Array.from({ length: 5 }, (_, n) => clerk.put("a", String(n)));
    for (const request of nodes[0]!.open) request.reply("ErrSessionExpired");
    nodes[0]!.only.reply("OK");
    const ids = nodes[0]!.open.map((request) => request.put!.RequestId);
    expect(new Set(ids)).toEqual(new Set([1, 2, 3, 4, 5]));
    expect(ids).toHaveLength(5);
    for (const request of nodes[0]!.open) request.reply("OK");
    await Promise.all(puts);
  });

  it("again and again does not make a busy loop", async () => {
    const { clerk, nodes, clock } = await openedHarness(1, { backoffMsMin: 10 });
    nodes[0]!.onRequest = (request) =>
      request.reply(request.method === "PutAppend" ? "ErrSessionExpired" : "OK");
    const failure = failureOf(clerk.put("a", "1", { timeoutMs: 1_000 }));
    await clock.advance(1_000);
    expect(await failure).toMatchObject({ code: "TIMEOUT", mayHaveHappened: false });
    expect(nodes[0]!.requests.length).toBeLessThan(220);
  });
});

describe("the low-water mark", () => {
  it("is the smallest id that is not finished, at the time of sending", async () => {
    const { clerk, nodes } = await openedHarness(1);
    const puts = [clerk.put("a", "1"), clerk.put("b", "2"), clerk.put("c", "3")];
    const [two, three, four] = nodes[0]!.open;
    expect([two, three, four].map((request) => request!.put!.RequestId)).toEqual([2, 3, 4]);
    expect(two!.put!.FirstUnfinished).toBe(2);
    three!.reply("OK");
    void clerk.put("d", "4").catch(() => {});
    expect(nodes[0]!.open.at(-1)!.put).toMatchObject({ RequestId: 5, FirstUnfinished: 2 });
    two!.reply("OK");
    void clerk.put("e", "5").catch(() => {});
    expect(nodes[0]!.open.at(-1)!.put).toMatchObject({ RequestId: 6, FirstUnfinished: 4 });
    four!.reply("OK");
    await Promise.all(puts);
  });

  it("passes a write that was given up", async () => {
    const { clerk, nodes, clock } = await openedHarness(1);
    const failure = failureOf(clerk.put("a", "1", { timeoutMs: 100 }));
    await clock.advance(100);
    await failure;
    void clerk.put("b", "2").catch(() => {});
    expect(nodes[0]!.only.put ?? nodes[0]!.open.at(-1)!.put).toMatchObject({
      RequestId: 3,
      FirstUnfinished: 3,
    });
  });

  it("is renewed for a repetition", async () => {
    const { clerk, nodes } = await openedHarness(2);
    const puts = [clerk.put("a", "1"), clerk.put("b", "2")];
    const [two, three] = nodes[0]!.open;
    two!.reply("OK");
    three!.fail(RpcStatus.UNAVAILABLE);
    expect(nodes[1]!.only.put).toMatchObject({ RequestId: 3, FirstUnfinished: 3 });
    nodes[1]!.only.reply("OK");
    await Promise.all(puts);
  });

  it("never lies more than the window behind: further writes wait, reads do not", async () => {
    const { clerk, nodes, clock } = await openedHarness(1, { callsInFlightMax: 20_000 });
    const stuck = clerk.put("stuck", "1");
    const stuckRequest = nodes[0]!.only;
    nodes[0]!.onRequest = answerAsLeader;
    const others = Array.from({ length: 9_000 }, () => clerk.put("a", "1"));
    await clock.advance(1);
    const ids = nodes[0]!.requests.map((request) => request.put!.RequestId);
    expect(Math.max(...ids)).toBe(2 + 8191);
    const read = clerk.get("a");
    await clock.advance(1);
    expect(await read).toBeUndefined();
    stuckRequest.reply("OK");
    await clock.advance(1);
    await Promise.all([stuck, ...others]);
  });
});

describe("Session", () => {
  const clientId = new Uint8Array(16);

  it("gives out ids from 1 while the window has room", () => {
    const session = Session.opened(clientId, 4);
    expect([1, 2, 3, 4].map(() => session.begin())).toEqual([1, 2, 3, 4]);
    expect(session.hasRoom).toBe(false);
    session.finish(2);
    expect(session.hasRoom).toBe(false);
    session.finish(1);
    expect(session.firstUnfinished).toBe(3);
    expect([session.begin(), session.begin()]).toEqual([5, 6]);
    expect(session.hasRoom).toBe(false);
  });

  it("keeps its mark right over many turns of its window, in any order of finishing", () => {
    const session = Session.opened(clientId, 8);
    const open: number[] = [];
    const wrong: number[] = [];
    for (let step = 0; step < 5_000; step++) {
      if (session.hasRoom && (step * 7) % 3 !== 0) open.push(session.begin());
      else if (open.length > 0) session.finish(open.splice((step * 13) % open.length, 1)[0]!);
      if (open.length > 0 && session.firstUnfinished !== Math.min(...open)) wrong.push(step);
    }
    expect(wrong).toEqual([]);
  });

  it("of revision 1 carries no mark and lets one write at a time", () => {
    const session = Session.ofRevision1();
    expect(session.begin()).toBe(1);
    expect(session.firstUnfinished).toBe(0);
    expect(session.hasRoom).toBe(false);
    session.finish(1);
    expect(session.begin()).toBe(2);
  });

  it("of revision 1 has a client id of decimal digits, never the same", () => {
    const ids = Array.from({ length: 100 }, () => Buffer.from(revision1ClientId()).toString());
    for (const id of ids) expect(id).toMatch(/^[1-9][0-9]{38}$/);
    expect(new Set(ids).size).toBe(100);
  });
});
