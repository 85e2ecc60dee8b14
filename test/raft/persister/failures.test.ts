/** A failed write or sync is final: what the disk holds after it is unknown. */
import { describe, expect, test, vi } from "vitest";
import { StorageError } from "../../../raft/persister/storageError.js";
import type { WalPersister } from "../../../raft/persister/walPersister.js";
import { MemoryDisk, type Operation } from "./memoryDisk.js";
import { entries, entry, open, save, segmentPath, writeSnapshot } from "./support.js";

const big = (index: number) => entry(index, 1, new Uint8Array(1000).fill(index));

function failOnce(disk: MemoryDisk, operation: Operation, code: string, in_ = ".log"): void {
  let failed = false;
  disk.fault = (called, path) => {
    if (failed || called !== operation || !path.includes(in_)) return null;
    failed = true;
    return code;
  };
}

async function expectEnded(persister: WalPersister, error: Error): Promise<void> {
  expect(() => persister.save({ hardState: null, entries: [] }, () => {})).toThrow(error);
  const meta = { index: 1, term: 1 };
  await expect(persister.openSnapshot()).rejects.toBe(error);
  await expect(persister.createSnapshot(meta, "local")).rejects.toBe(error);
  await expect(persister.compact(meta, 1)).rejects.toBe(error);
  await expect(persister.resetLog(meta)).rejects.toBe(error);
  await persister.close();
}

describe.each([true, false])("with a sync that the event loop waits for: %s", (waits) => {
  const syncPolicy = { waits: () => waits, observe: () => {} };

  test.each([
    ["write", "ENOSPC", "DISK_FULL"],
    ["write", "EIO", "IO"],
    ["sync", "EIO", "IO"],
  ] as const)("a %s that fails with %s", async (operation, errno, code) => {
    const disk = new MemoryDisk();
    const persister = await open(disk, { syncPolicy });
    await save(persister, { entries: entries(1, 3) });
    const onFailure = vi.fn<(error: Error) => void>();
    const onDurable = vi.fn<() => void>();
    persister.onFailure = onFailure;
    failOnce(disk, operation, errno);
    disk.calls.length = 0;
    persister.save({ hardState: null, entries: [entry(4)] }, onDurable);
    persister.save({ hardState: { term: 2, votedFor: 1 }, entries: [] }, onDurable);
    await vi.waitFor(() => expect(onFailure).toHaveBeenCalledOnce());
    const [error] = onFailure.mock.calls.at(0)!;
    expect(error).toBeInstanceOf(StorageError);
    expect(error).toMatchObject({ code, file: segmentPath(1) });
    await expectEnded(persister, error);
    expect(onDurable).not.toHaveBeenCalled();
    expect(onFailure).toHaveBeenCalledOnce();
    const tried = disk.calls.filter((call) => call.startsWith(operation));
    expect(tried, "never tried again").toHaveLength(1);
    // The operator restarts it: what was acknowledged is there.
    disk.crash(() => false);
    expect((await open(disk)).recovered.entries).toEqual(entries(1, 3));
  });

  test("what gathered behind a failed sync is not acknowledged either", async () => {
    const disk = new MemoryDisk();
    const persister = await open(disk, { syncPolicy });
    persister.onFailure = vi.fn<(error: Error) => void>();
    failOnce(disk, "sync", "EIO");
    const onDurable = vi.fn<() => void>();
    disk.defer = (task) => {
      persister.save({ hardState: null, entries: [entry(2)] }, onDurable);
      setImmediate(task);
    };
    persister.save({ hardState: null, entries: [entry(1)] }, onDurable);
    await vi.waitFor(() => expect(persister.onFailure).toHaveBeenCalled());
    await persister.close();
    expect(onDurable).not.toHaveBeenCalled();
  });
});

