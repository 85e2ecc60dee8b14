import { describe, expect, it } from "vitest";
import { RpcStatus } from "../../rpc/status.js";
import { failureOf, knownHarness, openedHarness } from "./harness.js";

describe("did it happen?", () => {
  it("no: it was never sent, for no node could be reached", async () => {
    const { clerk, nodes, clock } = knownHarness(2);
    for (const node of nodes) {
      node.onRequest = (request) =>
        request.fail(RpcStatus.UNAVAILABLE, "connection refused", false);
    }
    const failure = failureOf(clerk.put("x", "1", { timeoutMs: 300 }));
    await clock.advance(300);
    const error = await failure;
    expect(error).toMatchObject({ code: "UNREACHABLE", mayHaveHappened: false });
    expect(error.message).toMatch(/did not happen; node [01] \(node:[12]\): connection refused$/);
    expect(error.cause).toBeInstanceOf(Error);
  });

  it("no: every attempt of it failed before anything was sent", async () => {
    const { clerk, nodes, clock } = await openedHarness(2);
    for (const node of nodes) {
      node.onRequest = (request) =>
        request.fail(RpcStatus.UNAVAILABLE, "connection refused", false);
    }
    const failure = failureOf(clerk.put("x", "1", { timeoutMs: 300 }));
    await clock.advance(300);
    expect(await failure).toMatchObject({ code: "UNREACHABLE", mayHaveHappened: false });
    expect(nodes[0]!.requests.every(({ method }) => method === "PutAppend")).toBe(true);
  });

  it("no: every node refused it", async () => {
    const { clerk, nodes, clock } = await openedHarness(2);
    for (const node of nodes) node.onRequest = (request) => request.reply("ErrWrongLeader");
    const failure = failureOf(clerk.put("x", "1", { timeoutMs: 300 }));
    await clock.advance(300);
    expect(await failure).toMatchObject({ code: "TIMEOUT", mayHaveHappened: false });
    expect((await failure).message).toContain("does not lead");
  });

  it("perhaps: the last attempt is under way at the deadline", async () => {
    const { clerk, nodes, clock } = await openedHarness(2);
    const failure = failureOf(clerk.put("x", "1", { timeoutMs: 300 }));
    await clock.advance(300);
    expect(await failure).toMatchObject({ code: "TIMEOUT", mayHaveHappened: true });
    expect((await failure).message).toContain("may have happened");
    expect(nodes[0]!.requests[0]!.cancelled).toBe(true);
  });

  it("no: the attempt under way at the deadline has not left this process", async () => {
    const { clerk, nodes, clock } = await openedHarness(2);
    const failure = failureOf(clerk.put("x", "1", { timeoutMs: 300 }));
    nodes[0]!.only.sent = false;
    await clock.advance(300);
    expect(await failure).toMatchObject({ mayHaveHappened: false });
  });

  it.each([
    ["the connection broke", RpcStatus.UNAVAILABLE],
    ["the node failed inside", RpcStatus.INTERNAL],
    ["the attempt timed out", RpcStatus.DEADLINE_EXCEEDED],
  ])("perhaps, and that sticks: %s, and later nodes refused", async (_case, code) => {
    const { clerk, nodes, clock } = await openedHarness(2);
    const failure = failureOf(clerk.put("x", "1", { timeoutMs: 300 }));
    nodes[0]!.only.fail(code, "gone", true);
    for (const node of nodes) node.onRequest = (request) => request.reply("ErrWrongLeader");
    nodes[1]!.only.reply("ErrWrongLeader");
    await clock.advance(300);
    expect(await failure).toMatchObject({ code: "TIMEOUT", mayHaveHappened: true });
  });

  it("perhaps: an Err that this Clerk does not know", async () => {
    const { clerk, nodes, clock } = await openedHarness(1);
    nodes[0]!.onRequest = (request) => request.reply("ErrNew");
    const failure = failureOf(clerk.put("x", "1", { timeoutMs: 300 }));
    await clock.advance(300);
    expect(await failure).toMatchObject({ code: "TIMEOUT", mayHaveHappened: true });
    expect((await failure).message).toContain('Err="ErrNew"');
  });

  it("yes, once: an ambiguous attempt is repeated under the same id", async () => {
    const { clerk, nodes } = await openedHarness(2);
    const put = clerk.put("x", "1");
    const first = nodes[0]!.only;
    first.fail(RpcStatus.UNAVAILABLE, "connection reset", true);
    const second = nodes[1]!.only;
    expect(second.put).toMatchObject({
      RequestId: first.put!.RequestId,
      ClientId: first.put!.ClientId,
    });
    second.reply("OK");
    await expect(put).resolves.toBeUndefined();
  });

  it("no: the value would be too large, even if an earlier attempt is ambiguous", async () => {
    const { clerk, nodes } = await openedHarness(2);
    const failure = failureOf(clerk.append("x", "1"));
    nodes[0]!.only.fail(RpcStatus.UNAVAILABLE, "connection reset", true);
    nodes[1]!.only.reply("ErrValueTooLarge");
    expect(await failure).toMatchObject({ code: "VALUE_TOO_LARGE", mayHaveHappened: false });
  });

  it.each([RpcStatus.INVALID_ARGUMENT, RpcStatus.PERMISSION_DENIED])(
    "no, at once: the node refused with status %i",
    async (code) => {
      const { clerk, nodes } = await openedHarness(2);
      const failure = failureOf(clerk.put("x", "1"));
      nodes[0]!.only.fail(code, "the key is too long");
      expect(await failure).toMatchObject({ code: "REFUSED", mayHaveHappened: false });
      expect((await failure).message).toContain("the key is too long");
    },
  );

  it("never for a read", async () => {
    const { clerk, clock } = await openedHarness(1);
    const failure = failureOf(clerk.get("x", { timeoutMs: 300 }));
    await clock.advance(300);
    expect(await failure).toMatchObject({ code: "TIMEOUT", mayHaveHappened: false });
    expect((await failure).message).toContain("the get has no answer");
  });
});

