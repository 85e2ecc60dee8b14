import { describe, expect, it } from "vitest";
import type { FakeNode, FakeRequest } from "./fakeNode.js";
import { failureOf, harness, knownHarness, openedHarness } from "./harness.js";

/** A leader that stands still: its connections are open, and nothing comes from it. */

const settings = { attemptTimeoutMs: 2_000, silenceMs: 100 };

function follow(node: FakeNode, leader: number): void {
  node.onRequest = (request) => request.reply("ErrWrongLeader", leader + 1);
}

function lead(node: FakeNode): void {
  node.onRequest = (request) =>
    request.reply(request.method === "Get" && request.key !== "x" ? "ErrNoKey" : "OK", 0, "1");
}

function keysAsked(node: FakeNode): string[] {
  return node.requests.map(({ key }) => key);
}

describe("a leader that does not answer", () => {
  it("is left as soon as another one leads, with all that waited for it", async () => {
    const { clerk, nodes, clock } = knownHarness(3, settings);
    const [silent, first, second] = nodes as [FakeNode, FakeNode, FakeNode];
    for (const node of [first, second]) follow(node, 0);
    const values = Promise.all([clerk.getString("x"), clerk.getString("x")]);
    await clock.advance(370);
    lead(second);
    follow(first, 2);
    await clock.advance(100);
    expect(await values).toEqual(["1", "1"]);
    expect(silent.requests.map(({ cancelled }) => cancelled)).toEqual([true, true]);
    // And later calls go to the new one at once.
    expect(await Promise.race([clerk.getString("x"), clock.advance(1)])).toBe("1");
  });

  it("is not left while the others say that it leads", async () => {
    const { clerk, nodes, clock } = knownHarness(3, settings);
    for (const node of nodes.slice(1)) follow(node, 0);
    const value = clerk.getString("x");
    await clock.advance(1_500);
    nodes[0]!.only.reply("OK", 0, "late");
    expect(await value).toBe("late");
  });

  it("is left only for one that proves it: a hint is asked, and not believed", async () => {
    const { clerk, nodes, clock } = knownHarness(3, settings);
    follow(nodes[1]!, 2);
    follow(nodes[2]!, 0);
    const value = clerk.getString("x");
    await clock.advance(1_000);
    expect(keysAsked(nodes[2]!).every((key) => key === "")).toBe(true);
    expect(nodes[0]!.open).toHaveLength(1);
    nodes[0]!.only.reply("OK", 0, "1");
    expect(await value).toBe("1");
  });

  it("makes others be asked less and less often", async () => {
    const { clerk, nodes, clock } = knownHarness(3, settings);
    for (const node of nodes.slice(1)) follow(node, 0);
    void clerk.get("x").catch(() => {});
    await clock.advance(1_000);
    const asked = nodes[1]!.requests.length + nodes[2]!.requests.length;
    expect(asked).toBeGreaterThanOrEqual(6);
    expect(asked).toBeLessThanOrEqual(10);
  });

  it("gets a write repeated elsewhere under the same id", async () => {
    const { clerk, nodes, clock } = await openedHarness(3, settings);
    for (const node of nodes.slice(1)) lead(node);
    const done = clerk.append("x", "1");
    await clock.advance(210);
    await done;
    const [given, taken] = [nodes[0]!, nodes[1]!].map((node) => last(node.requests));
    expect(taken!.put).toMatchObject({ RequestId: given!.put!.RequestId, Key: given!.put!.Key });
    expect(taken!.clientId).toBe(given!.clientId);
  });

  it("may have done a write that ends in failure elsewhere", async () => {
    const { clerk, nodes, clock } = await openedHarness(2, settings);
    nodes[1]!.onRequest = (request) =>
      request.method === "Get" ? request.reply("ErrNoKey") : request.reply("ErrWrongLeader");
    const failure = failureOf(clerk.append("x", "1", { timeoutMs: 1_000 }));
    await clock.advance(1_000);
    expect((await failure).mayHaveHappened).toBe(true);
  });

  it("is heeded no more when it answers late", async () => {
    const { clerk, nodes, clock } = knownHarness(2, settings);
    nodes[1]!.onRequest = (request) => {
      if (request.key === "") request.reply("ErrNoKey");
    };
    const value = clerk.getString("x");
    await clock.advance(150);
    nodes[0]!.only.reply("OK", 0, "old");
    nodes[1]!.only.reply("OK", 0, "new");
    expect(await value).toBe("new");
  });
});

describe("others are not asked", () => {
  it("while answers come, be it to other calls", async () => {
    const { clerk, nodes, clock } = knownHarness(2, settings);
    void clerk.get("slow").catch(() => {});
    for (let i = 0; i < 10; i++) {
      const quick = clerk.get("quick");
      nodes[0]!.open.find(({ key }) => key === "quick")!.reply("ErrNoKey");
      await quick;
      await clock.advance(90);
    }
    expect(nodes[1]!.requests).toHaveLength(0);
  });

  it("when nothing is under way", async () => {
    const { clerk, nodes, clock } = knownHarness(2, settings);
    const value = clerk.get("x");
    nodes[0]!.only.reply("ErrNoKey");
    await value;
    await clock.advance(60_000);
    expect(nodes[1]!.requests).toHaveLength(0);
    expect(clock.timerCount).toBe(0);
  });

  it("about a node of the original, and no such node is", async () => {
    for (const original of [0, 1]) {
      const { clerk, nodes, clock } = knownHarness(2, settings);
      nodes[original]!.revision = 1;
      void clerk.get("x").catch(() => {});
      await clock.advance(1_900);
      expect(nodes[1]!.requests).toHaveLength(0);
    }
  });
});

it("a node that is silent before it has shown its revision is left, too", async () => {
  const { clerk, nodes, clock } = harness(2, settings);
  lead(nodes[1]!);
  const done = clerk.put("x", "1");
  await clock.advance(120);
  await done;
  expect(nodes[0]!.requests.map(({ method }) => method)).toEqual(["Get"]);
});

function last(requests: readonly FakeRequest[]): FakeRequest {
  return requests.at(-1)!;
}
