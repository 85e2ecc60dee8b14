import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import * as fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { KvOptions } from "../../config/options.js";
import { KvServer } from "../../kvserver/kvServer.js";
import { kvServerRpcMethods } from "../../proto/index.js";
import { WalPersister } from "../../raft/persister/walPersister.js";
import { MprpcController, type CallOrigin } from "../../rpc/mprpcController.js";
import { eventually } from "../eventually.js";

/** Clerks of the original's kind, which share one ClientId, on one node that is restarted at times. */

let dir: string;
let server: KvServer;
let persister: WalPersister;

async function start(options: Partial<KvOptions> = {}): Promise<void> {
  persister = await WalPersister.open(path.join(dir, "node0"), { nodeId: 0, segmentBytes: 65_536 });
  const raftOptions = { heartbeatMs: 20, electionTimeoutMsMin: 100, electionTimeoutMsMax: 200 };
  server = new KvServer({ options, raftOptions });
  server.start([null], 0, persister);
  await eventually("a leader", async () => server.raft.getState().isLeader);
}

async function stop(): Promise<void> {
  await server.stop();
  await persister.close();
}

async function restart(): Promise<void> {
  await stop();
  await start();
}

beforeEach(async () => {
  dir = await mkdtemp(path.join(tmpdir(), "legacy-sessions-"));
});

afterEach(async () => {
  await stop();
  await rm(dir, { recursive: true, force: true });
});

const sharedId = Buffer.from("171463691516816927778469308861804289383");

function connect(): CallOrigin {
  return { revision: 1, peer: "test" };
}

/** One process of the original's clerk. */
class Process {
  connection = connect();
  readonly birth: number;
  requestId = 0;
  private readonly running = new Set<MprpcController>();

  constructor(birth = 0) {
    this.birth = birth;
  }

  append(value: string, key = "log"): Promise<string> {
    this.requestId++;
    return this.retry(value, key);
  }

  /** What it sent last, once more. */
  retry(value: string, key = "log"): Promise<string> {
    const request = {
      Key: Buffer.from(key),
      Value: Buffer.from(value),
      Op: Buffer.from("Append"),
      ClientId: sharedId,
      RequestId: this.requestId,
      FirstUnfinished: 0,
    };
    const controller = new MprpcController();
    controller.origin = this.connection;
    this.running.add(controller);
    return new Promise((resolve) =>
      server.callMethod(kvServerRpcMethods.PutAppend, controller, request, (response) => {
        this.running.delete(controller);
        resolve(Buffer.from((response as { Err: Uint8Array }).Err).toString());
      }),
    );
  }

  /** The connection breaks, and it opens another. */
  reconnect(): void {
    // As `ServerDispatch` does it.
    for (const controller of this.running) controller.startCancel();
    this.running.clear();
    this.connection.onEnded?.(false);
    this.connection = connect();
  }

  exit(): void {
    this.connection.onEnded?.(true);
  }
}

async function read(key = "log"): Promise<string> {
  const request = { Key: Buffer.from(key), ClientId: new Uint8Array(0), RequestId: 0 };
  return new Promise((resolve) =>
    server.callMethod(kvServerRpcMethods.Get, new MprpcController(), request, (response) =>
      resolve(Buffer.from((response as { Value: Uint8Array }).Value).toString()),
    ),
  );
}

async function sessions(): Promise<number> {
  return new Promise((resolve) =>
    server.callMethod(kvServerRpcMethods.Status, new MprpcController(), {}, (response) =>
      resolve((response as { Sessions: number }).Sessions),
    ),
  );
}

