import { execFile } from "node:child_process";
import { rm } from "node:fs/promises";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterEach, expect, test } from "vitest";
import { Clerk } from "../../clerk/index.js";
import { eventually } from "../eventually.js";
import { Cluster } from "./cluster.js";

/** A backup of a cluster, brought back as another one, by the commands of docs/backup.md. */

const dataScript = fileURLToPath(new URL("../../dist/kvserver/data/main.js", import.meta.url));
const undo: (() => Promise<unknown>)[] = [];

afterEach(async () => {
  for (const one of undo.splice(0).toReversed()) await one();
});

async function data(...args: string[]): Promise<string> {
  return (await promisify(execFile)(process.execPath, [dataScript, ...args])).stdout;
}

async function newCluster(options: readonly string[]): Promise<Cluster> {
  const cluster = await Cluster.create(3, options);
  undo.push(() => cluster.destroy());
  return cluster;
}

function newClerk({ nodes }: Cluster): Clerk {
  const clerk = new Clerk(nodes);
  undo.push(() => clerk.close());
  return clerk;
}

test("a cluster's backup begins another cluster, which goes on from it", async () => {
  const old = await newCluster(["snapshotLogBytes=20000", "trailingEntries=5"]);
  old.startAll();
  const clerk = newClerk(old);
  const keys = Array.from({ length: 200 }, (_, i) => `key ${i}`);
  for (const key of keys) await clerk.put(key, `${key} `.repeat(30));
  await clerk.append("log", "before");
  for (const id of [0, 1, 2]) await old.stop(id, "SIGTERM");

  const directory = path.join(old.dataDir, "node1");
  const backup = path.join(old.dir, "store.backup");
  expect(await data("verify", directory)).toContain("good");
  expect(await data("list", directory)).toMatch(/snapshot/);
  expect(await data("export", directory, backup, "--through-log")).toContain("201 keys");

  const fresh = await newCluster([]);
  await data("import", backup, "-f", fresh.nodesFile, "--data-dir", fresh.dataDir);
  fresh.startAll();
  const second = newClerk(fresh);
  for (const key of keys) expect(await second.getString(key)).toBe(`${key} `.repeat(30));
  await second.append("log", ", after");
  expect(await second.getString("log")).toBe("before, after");

  // A node that lost its disk gets all of it.
  await fresh.stop(2, "SIGKILL");
  await rm(path.join(fresh.dataDir, "node2"), { recursive: true });
  const joining = fresh.start(2);
  await eventually("it votes", async () => joining.output.includes("node votes from now on"));
  await fresh.stop(0, "SIGKILL");
  expect(await second.getString("log")).toBe("before, after");
}, 60_000);

test("a directory that is in use, or holds something, is left alone", async () => {
  const cluster = await newCluster([]);
  cluster.startAll();
  await newClerk(cluster).put("key", "value");
  const directory = path.join(cluster.dataDir, "node0");
  const backup = path.join(cluster.dir, "store.backup");
  await expect(data("export", directory, backup, "--through-log")).rejects.toMatchObject({
    code: 77,
    stderr: expect.stringContaining(directory),
  });
  await cluster.stop(0, "SIGTERM");
  await data("export", directory, backup, "--through-log");
  const args = ["import", backup, "-f", cluster.nodesFile, "--data-dir", cluster.dataDir];
  await expect(data(...args)).rejects.toMatchObject({
    stderr: expect.stringContaining(`${directory} is not empty`),
  });
});
