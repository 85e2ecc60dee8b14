import { Readable } from "node:stream";
import { describe, expect, it } from "vitest";
import { runCli, type CliWorld } from "../../clerk/cliRun.js";
import type { ServerNode } from "../../clerk/serverNode.js";
import { RpcStatus } from "../../rpc/status.js";
import { ExactlyOnceModel } from "./exactlyOnceModel.js";
import { FakeNode, type FakeRequest } from "./fakeNode.js";
import { settled, VirtualClock } from "./virtualClock.js";

const nodeList = "config/nodes.conf";

/** What a command line printed, and its exit code. */
interface Ran {
  readonly code: number;
  readonly out: Buffer;
  readonly err: string;
}

type Answer = (request: FakeRequest, model: ExactlyOnceModel) => void;

const asLeader: Answer = (request, model) => {
  if (request.put !== null) return request.reply(model.apply(request.put));
  if (request.method === "OpenSession") model.open(request.clientId);
  const value = model.data.get(request.key);
  if (request.method === "Get" && value === undefined) return request.reply("ErrNoKey");
  return request.reply("OK", 0, value);
};

/** A cluster of one whose answers a test chooses, behind the real command line. */
class FakeCluster {
  readonly model = new ExactlyOnceModel();
  answer: Answer = asLeader;
  stderrIsTty = false;

  async run(args: readonly string[], stdin = ""): Promise<Ran> {
    const clock = new VirtualClock();
    const out: Buffer[] = [];
    let err = "";
    const codes: number[] = [];
    const world: CliWorld = {
      env: { KV_NODES: nodeList },
      version: "1.2.3",
      stdin: Readable.from([Buffer.from(stdin)]),
      stderrIsTty: this.stderrIsTty,
      settings: { environment: clock, connect: () => this.node(clock) },
      writeOut: (bytes) => out.push(Buffer.from(bytes)),
      writeErr: (text) => (err += text),
    };
    void runCli(args, world).then((result) => codes.push(result));
    for (let turn = 0; turn < 10_000 && codes.length === 0; turn++) {
      await settled();
      await clock.advance(10);
    }
    const [code] = codes;
    if (code === undefined) throw new Error("the command does not end");
    return { code, out: Buffer.concat(out), err };
  }

  private node(clock: VirtualClock): ServerNode {
    const node = new FakeNode(clock, "10.0.0.1:1");
    node.onRequest = (request) => this.answer(request, this.model);
    return node;
  }
}

describe("put, append, get", () => {
  it("store and print values", async () => {
    const cluster = new FakeCluster();
    expect(await cluster.run(["put", "x", "1"])).toMatchObject({ code: 0, err: "" });
    expect(await cluster.run(["append", "x", "2"])).toMatchObject({ code: 0 });
    expect(await cluster.run(["get", "x"])).toEqual({ code: 0, out: Buffer.from("12\n"), err: "" });
  });

  it("say so when there is no such key", async () => {
    const ran = await new FakeCluster().run(["get", "x"]);
    expect(ran).toEqual({
      code: 1,
      out: Buffer.alloc(0),
      err: "mprpc-clerk: there is no such key\n",
    });
  });

  it("read a value from standard input", async () => {
    const cluster = new FakeCluster();
    await cluster.run(["put", "x", "-"], "from\nstdin\n");
    expect(cluster.model.data.get("x")).toBe("from\nstdin\n");
    await cluster.run(["put", "--hex", "78", "-"], "6869\n");
    expect(cluster.model.data.get("x")).toBe("hi");
    expect((await cluster.run(["put", "--hex", "78", "-"], "zz")).code).toBe(2);
  });

  it("refuse an endless standard input", async () => {
    const ran = await new FakeCluster().run(["put", "x", "-"], "x".repeat(5 * 1024 * 1024));
    expect(ran).toMatchObject({ code: 1 });
    expect(ran.err).toMatch(/^mprpc-clerk: too large: .*\n$/);
  });

  it("print hexadecimal with --hex", async () => {
    const cluster = new FakeCluster();
    await cluster.run(["put", "x", "hi"]);
    expect((await cluster.run(["get", "78", "--hex"])).out.toString()).toBe("6869\n");
  });
});