describe("a second process with the same ClientId (original bug 23: its first writes were dropped)", () => {
  it("is served after the first one ended, though it sends the very same", async () => {
    await start();
    for (let process = 0; process < 3; process++) {
      const clerk = new Process();
      for (let i = 0; i < 3; i++) expect(await clerk.append(`${i};`)).toBe("OK");
      clerk.exit();
    }
    expect(await read()).toBe("0;1;2;0;1;2;0;1;2;");
    await eventually("no session is left", async () => (await sessions()) === 0);
  });

  it("is served beside the first one, though it sends the very same", async () => {
    await start();
    const clerks = [new Process(), new Process(), new Process()];
    for (let i = 0; i < 3; i++)
      expect(await Promise.all(clerks.map((clerk) => clerk.append(`${i};`)))).toEqual(
        clerks.map(() => "OK"),
      );
    expect(await read()).toBe("0;0;0;1;1;1;2;2;2;");
  });

  it("is served after a restart of the node, in the middle of what both do", async () => {
    await start();
    const [one, other] = [new Process(), new Process()];
    await one.append("a1;");
    await one.append("a2;");
    await other.append("b1;");
    await restart();
    for (const clerk of [one, other]) clerk.reconnect();
    await other.append("b2;");
    await one.append("a3;");
    expect(await read()).toBe("a1;a2;b1;b2;a3;");
  });

  it("is told from a retry by what it writes, when the first one vanished", async () => {
    await start();
    const vanished = new Process();
    await vanished.append("a;");
    vanished.reconnect();
    const next = new Process();
    await next.append("b;");
    expect(await read()).toBe("a;b;");
  });
});

describe("a process that repeats a request", () => {
  it("has it done once: on its connection", async () => {
    await start();
    const clerk = new Process();
    await Promise.all([clerk.append("a;"), clerk.retry("a;")]);
    await clerk.retry("a;");
    expect(await read()).toBe("a;");
  });

  it("has it done once: on another connection, whether or not it was applied by then", async () => {
    await start();
    const clerk = new Process();
    const first = clerk.append("a;");
    clerk.reconnect();
    await Promise.all([first, clerk.retry("a;")]);
    clerk.reconnect();
    await clerk.retry("a;");
    await clerk.append("b;");
    expect(await read()).toBe("a;b;");
    expect(await sessions()).toBe(1);
  });

  it("has it done once: at a later leader, and after another process was there", async () => {
    await start();
    const clerk = new Process();
    await clerk.append("a;");
    await restart();
    const other = new Process();
    await other.append("b;");
    await other.append("c;");
    clerk.reconnect();
    expect(await clerk.retry("a;")).toBe("OK");
    expect(await read()).toBe("a;b;c;");
  });

  it("has it done once: after a snapshot took the place of the log", async () => {
    await start({ snapshotLogBytes: 5_000, trailingEntries: 0 });
    const clerk = new Process();
    await clerk.append("a;");
    const other = new Process();
    for (let i = 0; i < 30; i++) await other.append("x".repeat(300), "other");
    await eventually("a snapshot", async () => server.raft.status().snapshotIndex > 5);
    await restart();
    clerk.reconnect();
    expect(await clerk.retry("a;")).toBe("OK");
    expect(await read()).toBe("a;");
  });
});

it("beside nodes of the original a ClientId has one session, as theirs does", async () => {
  await start({ commandCodec: "boost" });
  const clerk = new Process();
  await clerk.append("a;");
  clerk.exit();
  expect(await new Process().append("b;")).toBe("OK");
  expect(await read()).toBe("a;");
});

const step = fc.record({
  clerk: fc.nat(3),
  event: fc.constantFrom(
    "append",
    "append",
    "append",
    "lose reply",
    "reconnect",
    "exit",
    "restart",
  ),
});

it(
  "whatever breaks, every write of every process is done exactly once",
  { timeout: 60_000 },
  async () => {
    await start();
    let run = 0;
    let births = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 30 }), async (steps) => {
        const key = `log ${run++}`;
        const clerks = [0, 1, 2, 3].map(() => new Process(++births));
        const expected: string[] = [];
        for (const { clerk: at, event } of steps) {
          const clerk = clerks[at]!;
          // Its own: that of a process that vanished, sent again by another, would be a retry.
          const mark = `${clerk.birth};`;
          if (event === "restart") {
            await restart();
            for (const each of clerks) each.reconnect();
          } else if (event === "exit") {
            clerk.exit();
            clerks[at] = new Process(++births);
          } else if (event === "reconnect") clerk.reconnect();
          else {
            const first = clerk.append(mark, key);
            if (event === "lose reply") {
              clerk.reconnect();
              await clerk.retry(mark, key);
            }
            await first;
            expected.push(mark);
          }
        }
        for (const clerk of clerks) clerk.exit();
        expect((await read(key)).split(";").toSorted()).toEqual(
          expected.join("").split(";").toSorted(),
        );
      }),
      { numRuns: 20 },
    );
  },
);