test("a resetLog on its way is rejected", async () => {
  const disk = new MemoryDisk();
  const persister = await open(disk);
  await writeSnapshot(persister, { index: 5, term: 1 }, undefined, "received");
  failOnce(disk, "sync", "EIO");
  await expect(persister.resetLog({ index: 5, term: 1 })).rejects.toMatchObject({ code: "IO" });
  await persister.close();
});

test("a next segment that can't be made ends it, and close gives everything back", async () => {
  const disk = new MemoryDisk();
  const fs = disk.mount();
  const persister = await open(disk, { fs });
  const onFailure = vi.fn<(error: Error) => void>();
  persister.onFailure = onFailure;
  failOnce(disk, "write", "ENOSPC", ".log.tmp");
  persister.save({ hardState: null, entries: [big(1), big(2), big(3)] }, () => {});
  await vi.waitFor(() => expect(onFailure).toHaveBeenCalledOnce());
  expect(onFailure.mock.calls.at(0)!.at(0)).toMatchObject({ code: "DISK_FULL" });
  await persister.close();
  disk.fault = () => null;
  const again = await open(disk, { fs });
  await again.close();
  expect(disk.paths().filter((path) => path.endsWith(".tmp"))).toEqual([]);
});

test("what is on its way when something else fails is not acknowledged", async () => {
  const disk = new MemoryDisk();
  const persister = await open(disk, { syncPolicy: { waits: () => false, observe: () => {} } });
  const onFailure = vi.fn<(error: Error) => void>();
  const onDurable = vi.fn<() => void>();
  persister.onFailure = onFailure;
  const log: (() => void)[] = [];
  const nextSegment: (() => void)[] = [];
  disk.defer = (task, path) => (path.endsWith(".tmp") ? nextSegment : log).push(task);
  failOnce(disk, "rename", "EIO", ".log.tmp");
  persister.save({ hardState: null, entries: [big(1), big(2), big(3)] }, onDurable);
  await vi.waitFor(() => expect([log.length, nextSegment.length]).toEqual([1, 1]));
  persister.save({ hardState: null, entries: [entry(4)] }, onDurable);
  disk.calls.length = 0;
  nextSegment[0]?.();
  await vi.waitFor(() => expect(onFailure).toHaveBeenCalledOnce());
  log[0]?.();
  await new Promise(setImmediate);
  await persister.close();
  expect(onDurable).not.toHaveBeenCalled();
  expect(disk.calls.filter((call) => call.startsWith("write"))).toEqual([]);
});

test.each(["write", "sync", "rename", "syncDirectory", "read"] as const)(
  "a snapshot whose %s fails ends it; the older one stays",
  async (operation) => {
    const disk = new MemoryDisk();
    const persister = await open(disk);
    const onFailure = vi.fn<(error: Error) => void>();
    persister.onFailure = onFailure;
    await save(persister, { entries: entries(1, 9) });
    await writeSnapshot(persister, { index: 4, term: 1 });
    const writer = await persister.createSnapshot({ index: 8, term: 1 }, "local");
    await writer.write(new Uint8Array(10));
    failOnce(disk, operation, "EIO", "data");
    await expect(writer.commit()).rejects.toMatchObject({ code: "IO" });
    expect(onFailure).toHaveBeenCalledOnce();
    await writer.abort();
    await writer.abort();
    await persister.close();
    disk.crash(() => false);
    const { recovered } = await open(disk);
    expect([4, 8]).toContain(recovered.snapshot!.index);
    expect(recovered.entries).toEqual(entries(1, 9));
  },
);

test("a callback that throws ends it: its owner is in no known state", async () => {
  const persister = await open(new MemoryDisk());
  const onFailure = vi.fn<(error: Error) => void>();
  persister.onFailure = onFailure;
  persister.save({ hardState: null, entries: [entry(1)] }, () => {
    throw new Error("thrown");
  });
  await vi.waitFor(() => expect(onFailure).toHaveBeenCalledOnce());
  expect(onFailure.mock.calls.at(0)!.at(0)).toMatchObject({
    code: "MISUSE",
    cause: { message: "thrown" },
  });
  await persister.close();
});
