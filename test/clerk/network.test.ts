import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { Clerk } from "../../clerk/clerk.js";
import { formatStatus } from "../../clerk/cliStatus.js";
import { ExactlyOnceModel } from "./exactlyOnceModel.js";
import { failureOf } from "./harness.js";
import { OriginalServer, ServiceCluster } from "./kvServices.js";

describe("over TCP", () => {
  let model: ExactlyOnceModel;
  let cluster: ServiceCluster;
  let clerk: Clerk;

  beforeEach(async () => {
    model = new ExactlyOnceModel();
    cluster = await ServiceCluster.start(3, model);
    clerk = new Clerk(cluster.nodes);
  });

  afterEach(async () => {
    await clerk.close();
    await cluster.stop();
  });

  it("puts, appends and gets", async () => {
    expect(await clerk.get("x")).toBeUndefined();
    await clerk.put("x", "1");
    await clerk.append("x", "2");
    expect(await clerk.getString("x")).toBe("12");
    await clerk.put("x", "");
    expect(await clerk.get("x")).toHaveLength(0);
  });

  it("finds the leader by its hint, and without", async () => {
    cluster.leadership.leader = 2;
    await clerk.put("x", "1");
    cluster.leadership.leader = 1;
    cluster.leadership.hints = false;
    await clerk.append("x", "2");
    expect(await clerk.getString("x")).toBe("12");
  });

  it("keeps thousands of writes in flight, each applied once", async () => {
    const appends = Array.from({ length: 5_000 }, (_, n) => clerk.append(`k${n % 10}`, `<${n}>`));
    await Promise.all(appends);
    const everything = [...model.data.values()].join("");
    expect(everything.split("<")).toHaveLength(5_001);
    expect(new Set(everything.split("<")).size).toBe(5_001);
    expect(model.violations).toEqual([]);
  });

  it("goes on when the leader dies under load and another one leads", async () => {
    const first = Array.from({ length: 500 }, (_, n) => clerk.append("x", `<a${n}>`));
    await first[100];
    cluster.leadership.leader = 1;
    await cluster.stopNode(0);
    const second = Array.from({ length: 500 }, (_, n) => clerk.append("x", `<b${n}>`));
    await Promise.all([...first, ...second]);
    const tokens = model.data.get("x")!.split("<").slice(1);
    expect(tokens).toHaveLength(1_000);
    expect(new Set(tokens).size).toBe(1_000);
  });

  it("finds a node again that was restarted on its port", async () => {
    await clerk.put("x", "1");
    await cluster.stopNode(0);
    const put = clerk.put("x", "2");
    await cluster.restartNode(0);
    await put;
    expect(model.data.get("x")).toBe("2");
  });

  it("carries a value of megabytes, and refuses one beyond the limit of a request", async () => {
    const value = "v".repeat(4 * 1024 * 1024);
    await clerk.put("x", value);
    expect(await clerk.getString("x")).toBe(value);
    const failure = await failureOf(clerk.put("x", new Uint8Array(5 * 1024 * 1024)));
    expect(failure).toMatchObject({ code: "TOO_LARGE", mayHaveHappened: false });
  });

  it("reports what each node says of itself", async () => {
    await clerk.put("x", "1");
    await cluster.stopNode(2);
    const [first, second, third] = await clerk.status();
    expect(first).toMatchObject({ id: 0, problem: null });
    expect(first!.status).toMatchObject({ Role: "leader", Term: 7, Keys: 1, CommitIndex: 0 });
    expect(first!.status!.Peers).toEqual([
      { NodeId: 5, MatchIndex: 0, NextIndex: 0, State: "probe" },
    ]);
    expect(second!.status!.Role).toBe("follower");
    expect(third).toMatchObject({ status: null });
    expect(third!.problem).toMatch(/refused|ECONN|closed/);
    const table = formatStatus([first!, second!, third!]).split("\n");
    expect(table[1]).toMatch(/^0 +127\.0\.0\.1:[0-9]+ +leader +7 +0 +0 +0 +1 +0$/);
  });

  it("says that a write did not happen when nobody listens", async () => {
    await cluster.stop();
    const failure = await failureOf(clerk.put("x", "1", { timeoutMs: 200 }));
    expect(failure).toMatchObject({ code: "UNREACHABLE", mayHaveHappened: false });
  });
});

describe("over TCP, with limits on one side only", () => {
  it("fails at once when the node, or this process, takes no frame of that size", async () => {
    const model = new ExactlyOnceModel();
    const cluster = await ServiceCluster.start(1, model, { requestBytesMax: 1_000 });
    const clerk = new Clerk(cluster.nodes, { rpc: { replyBytesMax: 500 } });
    try {
      await clerk.put("x", "1");
      const put = await failureOf(clerk.put("x", "v".repeat(2_000)));
      expect(put).toMatchObject({ code: "TOO_LARGE", mayHaveHappened: false });
      await clerk.put("x", "v".repeat(800));
      expect((await failureOf(clerk.get("x"))).code).toBe("TOO_LARGE");
      await clerk.put("x", "2");
      expect(await clerk.getString("x")).toBe("2");
    } finally {
      await clerk.close();
      await cluster.stop();
    }
  });
});

describe("over TCP, with a server of the original's habits", () => {
  it("puts, appends and gets, one at a time, and asks for no method that it does not know", async () => {
    const model = new ExactlyOnceModel();
    const server = await OriginalServer.start(model);
    const clerk = new Clerk([{ host: "127.0.0.1", port: server.port }]);
    try {
      const writes = ["1", "2", "3"].map((digit) => clerk.append("x", digit));
      await Promise.all(writes);
      expect(await clerk.getString("x")).toBe("123");
      expect(await clerk.get("y")).toBeUndefined();
      expect(new Set(server.methods)).toEqual(new Set(["Get", "PutAppend"]));
      expect(server.writes.map(({ RequestId }) => RequestId)).toEqual([1, 2, 3]);
      const failure = await failureOf(clerk.put("x", new Uint8Array(60_001)));
      expect(failure).toMatchObject({ code: "TOO_LARGE", mayHaveHappened: false });
      const [status] = await clerk.status();
      expect(status!.problem).toContain("revision 1");
    } finally {
      await clerk.close();
      server.stop();
    }
  });
});