describe("RESOURCE_EXHAUSTED", () => {
  it("of an overloaded leader: waits, stays there, and did not happen", async () => {
    const { clerk, nodes, clock } = await openedHarness(2, { backoffMsMin: 10, backoffMsMax: 20 });
    nodes[0]!.onRequest = (request) =>
      request.fail(RpcStatus.RESOURCE_EXHAUSTED, "too much to commit");
    const failure = failureOf(clerk.put("x", "1", { timeoutMs: 300 }));
    await clock.advance(300);
    expect(await failure).toMatchObject({ code: "TIMEOUT", mayHaveHappened: false });
    expect(nodes[0]!.requests.length).toBeGreaterThan(10);
    expect(nodes[1]!.requests).toHaveLength(0);
  });

  it("of an overloaded leader: succeeds when the load is gone", async () => {
    const { clerk, nodes, clock } = await openedHarness(2);
    const put = clerk.put("x", "1");
    nodes[0]!.only.fail(RpcStatus.RESOURCE_EXHAUSTED, "too much to commit");
    await clock.advance(10);
    nodes[0]!.only.reply("OK");
    await expect(put).resolves.toBeUndefined();
  });

  it("of a frame over a node's own limit: fails at once", async () => {
    const { clerk, nodes } = await openedHarness(2);
    const failure = failureOf(clerk.put("x", "1"));
    nodes[0]!.only.fail(RpcStatus.RESOURCE_EXHAUSTED, "request over requestBytesMax (10)");
    expect(await failure).toMatchObject({ code: "TOO_LARGE", mayHaveHappened: false });
  });

  it("is met with nothing sent when key and value pass requestBytesMax", async () => {
    const { clerk, nodes } = knownHarness(1, { rpc: { requestBytesMax: 1256 } });
    const failure = failureOf(clerk.put("x", new Uint8Array(1000)));
    expect(await failure).toMatchObject({ code: "TOO_LARGE", mayHaveHappened: false });
    expect(nodes[0]!.requests).toHaveLength(0);
    void clerk.put("x", new Uint8Array(999)).catch(() => {});
    expect(nodes[0]!.open).toHaveLength(1);
  });
});
