import { describe, expect, test, vi } from "vitest";
import type { StorageLog } from "../../../raft/persister/logRecovery.js";
import { MemoryDisk } from "./memoryDisk.js";
import {
  directory,
  entries,
  flip,
  open,
  readSnapshot,
  refusal,
  sameBytes,
  save,
  segmentPaths,
  writeSnapshot,
} from "./support.js";

const block = 64 * 1024;
const pathOf = (term: number, index: number) => `${directory}/snapshot-${term}-${index}`;
const snapshotPaths = (disk: MemoryDisk) =>
  disk.paths().filter((path) => path.includes("snapshot"));

/** Bytes with no period that a block could hide in. */
function pattern(size: number): Uint8Array {
  let x = 1;
  return Uint8Array.from({ length: size }, () => (x = (Math.imul(x, 48271) >>> 0) % 2147483647));
}

test.each([0, 1, 5, block - 1, block, block + 1, 3 * block + 7])(
  "a state of %i bytes is read as it was written, in any pieces",
  async (size) => {
    const disk = new MemoryDisk();
    const persister = await open(disk, { snapshotBufferBytes: 1000, snapshotSyncBytes: 50_000 });
    const state = pattern(size);
    const writer = await persister.createSnapshot({ index: 7, term: 2 }, "local");
    for (let at = 0; at < size; at += 30_011) await writer.write(state.slice(at, at + 30_011));
    expect(writer.size).toBe(size);
    await writer.commit();
    const reader = (await persister.openSnapshot())!;
    expect(reader.meta).toEqual({ index: 7, term: 2 });
    expect(reader.size).toBe(size);
    const whole = await reader.read(0, size + 100);
    expect(sameBytes(whole, state)).toBe(true);
    for (const [at, length] of [
      [0, 1],
      [size - 1, 10],
      [block - 2, 4],
      [block, block],
      [size, 5],
      [size + 9, 5],
    ] as const) {
      const part = await reader.read(Math.max(0, at), length);
      const expected = state.subarray(Math.max(0, at), Math.max(0, at) + length);
      expect(sameBytes(part, expected)).toBe(true);
    }
    await reader.close();
    await reader.close();
    await expect(reader.read(0, 1)).rejects.toMatchObject({ code: "CLOSED" });
    disk.crash(() => false);
    expect(await readSnapshot(await open(disk))).toEqual(state);
  },
);

test.each([
  { writeMs: 1, writes: "one for each small buffer", least: 64, most: 66 },
  { writeMs: 50, writes: "few", least: 9, most: 14 },
])("where a write takes $writeMs ms they are $writes", async ({ writeMs, least, most }) => {
  const disk = new MemoryDisk();
  const clock = { now: 0 };
  disk.fault = (operation) => {
    if (operation === "write") clock.now += writeMs;
    return null;
  };
  const persister = await open(disk, {
    now: () => clock.now,
    snapshotBufferBytes: 1024,
    snapshotBufferBytesMax: 8 * 1024,
    snapshotWriteMsMax: 10,
  });
  const state = pattern(block);
  disk.calls.length = 0;
  await writeSnapshot(persister, { index: 3, term: 1 }, state);
  const writes = disk.calls.filter((call) => call.startsWith(`write ${pathOf(1, 3)}`));
  expect(writes.length).toBeGreaterThanOrEqual(least);
  expect(writes.length).toBeLessThanOrEqual(most);
  expect(sameBytes(await readSnapshot(persister), state)).toBe(true);
});

