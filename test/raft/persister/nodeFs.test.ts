import { link, mkdtemp, readdir, readFile, readlink, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { nodeFs } from "../../../raft/persister/nodeFs.js";
import { eventually } from "../../eventually.js";

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(path.join(tmpdir(), "node-fs-"));
});
afterEach(async () => {
  await rm(dir, { recursive: true, force: true });
});

test("a directory is made with its parents, for its owner alone, and once", async () => {
  const wanted = path.join(dir, "a", "b", "c");
  await nodeFs.makeDirectory(wanted);
  await nodeFs.makeDirectory(wanted);
  expect((await stat(wanted)).mode & 0o777).toBe(0o700);
  expect((await stat(path.join(dir, "a"))).mode & 0o777).toBe(0o700);
});

test("a file in the way of a directory is named", async () => {
  const file = path.join(dir, "file");
  await writeFile(file, "kept");
  await expect(nodeFs.makeDirectory(file)).rejects.toMatchObject({ file });
  const below = path.join(file, "below");
  await expect(nodeFs.makeDirectory(below)).rejects.toMatchObject({ code: "UNUSABLE" });
  expect(await readdir(dir)).toEqual(["file"]);
});

test("of two who make the same parents at once both find them", async () => {
  const folders = ["x", "y", "z"].map((name) => path.join(dir, "p", "q", name));
  await Promise.all(folders.map((folder) => nodeFs.makeDirectory(folder)));
  expect((await readdir(path.join(dir, "p", "q"))).toSorted()).toEqual(["x", "y", "z"]);
});

test("what lies beyond 2 GiB is written and read where it belongs", async () => {
  const file = await nodeFs.open(path.join(dir, "large"), "create");
  const at = 5 * 2 ** 30 + 7;
  const bytes = Buffer.from("far behind");
  await file.write(bytes, at);
  file.writeSync(bytes, at + bytes.length);
  expect(await file.size()).toBe(at + 2 * bytes.length);
  const into = Buffer.alloc(100);
  expect(await file.read(into, at + 4)).toBe(2 * bytes.length - 4);
  expect(into.subarray(0, 16).toString()).toBe("behindfar behind");
  await file.close();
});

/** Too large to go at once. */
const largeBytes = 12 * 1024 * 1024;

async function writeLarge(): Promise<string> {
  const file = path.join(dir, "large");
  await writeFile(file, Buffer.alloc(largeBytes, 7));
  return file;
}

/** How often this process has a file open that has no name any more. */
async function removedButOpen(file: string): Promise<number> {
  const descriptors = await readdir("/proc/self/fd");
  const targets = await Promise.all(
    descriptors.map((fd) => readlink(`/proc/self/fd/${fd}`).catch(() => "")),
  );
  return targets.filter((target) => target === `${file} (deleted)`).length;
}

test("a large file's name goes at once, and its memory soon after", async () => {
  const file = await writeLarge();
  await nodeFs.unlink(file);
  expect(await readdir(dir)).toEqual([]);
  await eventually("it is given back", async () => (await removedButOpen(file)) === 0);
  await expect(nodeFs.unlink(file)).rejects.toMatchObject({ file });
});

test("whoever has a removed file open reads all of it", async () => {
  const file = await writeLarge();
  const readers = [await nodeFs.open(file, "read"), await nodeFs.open(file, "read")] as const;
  await readers[0].close();
  await nodeFs.unlink(file);
  await eventually("nobody else has it", async () => (await removedButOpen(file)) === 1);
  const bytes = new Uint8Array(largeBytes);
  expect(await readers[1].read(bytes, 0)).toBe(largeBytes);
  expect(bytes.every((byte) => byte === 7)).toBe(true);
  await readers[1].close();
});

test("a removed file stays whole under another name", async () => {
  const file = await writeLarge();
  const backup = path.join(dir, "backup");
  await link(file, backup);
  await nodeFs.unlink(file);
  await eventually("it is closed", async () => (await removedButOpen(file)) === 0);
  expect((await readFile(backup)).every((byte) => byte === 7)).toBe(true);
  expect((await stat(backup)).size).toBe(largeBytes);
});
