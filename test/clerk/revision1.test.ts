import { describe, expect, it } from "vitest";
import { RpcStatus } from "../../rpc/status.js";
import { answerAsLeader } from "./fakeNode.js";
import { failureOf, harness, openedHarness, type Harness } from "./harness.js";

/** Nodes of the original's kind; the Clerk does not know it yet. */
function originalNodes(nodeCount: number): Harness {
  const made = harness(nodeCount);
  for (const node of made.nodes) node.speaks = 1;
  return made;
}

describe("toward nodes of revision 1", () => {
  it("writes without a session, one at a time, with ids from 1", async () => {
    const { clerk, nodes } = originalNodes(1);
    const puts = ["a", "b", "c"].map((key) => clerk.put(key, "1"));
    nodes[0]!.only.reply("ErrNoKey");
    for (const [index, key] of ["a", "b", "c"].entries()) {
      const request = nodes[0]!.only;
      expect(request.key).toBe(key);
      expect(request.put).toMatchObject({ RequestId: index + 1, FirstUnfinished: 0 });
      expect(Buffer.from(request.put!.ClientId).toString()).toMatch(/^[0-9]{39}$/);
      request.reply("OK");
    }
    await Promise.all(puts);
    expect(nodes[0]!.requests.map((request) => request.method)).not.toContain("OpenSession");
  });

  it("never sends them a method that they don't know", async () => {
    const { clerk, nodes, clock } = originalNodes(3);
    for (const node of nodes) node.onRequest = answerAsLeader;
    nodes[0]!.onRequest = (request) => request.reply("ErrWrongLeader");
    const calls = [clerk.put("a", "1"), clerk.get("a"), clerk.append("a", "1")];
    await clock.advance(100);
    await Promise.all(calls);
    const methods = new Set(nodes.flatMap((node) => node.requests.map(({ method }) => method)));
    expect([...methods].sort()).toEqual(["Get", "PutAppend"]);
  });

  it("gives reads a client of their own, for the original moves a client's last id on a read", async () => {
    const { clerk, nodes } = originalNodes(1);
    const get = clerk.get("a");
    const first = nodes[0]!.only.read!;
    expect(Buffer.from(first.ClientId).toString()).toMatch(/^[0-9]{39}$/);
    nodes[0]!.only.reply("ErrNoKey");
    await get;
    void clerk.get("a").catch(() => {});
    expect(nodes[0]!.only.read).toEqual({ ...first, RequestId: first.RequestId + 1 });
    void clerk.put("a", "1").catch(() => {});
    expect(nodes[0]!.open.at(-1)!.put!.ClientId).not.toEqual(first.ClientId);
  });

  it("takes ErrWrongLeader for 'perhaps': they say it after a proposal, too", async () => {
    const { clerk, nodes, clock } = originalNodes(1);
    nodes[0]!.onRequest = (request) =>
      request.reply(request.method === "Get" ? "ErrNoKey" : "ErrWrongLeader");
    const failure = failureOf(clerk.put("a", "1", { timeoutMs: 100 }));
    await clock.advance(100);
    expect(await failure).toMatchObject({ code: "TIMEOUT", mayHaveHappened: true });
  });

  it("goes on with the next id after a write that was given up", async () => {
    const { clerk, nodes, clock } = originalNodes(1);
    const failure = failureOf(clerk.put("a", "1", { timeoutMs: 100 }));
    nodes[0]!.only.reply("ErrNoKey");
    await clock.advance(100);
    expect((await failure).mayHaveHappened).toBe(true);
    void clerk.put("b", "1").catch(() => {});
    expect(nodes[0]!.open.at(-1)!.put!.RequestId).toBe(2);
  });

  it("refuses requests over 60,000 bytes, unsent", async () => {
    const { clerk, nodes } = originalNodes(1);
    const failure = failureOf(clerk.put("a", new Uint8Array(60_000)));
    const reading = failureOf(clerk.get(new Uint8Array(60_000)));
    // The size of a read matters, too: it waits for the same answer.
    expect(nodes[0]!.only.key).toBe("");
    nodes[0]!.only.reply("ErrNoKey");
    expect(await failure).toMatchObject({ code: "TOO_LARGE", mayHaveHappened: false });
    expect((await reading).code).toBe("TOO_LARGE");
    expect(nodes[0]!.requests).toHaveLength(1);
  });

  it("never sends them a write that a session began", async () => {
    const { clerk, nodes } = await openedHarness(2);
    nodes[1]!.revision = 1;
    nodes[1]!.speaks = 1;
    // Node 1 is known to be of revision 1: the write has no session from the start.
    const put = clerk.put("a", "1");
    expect(nodes[0]!.only.put!.FirstUnfinished).toBe(0);
    nodes[0]!.only.reply("OK");
    await put;
  });

  it("starts a session's write over when the next leader turns out to be one of them", async () => {
    const { clerk, nodes } = await openedHarness(2);
    nodes[1]!.revision = 0;
    nodes[1]!.speaks = 1;
    const put = clerk.put("a", "1");
    const first = nodes[0]!.only;
    first.reply("ErrWrongLeader", 2);
    nodes[1]!.only.reply("ErrNoKey");
    expect(nodes[1]!.only.put).toMatchObject({ RequestId: 1, FirstUnfinished: 0 });
    expect(nodes[1]!.only.clientId).not.toBe(first.clientId);
    nodes[1]!.only.reply("OK");
    await put;
  });

  it("does not start it over when an earlier attempt is ambiguous", async () => {
    const { clerk, nodes, clock } = await openedHarness(2);
    nodes[1]!.revision = 0;
    nodes[1]!.speaks = 1;
    const failure = failureOf(clerk.put("a", "1", { timeoutMs: 100 }));
    nodes[0]!.only.fail(RpcStatus.UNAVAILABLE, "connection reset", true);
    nodes[1]!.onRequest = answerAsLeader;
    nodes[0]!.onRequest = (request) =>
      request.fail(RpcStatus.UNAVAILABLE, "connection refused", false);
    nodes[1]!.only.reply("ErrNoKey");
    await clock.advance(100);
    expect(await failure).toMatchObject({ code: "TIMEOUT", mayHaveHappened: true });
    expect(nodes[1]!.requests.map(({ method }) => method)).toEqual(["Get"]);
  });

  it("goes back to sessions once no node of revision 1 is left", async () => {
    const { clerk, nodes } = originalNodes(1);
    const first = clerk.put("a", "1");
    nodes[0]!.only.reply("ErrNoKey");
    nodes[0]!.only.reply("OK");
    await first;
    // The node was replaced, and its channel has seen the new one.
    nodes[0]!.revision = 2;
    nodes[0]!.speaks = 2;
    void clerk.put("a", "2").catch(() => {});
    expect(nodes[0]!.only.method).toBe("OpenSession");
  });
});