describe("what is being written", () => {
  test("is seen only once it is committed", async () => {
    const persister = await open(new MemoryDisk());
    const writer = await persister.createSnapshot({ index: 3, term: 1 }, "local");
    await writer.write(pattern(100));
    expect(await persister.openSnapshot()).toBeNull();
    await writer.commit();
    expect(sameBytes(await readSnapshot(persister), pattern(100))).toBe(true);
  });

  test("may be one of each kind at a time", async () => {
    const persister = await open(new MemoryDisk());
    const local = await persister.createSnapshot({ index: 3, term: 1 }, "local");
    const received = await persister.createSnapshot({ index: 3, term: 1 }, "received");
    const second = persister.createSnapshot({ index: 4, term: 1 }, "local");
    await expect(second).rejects.toMatchObject({ code: "MISUSE" });
    await local.write(pattern(10));
    await received.write(pattern(20));
    await local.abort();
    await received.commit();
    expect(sameBytes(await readSnapshot(persister), pattern(20))).toBe(true);
    await writeSnapshot(persister, { index: 4, term: 1 });
  });

  test("goes away with abort, which may come at any time and twice", async () => {
    const disk = new MemoryDisk();
    const persister = await open(disk);
    const writer = await persister.createSnapshot({ index: 3, term: 1 }, "local");
    const written = writer.write(pattern(1_000_000));
    await Promise.all([writer.abort(), writer.abort(), written]);
    expect(snapshotPaths(disk)).toEqual([]);
    await expect(writer.write(pattern(1))).rejects.toMatchObject({ code: "MISUSE" });
    await expect(writer.commit()).rejects.toMatchObject({ code: "MISUSE" });
    await writeSnapshot(persister, { index: 3, term: 1 });
    await persister.close();
  });

  test("does not survive a restart unfinished", async () => {
    const disk = new MemoryDisk();
    const persister = await open(disk);
    const writer = await persister.createSnapshot({ index: 3, term: 1 }, "received");
    await writer.write(pattern(1_000_000));
    disk.kill();
    expect(snapshotPaths(disk)).toHaveLength(1);
    const again = await open(disk);
    expect(again.recovered.snapshot).toBeNull();
    expect(snapshotPaths(disk)).toEqual([]);
  });

  test("is dropped when the persister closes", async () => {
    const disk = new MemoryDisk();
    const persister = await open(disk);
    const writer = await persister.createSnapshot({ index: 3, term: 1 }, "local");
    await writer.write(pattern(10));
    await persister.close();
    expect(snapshotPaths(disk)).toEqual([]);
  });

  test("is not taken at an index that is none", async () => {
    const persister = await open(new MemoryDisk());
    for (const index of [0, -1, 1.5, Number.NaN]) {
      const creating = persister.createSnapshot({ index, term: 1 }, "local");
      await expect(creating).rejects.toMatchObject({ code: "MISUSE" });
    }
  });
});

describe("a newer one", () => {
  test("replaces the older one; those who read the older can go on", async () => {
    const disk = new MemoryDisk();
    const persister = await open(disk);
    await writeSnapshot(persister, { index: 3, term: 1 }, pattern(100_000));
    const reader = (await persister.openSnapshot())!;
    await writeSnapshot(persister, { index: 5, term: 1 });
    expect(snapshotPaths(disk)).toEqual([pathOf(1, 5)]);
    expect(sameBytes(await reader.read(0, 100_000), pattern(100_000))).toBe(true);
    await reader.close();
  });

  test("is not replaced by one that comes too late", async () => {
    const disk = new MemoryDisk();
    const persister = await open(disk);
    const late = await persister.createSnapshot({ index: 3, term: 1 }, "local");
    await late.write(pattern(10));
    await writeSnapshot(persister, { index: 5, term: 1 }, pattern(50), "received");
    await late.commit();
    expect(sameBytes(await readSnapshot(persister), pattern(50))).toBe(true);
    expect(snapshotPaths(disk)).toEqual([pathOf(1, 5)]);
  });

  test("removes the older one only when it has been read back", async () => {
    const disk = new MemoryDisk();
    const persister = await open(disk);
    await writeSnapshot(persister, { index: 3, term: 1 });
    const writer = await persister.createSnapshot({ index: 5, term: 1 }, "local");
    await writer.write(pattern(10));
    disk.calls.length = 0;
    await writer.commit();
    const steps = disk.calls.filter((call, at, all) => call !== all[at - 1]);
    expect(steps).toEqual([
      `write ${pathOf(1, 5)}.local.tmp`,
      `sync ${pathOf(1, 5)}.local.tmp`,
      `rename ${pathOf(1, 5)}.local.tmp`,
      `syncDirectory ${directory}`,
      `open ${pathOf(1, 5)}`,
      `read ${pathOf(1, 5)}`,
      `unlink ${pathOf(1, 3)}`,
      `syncDirectory ${directory}`,
    ]);
  });
});

test("a crash at any step of a commit leaves one whole snapshot and the log that fits it", async () => {
  for (let steps = 0; ; steps++) {
    const disk = new MemoryDisk();
    const persister = await open(disk);
    await save(persister, { entries: entries(1, 9) });
    await writeSnapshot(persister, { index: 4, term: 1 }, pattern(1000));
    let left = steps;
    disk.fault = () => (left-- > 0 ? null : "EIO");
    const done = await writeSnapshot(persister, { index: 8, term: 1 }, pattern(2000))
      .then(() => persister.compact({ index: 8, term: 1 }, 8))
      .then(
        () => left >= 0,
        () => false,
      );
    disk.fault = () => null;
    let chance = steps;
    disk.crash(() => chance++ % 3 !== 0);
    const again = await open(disk);
    const { snapshot } = again.recovered;
    expect(sameBytes(await readSnapshot(again), pattern(snapshot!.index === 8 ? 2000 : 1000))).toBe(
      true,
    );
    expect(done ? [8] : [4, 8]).toContain(snapshot!.index);
    expect(again.recovered.entries).toEqual(entries(1, 9));
    expect(snapshotPaths(disk)).toHaveLength(1);
    await again.close();
    if (done) return;
    if (steps > 100) throw new Error("committing takes too many steps");
  }
});