describe("a failure", () => {
  it("is one line, and exit code 1 when the write did not happen", async () => {
    const cluster = new FakeCluster();
    cluster.answer = (request) => request.fail(RpcStatus.UNAVAILABLE, "connection\nrefused", false);
    const ran = await cluster.run(["put", "x", "1", "--timeout", "100"]);
    expect(ran).toMatchObject({ code: 1 });
    expect(ran.out).toHaveLength(0);
    expect(ran.err).toMatch(
      /^mprpc-clerk: no node could be reached before the deadline: the put did not happen; .*connection refused\n$/,
    );
  });

  it("is exit code 3 when the write may have happened", async () => {
    const cluster = new FakeCluster();
    cluster.answer = (request, model) => {
      if (request.method !== "PutAppend") asLeader(request, model);
    };
    const ran = await cluster.run(["put", "x", "1", "--timeout", "100"]);
    expect(ran).toMatchObject({ code: 3 });
    expect(ran.err).toContain("may have happened");
  });

  it("of the command line is exit code 2 and points to --help", async () => {
    const ran = await new FakeCluster().run(["pot"]);
    expect(ran).toMatchObject({ code: 2 });
    expect(ran.err).toBe('mprpc-clerk: there is no command "pot"\ntry: mprpc-clerk --help\n');
  });

  it("to find the node list is a mistake on the command line", async () => {
    const ran = await new FakeCluster().run(["-f", "none.conf", "get", "x"]);
    expect(ran).toMatchObject({ code: 2 });
    expect(ran.err).toContain("none.conf: no such file");
  });
});

it("--help and --version print to stdout", async () => {
  const cluster = new FakeCluster();
  expect((await cluster.run(["--help"])).out.toString()).toMatch(/^Usage: mprpc-clerk/);
  expect((await cluster.run(["--version"])).out.toString()).toBe("1.2.3\n");
});

describe("status", () => {
  it("names the nodes that give none, and fails then", async () => {
    const cluster = new FakeCluster();
    cluster.answer = (request) => request.fail(RpcStatus.UNAVAILABLE, "connection refused", false);
    const ran = await cluster.run(["status"]);
    expect(ran.code).toBe(1);
    const lines = ran.out.toString().split("\n");
    expect(lines[0]).toMatch(/^node +address +role +term +commit +applied +log +keys/);
    expect(lines[1]).toMatch(/^0 +10\.0\.0\.1:1 +connection refused$/);
    expect(lines).toHaveLength(5);
  });
});

describe("bench", () => {
  it("puts and gets, and prints rates and percentiles", async () => {
    const cluster = new FakeCluster();
    const line = ["bench", "-n", "50", "-c", "4", "--key-count", "7", "--value-bytes", "3"];
    const ran = await cluster.run(line);
    expect(ran).toMatchObject({ code: 0, err: "" });
    expect(cluster.model.data.size).toBe(7);
    expect([...cluster.model.data.values()]).toEqual(Array.from({ length: 7 }, () => "vvv"));
    const phases = ran.out.toString();
    for (const phase of ["put", "get"]) {
      expect(phases).toMatch(new RegExp(`^${phase}: [0-9,]+ ops/s \\(50 in [0-9.]+ s\\)$`, "m"));
    }
    expect(phases).toMatch(/latency ms: p50 [0-9.]+ {2}p90 [0-9.]+ {2}p99 [0-9.]+ {2}max [0-9.]+/);
  });

  it("counts failures, quotes the first and fails", async () => {
    const cluster = new FakeCluster();
    cluster.answer = (request, model) => {
      if (request.key === "bench-1") request.fail(RpcStatus.INVALID_ARGUMENT, "not that key");
      else asLeader(request, model);
    };
    const ran = await cluster.run(["bench", "-n", "4", "--key-count", "2"]);
    expect(ran.code).toBe(1);
    expect(ran.out.toString()).toMatch(/2 failed; the first: .*not that key/);
  });
});