describe("toward nodes that share their log with some of revision 1", () => {
  it("writes without a session, one at a time, though they speak revision 2", async () => {
    const { clerk, nodes } = harness(1);
    const [node] = nodes;
    const puts = ["a", "b"].map((key) => clerk.put(key, "1"));
    node!.only.reply("ErrNoKey");
    expect(node!.only.method).toBe("OpenSession");
    node!.refusesSessions = true;
    node!.only.fail(RpcStatus.UNIMPLEMENTED);
    for (const [index, key] of ["a", "b"].entries()) {
      expect(node!.only.key).toBe(key);
      expect(node!.only.put).toMatchObject({ RequestId: index + 1, FirstUnfinished: 0 });
      node!.only.reply("OK");
    }
    await Promise.all(puts);
  });

  it("opens a session once the node that answers takes one", async () => {
    const { clerk, nodes, clock } = harness(1);
    const [node] = nodes;
    node!.onRequest = answerAsLeader;
    for (const refuses of [true, false]) {
      node!.refusesSessions = refuses;
      const put = clerk.put("a", "1");
      await clock.advance(10);
      await put;
    }
    const methods = node!.requests.map(({ method }) => method);
    expect(methods).toEqual(["Get", "PutAppend", "OpenSession", "PutAppend"]);
  });
});
