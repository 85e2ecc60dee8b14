import { afterAll, afterEach, describe, expect, it } from "vitest";
import { Clerk } from "../../clerk/index.js";
import { eventually } from "../eventually.js";
import { Cluster } from "../process/cluster.js";
import { PeerClerk } from "./peer.js";

/** A C++ clerk on our cluster. */

let cluster: Cluster;
let clerk: PeerClerk;
let ours: Clerk;

async function start(options: readonly string[] = []): Promise<void> {
  cluster = await Cluster.create(3, options);
  cluster.startAll();
  ours = new Clerk(cluster.nodes);
  await leaderId();
  clerk = new PeerClerk(cluster.nodesFile);
}

const total = { operations: 0, restarts: 0, kills: 0 };

afterAll(() => {
  const { operations, restarts, kills } = total;
  console.log(`L1: ${operations} operations, ${restarts} restarts, ${kills} leaders killed`);
});

afterEach(async () => {
  total.operations += clerk.operations;
  await clerk.kill();
  await ours.close();
  await cluster.destroy();
});

async function leaderId(): Promise<number> {
  const id = await eventually("a leader of ours", async () => {
    const states = await ours.status({ timeoutMs: 500 });
    const found = states.findIndex(({ status }) => status?.Role === "leader");
    return found >= 0 && `${found}`;
  });
  return Number(id);
}

async function restart(id: number): Promise<void> {
  total.restarts++;
  await cluster.stop(id, "SIGTERM");
  cluster.start(id);
  await eventually(`node ${id} is back`, async () => {
    const [answer] = await ours.status({ node: id, timeoutMs: 500 });
    return answer?.status?.LeaderHint !== undefined && answer.status.LeaderHint > 0;
  });
}

/** Appends marks to one key, one after the other, until it is stopped; tells how many. */
class Load {
  marks = 0;
  private stopping = false;
  private readonly running: Promise<void>;

  constructor() {
    this.running = this.run();
    // Whoever stops it sees the error.
    this.running.catch(() => {});
  }

  async more(count: number): Promise<void> {
    const until = this.marks + count;
    await eventually("more marks", async () => this.marks >= until || !clerk.running);
  }

  async stop(): Promise<void> {
    this.stopping = true;
    await this.running;
  }

  private async run(): Promise<void> {
    for (; !this.stopping; this.marks++) await clerk.append("marks", `${this.marks};`);
  }
}

function marksUpTo(count: number): string {
  return Array.from({ length: count }, (_, i) => `${i};`).join("");
}

describe("a C++ clerk on our cluster", () => {
  it("puts, appends and gets", async () => {
    await start();
    for (let i = 0; i < 100; i++) {
      await clerk.put(`key${i}`, `a${i}`);
      await clerk.append(`key${i}`, `b${i}`);
      expect((await clerk.get(`key${i}`)).value).toBe(`a${i}b${i}`);
    }
    expect((await clerk.get("none")).value).toBe("");
    expect(await clerk.finish()).toMatchObject({ code: 0, rule: "" });
  });

  it("goes through restarts of every node by SIGTERM, and nothing is lost or done twice", async () => {
    await start();
    const load = new Load();
    await load.more(20);
    for (let round = 0; round < 3; round++) {
      await restart(await leaderId());
      await load.more(20);
    }
    await load.stop();
    expect(await ours.getString("marks")).toBe(marksUpTo(load.marks));
    expect(clerk.end).toBeNull();
  });

  it("outlives a restart of the whole cluster", async () => {
    await start();
    await clerk.put("before", "1");
    await Promise.all([0, 1, 2].map((id) => cluster.stop(id, "SIGTERM")));
    total.restarts += 3;
    const during = clerk.put("during", "2");
    cluster.startAll();
    await during;
    expect((await clerk.get("before")).value).toBe("1");
    expect((await clerk.get("during")).value).toBe("2");
    expect(clerk.end).toBeNull();
  });

  it("outlives the end of its idle connections", async () => {
    await start(["revision1IdleTimeoutMs=100"]);
    for (let i = 0; i < 3; i++) {
      await clerk.put("x", `${i}`);
      const idleSince = performance.now();
      await eventually("a long silence", async () => performance.now() - idleSince > 500);
    }
    expect((await clerk.get("x")).value).toBe("2");
    expect(clerk.end).toBeNull();
  });

  it("reads values of up to 1,017 bytes; a longer one keeps it waiting, and never reads wrong", async () => {
    await start();
    await clerk.put("fits", "f".repeat(1_017));
    expect((await clerk.get("fits")).value).toBe("f".repeat(1_017));
    await clerk.put("long", "l".repeat(1_018));
    await clerk.put("short", "s");
    let heard = false;
    const long = clerk.get("long").then((result) => {
      heard = true;
      return result;
    });
    const short = clerk.get("short");
    const since = performance.now();
    await eventually("two refusals", async () => performance.now() - since > 1_200);
    expect(heard).toBe(false);
    expect(clerk.end).toBeNull();
    expect(await ours.getString("long")).toBe("l".repeat(1_018));
    // Its stream of replies is in order still.
    await ours.put("long", "now-it-fits");
    expect((await long).value).toBe("now-it-fits");
    expect((await short).value).toBe("s");
  });

  it("keeps what it acknowledged when its leader is killed; the kernel's FIN may end it", async () => {
    await start();
    const load = new Load();
    await load.more(50);
    total.kills++;
    await cluster.stop(await leaderId(), "SIGKILL");
    await leaderId();
    await load.more(20);
    await load.stop().catch(() => {});
    // As with the original's own nodes: no process can choose how the kernel ends its connections.
    expect(["", "a send after the other side's FIN (SIGPIPE)"]).toContain(clerk.end?.rule ?? "");
    const marks = await ours.getString("marks");
    expect([marksUpTo(load.marks), marksUpTo(load.marks + 1)]).toContain(marks);
  });
});
