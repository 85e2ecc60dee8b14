/**
 * A node of a cluster whose disk fails while it runs: it ends and says why, the others serve on,
 * nothing acknowledged is lost, and it comes back.
 */
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { Clerk } from "../../clerk/index.js";
import { exitCodes } from "../../kvserver/exitCodes.js";
import { eventually } from "../eventually.js";
import { Tmpfs } from "../tmpfs.js";
import { Cluster, type NodeProcess } from "./cluster.js";
import { FailingDisk, type DiskCall } from "./failingDisk.js";

/** Small, so that segments and snapshots are made all the time. */
const options = ["snapshotLogBytes=200000", "trailingEntries=10", "segmentBytes=65536"];
const filling = Buffer.alloc(2_000, "f");

let cluster: Cluster;
let clerk: Clerk;
let appender: Appender;
const disks: Tmpfs[] = [];

beforeEach(async () => {
  cluster = await Cluster.create(3, [...options, "diskReserveBytes=0"]);
  clerk = new Clerk(cluster.nodes, { timeoutMs: 20_000 });
});

afterEach(async () => {
  await clerk.close();
  await Promise.all([...cluster.processes.keys()].map((id) => cluster.stop(id, "SIGKILL")));
  for (const disk of disks.splice(0)) await disk.unmount();
  await cluster.destroy();
});

/** Appends numbers to one key, one after the other, and fills the log. */
class Appender {
  acknowledged = "";
  count = 0;
  private stopping = false;
  private readonly done: Promise<void>;

  constructor() {
    this.done = this.run();
    // Whoever stops it learns of a failure.
    this.done.catch(() => {});
  }

  /** So many more were acknowledged. */
  async advances(by: number): Promise<void> {
    const goal = this.count + by;
    await eventually(`${by} more appends`, async () => this.count >= goal);
  }

  async stop(): Promise<void> {
    this.stopping = true;
    await this.done;
  }

  private async run(): Promise<void> {
    while (!this.stopping) {
      await clerk.append("marks", `${this.count};`);
      this.acknowledged += `${this.count++};`;
      await clerk.put(`filling ${this.count % 20}`, filling);
    }
  }
}

async function leader(): Promise<number> {
  const id = await eventually("a leader", async () => {
    const states = await clerk.status({ timeoutMs: 500 });
    const found = states.find(({ status }) => status?.Role === "leader");
    return found === undefined ? false : found.id + 1;
  });
  return id - 1;
}

async function pick(role: "leader" | "follower"): Promise<number> {
  const id = await leader();
  return role === "leader" ? id : (id + 1) % 3;
}

async function expectEnd(node: NodeProcess, code: number, line: RegExp): Promise<void> {
  expect(await node.exited).toEqual({ code, signal: null });
  expect(node.errors.split("\n"), "one line").toHaveLength(2);
  expect(node.errors).toMatch(line);
  cluster.processes.delete(node.id);
}

/** Null where it can't be done. */
async function startOnFailingDisks(): Promise<FailingDisk[] | null> {
  const failing: FailingDisk[] = [];
  for (const id of [0, 1, 2]) {
    const disk = await FailingDisk.make(cluster.dir, id);
    if (typeof disk === "string") {
      console.log(`not tried: ${disk}`);
      return null;
    }
    failing.push(disk);
  }
  for (const { id, shell } of failing) cluster.start(id, [], shell);
  appender = new Appender();
  await appender.advances(20);
  return failing;
}

/** Also when it is needed: without one of the others, there is no majority but with it. */
async function hasComeBack(id: number): Promise<void> {
  await appender.advances(20);
  await cluster.stop((id + 1) % 3, "SIGKILL");
  await appender.advances(20);
  await appender.stop();
  expect(await clerk.getString("marks")).toBe(appender.acknowledged);
}

interface Case {
  readonly who: "leader" | "follower";
  readonly call: DiskCall;
  readonly errno: "EIO" | "ENOSPC";
  /** Part of the file's path. */
  readonly file: string;
  readonly line: RegExp;
  readonly rebuild: boolean;
}

const ofLog = String.raw`\(/.*/wal-\d+\.log(\.tmp)?\)\n$`;
const ofSnapshot = String.raw`\(/.*/snapshot-\d+-\d+\.local\.tmp\)\n$`;

