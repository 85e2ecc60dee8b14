import { mkdtemp, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { WalPersister } from "../../../raft/persister/walPersister.js";
import { MemoryDisk } from "./memoryDisk.js";
import {
  directory,
  entries,
  entry,
  open,
  outline,
  recordsOf,
  refusal,
  save,
  segmentBytes,
  segmentPaths,
  writeSnapshot,
} from "./support.js";

const big = (index: number, term = 1) => entry(index, term, new Uint8Array(1000).fill(index));

describe("what was saved", () => {
  test("is there again: term, vote, and every byte of the log", async () => {
    const disk = new MemoryDisk();
    const saved = [
      entry(1, 1, ""),
      entry(2, 1, Uint8Array.of(0, 255, 32, 0)),
      entry(3, 7, new Uint8Array(3000).fill(3)),
    ];
    const first = await open(disk);
    expect(first.recovered).toEqual({
      hardState: { term: 0, votedFor: -1 },
      snapshot: null,
      entries: [],
    });
    await save(first, { hardState: { term: 7, votedFor: 2 }, entries: saved });
    disk.crash(() => false);
    const second = await open(disk);
    expect(second.recovered).toEqual({
      hardState: { term: 7, votedFor: 2 },
      snapshot: null,
      entries: saved,
    });
    await save(second, { hardState: { term: 2 ** 40, votedFor: -1 }, entries: [entry(4, 8)] });
    await second.close();
    const third = await open(disk);
    expect(third.recovered.hardState).toEqual({ term: 2 ** 40, votedFor: -1 });
    expect(third.recovered.entries).toEqual([...saved, entry(4, 8)]);
  });

  test("on the real file system", async () => {
    const folder = await mkdtemp(join(tmpdir(), "wal-"));
    onTestFinished(() => rm(folder, { recursive: true }));
    const path = join(folder, "a", "b");
    const options = { nodeId: 1, segmentBytes: 8192 };
    const first = await WalPersister.open(path, options);
    const saved = Array.from({ length: 40 }, (_, i) => big(i + 1));
    for (const one of saved) await save(first, { entries: [one] });
    await writeSnapshot(first, { index: 20, term: 1 });
    await first.compact({ index: 20, term: 1 }, 20);
    await first.close();
    const second = await WalPersister.open(path, options);
    const { recovered } = second;
    expect(recovered.snapshot).toEqual({ index: 20, term: 1 });
    const kept = recovered.entries;
    expect(kept.at(0)!.index).toBeLessThanOrEqual(21);
    expect(kept).toEqual(saved.slice(kept.at(0)!.index - 1));
    await second.close();
  });

  test("entries do not depend on the caller's memory", async () => {
    const disk = new MemoryDisk();
    const persister = await open(disk);
    const command = new Uint8Array([1, 2, 3]);
    const durable = save(persister, { entries: [{ index: 1, term: 1, command }] });
    command.fill(9);
    await durable;
    disk.kill();
    const { recovered } = await open(disk);
    expect(recovered.entries.at(0)!.command).toEqual(Uint8Array.of(1, 2, 3));
  });
});

describe("group commit", () => {
  test("what comes in one turn shares a write and a sync", async () => {
    const disk = new MemoryDisk();
    const persister = await open(disk);
    disk.calls.length = 0;
    const all = entries(1, 100).map((one) => save(persister, { entries: [one] }));
    expect(disk.calls).toEqual([]);
    await Promise.all(all);
    expect(disk.calls.map((call) => call.replace(/ .*/, ""))).toEqual(["write", "sync"]);
  });

  test("what is much is synced in parts, each followed by what was saved with it", async () => {
    const disk = new MemoryDisk();
    const persister = await open(disk, { segmentBytes: 1 << 20, batchBytesMax: 1000 });
    disk.calls.length = 0;
    const value = new Uint8Array(400);
    const syncsAt: number[] = [];
    const all = [1, 2, 3, 4, 5, 6, 7].map(async (index) => {
      await save(persister, { entries: [entry(index, 1, value)] });
      syncsAt.push(disk.calls.filter((call) => call.startsWith("sync ")).length);
    });
    await Promise.all(all);
    expect(syncsAt).toEqual([1, 1, 1, 2, 2, 2, 3]);
    await persister.close();
    const { recovered } = await open(disk);
    expect(recovered.entries).toHaveLength(7);
  });

  test("callbacks run in order, after the sync, never within save", async () => {
    const disk = new MemoryDisk();
    for (const waits of [true, false]) {
      const persister = await open(disk, {
        syncPolicy: { waits: () => waits, observe: () => {} },
      });
      const order: number[] = [];
      const from = persister.recovered.entries.length + 1;
      await new Promise<void>((resolve) => {
        for (let i = 0; i < 3; i++) {
          persister.save({ hardState: null, entries: [entry(from + i)] }, () => {
            expect(disk.calls.at(-1)).toMatch(/^sync /);
            order.push(i);
            if (i === 2) resolve();
          });
          expect(order).toEqual([]);
        }
      });
      expect(order).toEqual([0, 1, 2]);
      await persister.close();
    }
  });

  test("what comes while a sync runs gathers for the next", async () => {
    const disk = new MemoryDisk();
    // Time stands still, so that no mark of what is synced is due.
    const syncPolicy = { waits: () => false, observe: () => {} };
    const persister = await open(disk, { syncPolicy, now: () => 0 });
    const held: (() => void)[] = [];
    disk.defer = (task) => held.push(task);
    const first = save(persister, { entries: [entry(1)] });
    await expect.poll(() => held.length).toBe(1);
    disk.calls.length = 0;
    const later = entries(2, 50).map((one) => save(persister, { entries: [one] }));
    expect(disk.calls).toEqual([]);
    held.shift()!();
    await first;
    await expect.poll(() => held.length).toBe(1);
    held.shift()!();
    await Promise.all(later);
    expect(disk.calls.map((call) => call.replace(/ .*/, ""))).toEqual(["sync", "write", "sync"]);
  });

  test("a sync that hangs shows, though the next segment is made meanwhile", async () => {
    const disk = new MemoryDisk();
    const persister = await open(disk, { syncPolicy: { waits: () => false, observe: () => {} } });
    const hanging: (() => void)[] = [];
    disk.defer = (task, path) => {
      if (path.endsWith(".tmp")) setImmediate(task);
      else hanging.push(task);
    };
    const before = persister.diskSteps;
    const saved = save(persister, { entries: [big(1), big(2), big(3)] });
    await expect.poll(() => segmentPaths(disk).length).toBe(2);
    expect(persister.diskSteps).toBe(before);
    for (const sync of hanging) sync();
    await saved;
    expect(persister.diskSteps).toBeGreaterThan(before);
  });

  test("an empty batch waits for those before it, and costs no sync of its own", async () => {
    const disk = new MemoryDisk();
    const persister = await open(disk);
    const order: string[] = [];
    const saved = save(persister, { entries: [entry(1)] }).then(() => order.push("entry"));
    await save(persister, {}).then(() => order.push("empty"));
    await saved;
    expect(order).toEqual(["entry", "empty"]);
    disk.calls.length = 0;
    await save(persister, {});
    expect(disk.calls).toEqual([]);
  });
});

describe("segments", () => {
  test("the log goes on in the next one, across many", async () => {
    const disk = new MemoryDisk();
    const persister = await open(disk);
    const saved = Array.from({ length: 50 }, (_, i) => big(i + 1, 1 + (i >> 3)));
    for (let i = 0; i < 50; i += 5) await save(persister, { entries: saved.slice(i, i + 5) });
    expect(segmentPaths(disk).length).toBeGreaterThan(10);
    disk.crash(() => false);
    const { recovered } = await open(disk);
    expect(recovered.entries).toEqual(saved);
  });

  test("one turn that fills several segments", async () => {
    const disk = new MemoryDisk();
    const persister = await open(disk);
    const saved = Array.from({ length: 30 }, (_, i) => big(i + 1));
    await save(persister, { entries: saved });
    disk.crash(() => false);
    expect((await open(disk)).recovered.entries).toEqual(saved);
  });

  test("an entry that is larger than a segment", async () => {
    const disk = new MemoryDisk();
    const persister = await open(disk);
    const saved = [big(1), entry(2, 1, new Uint8Array(20_000).fill(2)), big(3), big(4)];
    for (const one of saved) await save(persister, { entries: [one] });
    disk.crash(() => false);
    expect((await open(disk)).recovered.entries).toEqual(saved);
  });

  test("the next one is made before it is needed", async () => {
    const disk = new MemoryDisk();
    const persister = await open(disk);
    expect(segmentPaths(disk)).toHaveLength(1);
    await save(persister, { entries: [big(1), big(2), big(3)] });
    await expect.poll(() => segmentPaths(disk).length).toBe(2);
    disk.calls.length = 0;
    await save(persister, { entries: [big(4)] });
    expect(disk.calls.filter((call) => /^(open|rename)/.test(call))).toEqual([]);
    disk.crash(() => false);
    expect((await open(disk)).recovered.entries).toHaveLength(4);
  });

  test("one that was made beforehand and not used yet is used after a restart", async () => {
    const disk = new MemoryDisk();
    const persister = await open(disk);
    await save(persister, { entries: [big(1), big(2), big(3)] });
    await expect.poll(() => segmentPaths(disk).length).toBe(2);
    disk.crash(() => false);
    const again = await open(disk);
    await save(again, { entries: [big(4)] });
    await again.close();
    expect(segmentPaths(disk)).toHaveLength(2);
    expect((await open(disk)).recovered.entries).toHaveLength(4);
  });

  test("its zeros are synced step by step: a sync of the log never stands behind all of them", async () => {
    const disk = new MemoryDisk();
    await open(disk, { segmentBytes: 1 << 21 });
    const made = disk.calls.filter((call) => call.includes("0001.log.tmp"));
    const kinds = made.map((call) => call.replace(/ .*/, "")).join(" ");
    expect(kinds).toMatch(/^open (write sync ){3}write write sync rename/);
  });

  test("every byte of a new one was written: none of it is a hole", async () => {
    const path = await mkdtemp(join(tmpdir(), "wal-"));
    const persister = await WalPersister.open(path, { nodeId: 1, segmentBytes: 1 << 20 });
    const { blocks, size } = await stat(join(path, "wal-0000000000000001.log"));
    expect(size).toBe(1 << 20);
    expect(blocks * 512).toBeGreaterThanOrEqual(1 << 20);
    await persister.close();
    await rm(path, { recursive: true });
  });
});

describe("truncation", () => {
  test("an entry in place of another removes it and all after it (Raft §5.3)", async () => {
    const disk = new MemoryDisk();
    const persister = await open(disk);
    await save(persister, { entries: entries(1, 5) });
    await save(persister, { entries: [entry(3, 2, "new"), entry(4, 2)] });
    disk.crash(() => false);
    const again = await open(disk);
    expect(outline(again.recovered.entries)).toBe("1@1 2@1 3@2 4@2");
    await save(again, { entries: [entry(1, 3)] });
    disk.crash(() => false);
    expect(outline((await open(disk)).recovered.entries)).toBe("1@3");
  });

  test("in the same turn as what it replaces", async () => {
    const disk = new MemoryDisk();
    const persister = await open(disk);
    void save(persister, { entries: entries(1, 5) });
    await save(persister, { entries: [entry(2, 1, "again"), entry(3, 2)] });
    disk.crash(() => false);
    const { recovered } = await open(disk);
    expect(recovered.entries).toEqual([entry(1), entry(2, 1, "again"), entry(3, 2)]);
  });

  test("across segments", async () => {
    const disk = new MemoryDisk();
    const persister = await open(disk);
    await save(persister, { entries: Array.from({ length: 20 }, (_, i) => big(i + 1)) });
    await save(persister, { entries: [big(2, 2)] });
    disk.crash(() => false);
    expect(outline((await open(disk)).recovered.entries)).toBe("1@1 2@2");
  });
});

async function filled(disk: MemoryDisk): Promise<WalPersister> {
  const persister = await open(disk);
  await save(persister, { hardState: { term: 5, votedFor: 0 } });
  for (let i = 1; i <= 30; i++) await save(persister, { entries: [big(i)] });
  return persister;
}

describe("compaction", () => {
  test("deletes whole segments, keeps the rest, and term and vote survive", async () => {
    const disk = new MemoryDisk();
    const persister = await filled(disk);
    const before = segmentPaths(disk).length;
    await writeSnapshot(persister, { index: 25, term: 1 });
    await persister.compact({ index: 25, term: 1 }, 20);
    expect(segmentPaths(disk).length).toBeLessThan(before - 4);
    disk.crash(() => false);
    const { recovered } = await open(disk);
    expect(recovered.hardState).toEqual({ term: 5, votedFor: 0 });
    expect(recovered.snapshot).toEqual({ index: 25, term: 1 });
    const first = recovered.entries.at(0)!.index;
    expect(first).toBeGreaterThan(16);
    expect(first).toBeLessThanOrEqual(21);
    expect(recovered.entries.at(-1)!.index).toBe(30);
  });

  test("a log that is compacted to its very end goes on", async () => {
    const disk = new MemoryDisk();
    const persister = await filled(disk);
    await writeSnapshot(persister, { index: 30, term: 1 });
    await persister.compact({ index: 30, term: 1 }, 30);
    await save(persister, { entries: [big(31)] });
    await persister.close();
    const again = await open(disk);
    expect(again.recovered.entries.at(-1)).toEqual(big(31));
    expect(again.recovered.snapshot).toEqual({ index: 30, term: 1 });
  });

  test("never takes the segment that is written to, right after a restart either", async () => {
    const disk = new MemoryDisk();
    await (await filled(disk)).close();
    const persister = await open(disk);
    await writeSnapshot(persister, { index: 30, term: 1 });
    await persister.compact({ index: 30, term: 1 }, 30);
    disk.crash(() => false);
    const again = await open(disk);
    expect(again.recovered.hardState).toEqual({ term: 5, votedFor: 0 });
    await save(again, { entries: [big(31)] });
    await again.close();
    expect((await open(disk)).recovered.entries.at(-1)).toEqual(big(31));
  });

  test("is refused before its snapshot is committed", async () => {
    const disk = new MemoryDisk();
    const persister = await filled(disk);
    await expect(persister.compact({ index: 25, term: 1 }, 20)).rejects.toMatchObject({
      code: "MISUSE",
    });
    expect(persister.logBytes).toBeGreaterThan(30_000);
  });

  test("logBytes counts what was not compacted, and truncation takes back", async () => {
    const disk = new MemoryDisk();
    const persister = await open(disk);
    expect(persister.logBytes).toBe(0);
    await save(persister, { entries: Array.from({ length: 10 }, (_, i) => big(i + 1)) });
    const ten = persister.logBytes;
    expect(ten).toBeGreaterThanOrEqual(10_000);
    expect(ten).toBeLessThan(11_000);
    await save(persister, { entries: [big(6, 2)] });
    expect(persister.logBytes).toBeLessThan(0.7 * ten);
    await writeSnapshot(persister, { index: 5, term: 1 });
    await persister.compact({ index: 5, term: 1 }, 5);
    expect(persister.logBytes).toBeLessThan(1100);
    expect(persister.logBytes).toBeGreaterThan(999);
    await persister.close();
    expect((await open(disk)).logBytes).toBeGreaterThan(999);
  });

  test("lets go of recovered entries", async () => {
    const disk = new MemoryDisk();
    await (await filled(disk)).close();
    const persister = await open(disk);
    expect(persister.recovered.entries).toHaveLength(30);
    await writeSnapshot(persister, { index: 25, term: 1 });
    await persister.compact({ index: 25, term: 1 }, 20);
    expect(persister.recovered.entries).toHaveLength(10);
  });
});

describe("resetLog", () => {
  test("the log goes on after the snapshot, and what was before is gone", async () => {
    const disk = new MemoryDisk();
    const persister = await open(disk);
    await save(persister, { hardState: { term: 3, votedFor: 1 }, entries: entries(1, 60) });
    await writeSnapshot(persister, { index: 100, term: 3 }, undefined, "received");
    const reset = persister.resetLog({ index: 100, term: 3 });
    const saved = save(persister, { entries: [entry(101, 3)] });
    await reset;
    await saved;
    expect(persister.logBytes).toBeLessThan(60);
    disk.crash(() => false);
    const { recovered } = await open(disk);
    expect(recovered).toEqual({
      hardState: { term: 3, votedFor: 1 },
      snapshot: { index: 100, term: 3 },
      entries: [entry(101, 3)],
    });
  });

  test("keeps its place in the order of save", async () => {
    const disk = new MemoryDisk();
    const persister = await open(disk);
    await writeSnapshot(persister, { index: 10, term: 2 }, undefined, "received");
    void save(persister, { entries: entries(1, 5) });
    const reset = persister.resetLog({ index: 10, term: 2 });
    expect(() => persister.save({ hardState: null, entries: [entry(12, 2)] }, () => {})).toThrow(
      /entry 12 does not follow entry 10/,
    );
    await reset;
    await persister.close();
    expect((await open(disk)).recovered.entries).toEqual([]);
  });

  test("deletes the segments before it", async () => {
    const disk = new MemoryDisk();
    const persister = await open(disk);
    for (let i = 1; i <= 30; i++) await save(persister, { entries: [big(i)] });
    await writeSnapshot(persister, { index: 100, term: 3 }, undefined, "received");
    await persister.resetLog({ index: 100, term: 3 });
    expect(segmentPaths(disk).length).toBeLessThanOrEqual(2);
    await persister.close();
    expect((await open(disk)).recovered.snapshot).toEqual({ index: 100, term: 3 });
  });
});

describe("the caller", () => {
  test("may not leave a gap, nor save what no log can hold", async () => {
    const persister = await open(new MemoryDisk(), { recordBytesMax: 10_000 });
    const attempt = (batch: Parameters<WalPersister["save"]>[0]) => () =>
      persister.save(batch, () => {});
    const misuse = /the persister was used wrongly/;
    expect(attempt({ hardState: null, entries: [entry(2)] })).toThrow(misuse);
    expect(attempt({ hardState: null, entries: [entry(0)] })).toThrow(misuse);
    expect(attempt({ hardState: null, entries: [entry(1), entry(3)] })).toThrow(misuse);
    expect(attempt({ hardState: null, entries: [entry(1, 0.5)] })).toThrow(misuse);
    expect(attempt({ hardState: { term: 2 ** 53, votedFor: 0 }, entries: [] })).toThrow(misuse);
    expect(attempt({ hardState: { term: 1, votedFor: -2 }, entries: [] })).toThrow(misuse);
    const huge = entry(1, 1, new Uint8Array(10_000));
    expect(attempt({ hardState: null, entries: [huge] })).toThrow(misuse);
    await save(persister, { entries: [entry(1)] });
  });

  test("gets an error after close, and close may come twice", async () => {
    const disk = new MemoryDisk();
    const persister = await open(disk);
    const saved = save(persister, { entries: [entry(1)] });
    const closed = persister.close();
    const wasClosed = { code: "CLOSED" };
    expect(() => persister.save({ hardState: null, entries: [] }, () => {})).toThrow(
      /the persister is closed/,
    );
    await saved;
    await Promise.all([closed, persister.close()]);
    await expect(persister.openSnapshot()).rejects.toMatchObject(wasClosed);
    await expect(persister.createSnapshot({ index: 1, term: 1 }, "local")).rejects.toMatchObject(
      wasClosed,
    );
    await expect(persister.resetLog({ index: 1, term: 1 })).rejects.toMatchObject(wasClosed);
    expect((await open(disk)).recovered.entries).toHaveLength(1);
  });

  test("finds the directory locked while it is open", async () => {
    const disk = new MemoryDisk();
    const fs = disk.mount();
    const persister = await open(disk, { fs });
    expect(await refusal(disk, { fs })).toMatchObject({ code: "LOCKED" });
    await persister.close();
    await (await open(disk, { fs })).close();
  });

  test("of another node is refused, and the directory is unharmed", async () => {
    const disk = new MemoryDisk();
    const fs = disk.mount();
    await (await open(disk, { fs })).close();
    const error = await refusal(disk, { fs, nodeId: 2 });
    expect(error.code).toBe("WRONG_NODE");
    expect(error.message).toContain(`${directory} is that of node 1, this is node 2`);
    await (await open(disk, { fs })).close();
  });

  test("may not ask for a segment that can't hold anything", async () => {
    expect(await refusal(new MemoryDisk(), { segmentBytes: 100 })).toMatchObject({
      code: "MISUSE",
    });
  });

  test("may change the size of segments between runs", async () => {
    const disk = new MemoryDisk();
    const first = await open(disk);
    await save(first, { entries: [big(1), big(2)] });
    await first.close();
    const second = await open(disk, { segmentBytes: 4 * segmentBytes });
    await save(second, { entries: Array.from({ length: 12 }, (_, i) => big(i + 3)) });
    await second.close();
    expect((await open(disk)).recovered.entries).toHaveLength(14);
    expect(recordsOf(disk, 1).length).toBeGreaterThan(1);
  });
});
