import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { chmod, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { lockDirectory } from "../../../raft/persister/dirLock.js";
import { WalPersister } from "../../../raft/persister/walPersister.js";

const options = { nodeId: 1, segmentBytes: 4096 };
let path: string;

beforeEach(async () => {
  path = await mkdtemp(join(tmpdir(), "lock-"));
});
afterEach(async () => {
  await rm(path, { recursive: true });
});

const locks = async () => (await readdir(path)).filter((name) => name.startsWith("lock."));

/** Makes the lock file seem to be another process'. */
async function lockOf(change: (fields: string[]) => void): Promise<void> {
  const release = await lockDirectory(path);
  const fields = (await locks())[0]!.split(".");
  await release();
  change(fields);
  await writeFile(join(path, fields.join(".")), "");
}

async function otherProcess(): Promise<{ child: ChildProcess; started: string }> {
  const child = spawn(process.execPath, ["-e", "setInterval(() => {}, 1000)"]);
  await once(child, "spawn");
  const stat = await readFile(`/proc/${child.pid}/stat`, "latin1");
  return { child, started: stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19]! };
}

test("a second open is refused with the directory and the process that has it", async () => {
  const persister = await WalPersister.open(path, options);
  await expect(WalPersister.open(path, options)).rejects.toThrow(
    `the data directory is in use: process ${process.pid} has ${path} open`,
  );
  await persister.close();
  expect(await locks()).toEqual([]);
  await (await WalPersister.open(path, options)).close();
});

test("a process that is alive keeps its lock; once killed it does not", async () => {
  const { child, started } = await otherProcess();
  await lockOf((fields) => {
    fields[1] = String(child.pid);
    fields[2] = started;
  });
  await expect(lockDirectory(path)).rejects.toThrow(
    `the data directory is in use: process ${child.pid} has ${path} open`,
  );
  expect(await locks()).toHaveLength(1);
  child.kill("SIGKILL");
  await once(child, "exit");
  const release = await lockDirectory(path);
  expect(await locks()).toHaveLength(1);
  await release();
  expect(await locks()).toEqual([]);
});

test("a pid that another process has by now keeps nobody out", async () => {
  const { child } = await otherProcess();
  await lockOf((fields) => {
    fields[1] = String(child.pid);
    fields[2] = "1";
  });
  expect(await locks()).toHaveLength(1);
  await (
    await lockDirectory(path)
  )();
  child.kill("SIGKILL");
});

test("a lock from before the machine restarted keeps nobody out", async () => {
  await lockOf((fields) => {
    fields[3] = "0".repeat(32);
  });
  await (
    await lockDirectory(path)
  )();
  expect(await locks()).toEqual([]);
});

test("of many who come at once never two hold it", async () => {
  for (let round = 0; round < 20; round++) {
    const results = await Promise.allSettled(Array.from({ length: 8 }, () => lockDirectory(path)));
    const held = results.filter((result) => result.status === "fulfilled");
    expect(held.length).toBeLessThanOrEqual(1);
    for (const { value } of held) await value();
    expect(await locks()).toEqual([]);
  }
});

test("a path that is no directory, or can't be written, is a clear error", async () => {
  const file = join(path, "file");
  await writeFile(file, "");
  await expect(WalPersister.open(file, options)).rejects.toMatchObject({
    name: "StorageError",
    file,
  });
  // The superuser may write anywhere.
  if (process.getuid?.() === 0) return;
  await chmod(path, 0o500);
  await expect(WalPersister.open(path, options)).rejects.toMatchObject({ code: "UNUSABLE" });
  await chmod(path, 0o700);
});
