/** Nodes whose disk takes no more: they end at once, say why, and keep what they acknowledged. */
import { mkdir } from "node:fs/promises";
import path from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { Clerk, ClerkError } from "../../clerk/index.js";
import { exitCodes } from "../../kvserver/exitCodes.js";
import { Tmpfs } from "../tmpfs.js";
import { Cluster, type NodeProcess } from "./cluster.js";

/** The smallest segment there may be; also what `ulimit -f` allows, so that one fits. */
const segmentBytes = 65_536;
const limit = `ulimit -f ${segmentBytes / 1024}`;
const options = [`segmentBytes=${segmentBytes}`, "diskReserveBytes=0"];

let cluster: Cluster;
let clerk: Clerk;
let disk: Tmpfs | null = null;

async function prepare(...more: string[]): Promise<void> {
  cluster = await Cluster.create(1, [...options, ...more]);
  clerk = new Clerk(cluster.nodes, { timeoutMs: 20_000 });
}

afterEach(async () => {
  await clerk.close();
  await disk?.unmount();
  disk = null;
  await cluster.destroy();
});

/** Puts until one fails; returns the keys that were acknowledged. */
async function putUntilItEnds(node: NodeProcess, value: Buffer, max: number): Promise<string[]> {
  const acknowledged: string[] = [];
  const stop = new AbortController();
  void node.exited.then(() => stop.abort());
  for (let i = 0; i < max; i++) {
    const key = `key${i}`;
    try {
      await clerk.put(key, value, { signal: stop.signal });
    } catch (error) {
      if (error instanceof ClerkError) return acknowledged;
      throw error;
    }
    acknowledged.push(key);
  }
  return acknowledged;
}

async function expectFull(node: NodeProcess, file: RegExp): Promise<void> {
  expect(await node.exited).toEqual({ code: exitCodes.diskFull, signal: null });
  expect(node.output).toMatch(/node 0 stopped: the disk is full: .* failed with (ENOSPC|EFBIG)/);
  expect(node.output).toMatch(file);
  cluster.processes.delete(0);
}

async function expectAll(keys: readonly string[], value: Buffer): Promise<void> {
  for (const key of keys) expect([key, await clerk.get(key)]).toEqual([key, value]);
}

describe("a node that may write no larger file", () => {
  it("does not start when it can't make its log", async () => {
    await prepare();
    const node = cluster.start(0, [], "ulimit -f 32");
    expect(await node.exited).toEqual({ code: exitCodes.diskFull, signal: null });
    expect(node.output).toMatch(/the disk is full: write failed with EFBIG .*wal-0*1\.log/);
    cluster.processes.delete(0);
    cluster.start(0);
    await clerk.put("x", "1");
  });

  it("ends when a write of the log is cut short", async () => {
    await prepare();
    const node = cluster.start(0, [], limit);
    const small = Buffer.alloc(500, "s");
    const keys = await putUntilItEnds(node, small, 20);
    expect(keys).toHaveLength(20);
    const stop = new AbortController();
    void node.exited.then(() => stop.abort());
    // A record that is larger than a segment has one that is as large as it needs.
    const large = clerk.put("large", Buffer.alloc(2 * segmentBytes), { signal: stop.signal });
    await expect(large).rejects.toBeInstanceOf(ClerkError);
    await expectFull(node, /wal-\d+\.log/);
    cluster.start(0);
    await expectAll(keys, small);
  });

  it("ends when its snapshot can't be written", async () => {
    await prepare("snapshotLogBytes=200000");
    const node = cluster.start(0, [], limit);
    const value = Buffer.alloc(5_000, "v");
    const keys = await putUntilItEnds(node, value, 1_000);
    await expectFull(node, /snapshot-\d+-\d+\.local\.tmp/);
    expect(keys.length).toBeGreaterThan(20);
    cluster.start(0);
    await expectAll(keys, value);
  });
});

it("ends when there is no space for the next segment", async () => {
  await prepare();
  const folder = path.join(cluster.dataDir, "node0");
  await mkdir(folder, { recursive: true });
  const mounted = await Tmpfs.mount(folder, 512);
  if (typeof mounted === "string") {
    console.log(`not tried: ${mounted}`);
    return;
  }
  disk = mounted;
  const node = cluster.start(0);
  const value = Buffer.alloc(5_000, "v");
  const keys = await putUntilItEnds(node, value, 1_000);
  await expectFull(node, /wal-\d+\.log\.tmp/);
  expect(keys.length).toBeGreaterThan(20);
  const again = cluster.start(0);
  expect(await again.exited, "still full").toEqual({ code: exitCodes.diskFull, signal: null });
  await disk.resize(4096);
  cluster.start(0);
  await expectAll(keys, value);
});
