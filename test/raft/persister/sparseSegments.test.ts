import { mkdtemp, readdir, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { nodeFs } from "../../../raft/persister/nodeFs.js";
import { WalPersister } from "../../../raft/persister/walPersister.js";
import { entry, save } from "./support.js";

const segmentBytes = 1024 * 1024;
const blockBytes = 512;

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "sparse-"));
});
afterEach(async () => {
  await rm(dir, { recursive: true, force: true });
});

function open(options: object = {}): Promise<WalPersister> {
  return WalPersister.open(dir, { nodeId: 1, segmentBytes, filledBatchBytesMax: 8192, ...options });
}

/** Entries of so many bytes, each in a batch of its own; over two segments at least. */
async function fill(persister: WalPersister, commandBytes: number): Promise<number> {
  const count = Math.ceil((2.8 * segmentBytes) / commandBytes);
  for (let index = 1; index <= count; index++) {
    const command = new Uint8Array(commandBytes).fill(index);
    await save(persister, { entries: [entry(index, 1, command)] });
  }
  return count;
}

/** Of the newest segment: what it holds on disk, and its size. */
async function newest(): Promise<{ held: number; size: number }> {
  const names = (await readdir(dir)).filter((name) => /^wal-\d+\.log$/.test(name)).toSorted();
  const { blocks, size } = await stat(join(dir, names.at(-1)!));
  return { held: blocks * blockBytes, size };
}

test("with large batches the next segment is not filled, and the log is found all the same", async () => {
  const persister = await open();
  const count = await fill(persister, 60_000);
  await persister.close();
  const { held, size } = await newest();
  expect(size).toBe(segmentBytes);
  expect(held).toBeLessThan(segmentBytes / 2);

  const again = await open();
  const { entries } = again.recovered;
  expect(entries.map(({ index }) => index)).toEqual(Array.from({ length: count }, (_, i) => i + 1));
  for (const { index, command } of entries)
    expect(Buffer.compare(command, new Uint8Array(60_000).fill(index))).toBe(0);
  await again.close();
});

test("with small batches it is filled", async () => {
  const persister = await open();
  await fill(persister, 4_000);
  await persister.close();
  expect((await newest()).held).toBeGreaterThanOrEqual(segmentBytes);
});

test("near a full disk it is filled whatever comes", async () => {
  const diskReserveBytes = 64 * segmentBytes;
  const fs = { ...nodeFs, freeBytes: () => Promise.resolve(2 * diskReserveBytes) };
  const persister = await open({ fs, diskReserveBytes });
  await fill(persister, 60_000);
  await persister.close();
  expect((await newest()).held).toBeGreaterThanOrEqual(segmentBytes);
});