const cases: Case[] = [
  {
    who: "follower",
    call: "fdatasync",
    errno: "EIO",
    file: ".log",
    line: new RegExp(`^node \\d stopped: the disk failed: sync failed with EIO ${ofLog}`),
    rebuild: false,
  },
  {
    who: "follower",
    call: "pwrite",
    errno: "ENOSPC",
    file: ".log",
    line: new RegExp(`^node \\d stopped: the disk is full: write failed with ENOSPC ${ofLog}`),
    rebuild: true,
  },
  {
    who: "leader",
    call: "fdatasync",
    errno: "EIO",
    file: ".log",
    line: new RegExp(`^node \\d stopped: the disk failed: sync failed with EIO ${ofLog}`),
    rebuild: true,
  },
  {
    who: "leader",
    call: "pwrite",
    errno: "EIO",
    file: ".log",
    line: new RegExp(`^node \\d stopped: the disk failed: write failed with EIO ${ofLog}`),
    rebuild: false,
  },
  {
    who: "leader",
    call: "fdatasync",
    errno: "ENOSPC",
    file: "snapshot-",
    line: new RegExp(`^node \\d stopped: the disk is full: sync failed with ENOSPC ${ofSnapshot}`),
    rebuild: false,
  },
];

describe("a call to the disk that fails", () => {
  test.each(cases)("$call with $errno on $file of a $who", async (one) => {
    const failing = await startOnFailingDisks();
    if (failing === null) return;
    const id = await pick(one.who);
    const node = cluster.processes.get(id)!;
    await failing[id]!.fail(one.call, one.errno, one.file);
    const code = one.errno === "EIO" ? exitCodes.diskFailed : exitCodes.diskFull;
    await expectEnd(node, code, one.line);
    await appender.advances(20);
    const again = cluster.start(id, one.rebuild ? ["--rebuild"] : []);
    if (one.rebuild) {
      await eventually("it to vote", async () => again.output.includes("votes from now on"));
    }
    await hasComeBack(id);
  });

  test("pread with EIO while a node starts", async () => {
    const failing = await startOnFailingDisks();
    if (failing === null) return;
    const id = await pick("follower");
    await cluster.stop(id, "SIGKILL");
    await failing[id]!.fail("pread", "EIO", ".log");
    const node = cluster.start(id, [], failing[id]!.shell);
    const line = new RegExp(`^the disk failed: read failed with EIO ${ofLog}`);
    await expectEnd(node, exitCodes.diskFailed, line);
    await appender.advances(20);
    cluster.start(id);
    await hasComeBack(id);
  });
});

test("a leader whose disk stalls leads no more, and follows when it goes on", async () => {
  const failing = await startOnFailingDisks();
  if (failing === null) return;
  const id = await pick("leader");
  const node = cluster.processes.get(id)!;
  await failing[id]!.stall("fdatasync", ".log");
  await eventually("another to lead", async () => (await leader()) !== id);
  await appender.advances(20);
  await failing[id]!.goOn();
  await hasComeBack(id);
  expect(node.child.exitCode).toBeNull();
});

describe("a disk that is full", () => {
  test.each(["follower", "leader"] as const)("of a %s", async (who) => {
    for (const id of [0, 1, 2]) {
      await mkdir(folder(id), { recursive: true });
      const mounted = await Tmpfs.mount(folder(id), 4_096);
      if (typeof mounted === "string") {
        console.log(`not tried: ${mounted}`);
        return;
      }
      disks.push(mounted);
    }
    cluster.startAll();
    appender = new Appender();
    await appender.advances(20);
    const id = await pick(who);
    const node = cluster.processes.get(id)!;
    await fill(ballastOf(id));
    const line = /^node \d stopped: the disk is full: \w+ failed with ENOSPC \(\/.*\)\n$/;
    await expectEnd(node, exitCodes.diskFull, line);
    await appender.advances(20);
    await rm(ballastOf(id));
    cluster.start(id);
    await hasComeBack(id);
  });
});

function folder(id: number): string {
  return path.join(cluster.dataDir, `node${id}`);
}

function ballastOf(id: number): string {
  return path.join(folder(id), "ballast");
}

/** Takes all the room that is left. */
async function fill(file: string): Promise<void> {
  const failure = writeFile(file, Buffer.alloc(5_000_000));
  await expect(failure).rejects.toMatchObject({ code: "ENOSPC" });
  expect((await readFile(file)).length).toBeGreaterThan(0);
}