async function withSnapshot(): Promise<MemoryDisk> {
  const disk = new MemoryDisk();
  const persister = await open(disk);
  await save(persister, { entries: entries(1, 9) });
  await writeSnapshot(persister, { index: 4, term: 1 }, pattern(2 * block + 100));
  await persister.close();
  return disk;
}

describe("damage", () => {
  test("of a bit anywhere is found when it is read, and names the block", async () => {
    const disk = await withSnapshot();
    const persister = await open(disk);
    const whole = disk.contents(pathOf(1, 4));
    const reader = (await persister.openSnapshot())!;
    const bad = whole.slice();
    flip(bad, 64 + block + 5, 4);
    disk.replace(pathOf(1, 4), bad);
    await expect(reader.read(block, 10)).rejects.toMatchObject({
      code: "DAMAGED",
      file: pathOf(1, 4),
      offset: 64 + block,
    });
    expect(sameBytes(await reader.read(0, 100), pattern(100))).toBe(true);
    for (const at of [0, 9, 20, 40, 62, whole.length - 1, whole.length - 33, whole.length - 30]) {
      const other = whole.slice();
      flip(other, at, 1);
      disk.replace(pathOf(1, 4), other);
      await expect(persister.openSnapshot()).rejects.toMatchObject({ code: "DAMAGED" });
    }
    for (const length of [0, 10, 63, 70, block, whole.length - 1]) {
      disk.replace(pathOf(1, 4), whole.subarray(0, length));
      await expect(persister.openSnapshot()).rejects.toMatchObject({ code: "DAMAGED" });
    }
  });

  test("does without it when the log has everything", async () => {
    const disk = await withSnapshot();
    const bad = disk.contents(pathOf(1, 4));
    flip(bad, 1000, 1);
    disk.replace(pathOf(1, 4), bad);
    const log = vi.fn<StorageLog>();
    const persister = await open(disk, { log });
    expect(persister.recovered.snapshot).toBeNull();
    expect(persister.recovered.entries).toEqual(entries(1, 9));
    expect(log).toHaveBeenCalledOnce();
    expect(snapshotPaths(disk)).toEqual([`${pathOf(1, 4)}.broken`]);
  });

  test("refuses when the log does not reach back, or not far enough on", async () => {
    const disk = new MemoryDisk();
    const persister = await open(disk);
    const long = entries(1, 200).map((one) => ({ ...one, command: new Uint8Array(200) }));
    for (const one of long) await save(persister, { entries: [one] });
    await writeSnapshot(persister, { index: 150, term: 1 });
    await persister.compact({ index: 150, term: 1 }, 150);
    await persister.close();
    const bad = disk.contents(pathOf(1, 150));
    flip(bad, 70, 1);
    disk.replace(pathOf(1, 150), bad);
    expect(await refusal(disk)).toMatchObject({ code: "DAMAGED", file: pathOf(1, 150) });

    const other = new MemoryDisk();
    const second = await open(other);
    await save(second, { entries: entries(1, 9) });
    await writeSnapshot(second, { index: 20, term: 1 }, undefined, "received");
    other.kill();
    const worse = other.contents(pathOf(1, 20));
    flip(worse, 70, 1);
    other.replace(pathOf(1, 20), worse);
    expect(await refusal(other)).toMatchObject({ code: "DAMAGED", file: pathOf(1, 20) });
  });

  test("falls back to an older whole one that the log goes on from", async () => {
    const disk = await withSnapshot();
    const older = disk.contents(pathOf(1, 4));
    const persister = await open(disk);
    await writeSnapshot(persister, { index: 8, term: 1 });
    await persister.close();
    // As after a crash before the older one was removed.
    disk.replace(pathOf(1, 4), older);
    const bad = disk.contents(pathOf(1, 8));
    flip(bad, 70, 1);
    disk.replace(pathOf(1, 8), bad);
    const again = await open(disk);
    expect(again.recovered.snapshot).toEqual({ index: 4, term: 1 });
    expect(again.recovered.entries).toEqual(entries(1, 9));
    expect(sameBytes(await readSnapshot(again), pattern(2 * block + 100))).toBe(true);
  });

  test("one of another directory, or under another name, is told apart", async () => {
    const disk = await withSnapshot();
    const other = await withSnapshot();
    const whole = disk.contents(pathOf(1, 4));
    disk.replace(pathOf(1, 4), other.contents(pathOf(1, 4)));
    expect(await refusal(disk)).toMatchObject({ code: "FOREIGN", file: pathOf(1, 4) });
    disk.replace(pathOf(1, 4), whole);
    disk.replace(pathOf(1, 5), whole);
    disk.kill();
    expect(await refusal(disk)).toMatchObject({ code: "FOREIGN", file: pathOf(1, 5) });
    expect(segmentPaths(disk)).toHaveLength(1);
  });
});
