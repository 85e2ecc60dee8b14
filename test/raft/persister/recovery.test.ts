/** What recovery makes of a directory after a crash, and after worse. */
import { describe, expect, test, vi } from "vitest";
import type { Entry } from "../../../raft/core/types.js";
import { putU32 } from "../../../raft/persister/bytes.js";
import { crc32c } from "../../../raft/persister/crc32c.js";
import type { StorageLog } from "../../../raft/persister/logRecovery.js";
import type { WalPersister } from "../../../raft/persister/walPersister.js";
import {
  segmentHeaderBytes,
  segmentIdentity,
  segmentMarkAt,
} from "../../../raft/persister/segment.js";
import { MemoryDisk } from "./memoryDisk.js";
import {
  directory,
  entries,
  entry,
  flip,
  open,
  outline,
  recordsOf,
  refusal,
  sameBytes,
  save,
  segmentBytes,
  segmentPath,
  segmentPaths,
  writeSnapshot,
} from "./support.js";

const big = (index: number, term = 1) => entry(index, term, new Uint8Array(1000).fill(index));

/** Three acknowledged batches; the last is of three records. */
async function threeBatches(): Promise<{ disk: MemoryDisk; lastAt: number; end: number }> {
  const disk = new MemoryDisk();
  const persister = await open(disk);
  await save(persister, { hardState: { term: 1, votedFor: 0 }, entries: entries(1, 3) });
  await save(persister, { entries: entries(4, 5) });
  const lastAt = recordsOf(disk, 1).at(-1)!.end;
  await save(persister, {
    hardState: { term: 3, votedFor: 2 },
    entries: [entry(6, 2), ...entries(7, 8, 3)],
  });
  disk.kill();
  return { disk, lastAt, end: recordsOf(disk, 1).at(-1)!.end };
}

const path = segmentPath(1);

/** Opens twice, with a save in between; tells what was there and what was expected. */
async function recoverAndGoOn(disk: MemoryDisk): Promise<{ found: string; expected: string }> {
  const whole = recordsOf(disk, 1).length;
  const persister = await open(disk);
  const { hardState, entries: found } = persister.recovered;
  await save(persister, { entries: [entry(found.length + 1, 9)] });
  await persister.close();
  const again = await open(disk);
  const after = outline(again.recovered.entries);
  await again.close();
  // Start, hard state, entries, entries; of the last batch what lies whole before the damage.
  const kept = ["1@1 2@1 3@1 4@1 5@1", "6@2", "7@3 8@3"].slice(0, Math.max(1, whole - 4));
  const term = whole > 4 ? 3 : 1;
  return {
    found: `term ${hardState.term}: ${after}`,
    expected: `term ${term}: ${kept.join(" ")} ${found.length + 1}@9`,
  };
}

describe("a torn tail", () => {
  test("is not what a file has that became shorter than it was made", async () => {
    const { disk, end } = await threeBatches();
    const whole = disk.contents(path);
    for (const length of [whole.length - 1, end, end - 1, 200, 100, 10]) {
      disk.replace(path, whole.subarray(0, length));
      expect(await refusal(disk)).toMatchObject({ code: "DAMAGED", file: path });
    }
  });

  test("of an entry that made the file longer is cut wherever the file ends", async () => {
    const disk = new MemoryDisk();
    const persister = await open(disk);
    await save(persister, { entries: [entry(1)] });
    await save(persister, { entries: [entry(2, 1, new Uint8Array(9000).fill(1))] });
    disk.kill();
    const long = segmentPath(2);
    const whole = disk.contents(long);
    for (let length = segmentBytes; length < whole.length; length += 97) {
      disk.replace(long, whole.subarray(0, length));
      const again = await open(disk);
      expect(outline(again.recovered.entries)).toBe("1@1");
      await again.close();
      disk.kill();
    }
  });

  test("is cut when the rest of the last batch reads as zeros", async () => {
    const { disk, lastAt, end } = await threeBatches();
    const whole = disk.contents(path);
    for (let length = lastAt; length < end; length++) {
      const torn = whole.slice();
      torn.fill(0, length, end);
      // Zeros may be what was to be written.
      if (Buffer.compare(torn, whole) === 0) continue;
      disk.replace(path, torn);
      const { found, expected } = await recoverAndGoOn(disk);
      expect(found, `cut at ${length}`).toBe(expected);
      disk.kill();
    }
  });

  test("is cut when the disk kept the later part of the last batch and not the earlier", async () => {
    const { disk, lastAt } = await threeBatches();
    const torn = disk.contents(path);
    torn.fill(0, lastAt, lastAt + 8);
    disk.replace(path, torn);
    const log = vi.fn<StorageLog>();
    const persister = await open(disk, { log });
    expect(outline(persister.recovered.entries)).toBe("1@1 2@1 3@1 4@1 5@1");
    expect(persister.recovered.hardState.term).toBe(1);
    expect(log).toHaveBeenCalledOnce();
    // What was kept of it must not come back when the log has grown up to it again: the new
    // record is exactly as long as the one that was lost.
    await save(persister, { hardState: { term: 4, votedFor: 1 } });
    disk.kill();
    const again = await open(disk);
    expect(again.recovered.hardState).toEqual({ term: 4, votedFor: 1 });
    expect(outline(again.recovered.entries)).toBe("1@1 2@1 3@1 4@1 5@1");
  });

  test("may hold a whole record that belongs elsewhere in the same segment", async () => {
    const { disk, end } = await threeBatches();
    const bad = disk.contents(path);
    const older = recordsOf(disk, 1).at(1)!;
    bad.set(bad.slice(older.offset, older.end), end);
    disk.replace(path, bad);
    const { recovered } = await open(disk);
    expect(recovered.hardState).toEqual({ term: 3, votedFor: 2 });
    expect(outline(recovered.entries)).toBe("1@1 2@1 3@1 4@1 5@1 6@2 7@3 8@3");
  });

  test("is kept aside, and told of", async () => {
    const { disk, lastAt, end } = await threeBatches();
    const torn = disk.contents(path);
    torn.fill(0, end - 8);
    disk.replace(path, torn);
    const log = vi.fn<StorageLog>();
    await (await open(disk, { log })).close();
    const cutAt = recordsOf(disk, 1).at(5)!.end;
    expect(cutAt).toBeGreaterThan(lastAt);
    const { length } = disk.contents(`${path}.broken`);
    expect(disk.contents(`${path}.broken`)).toEqual(torn.subarray(cutAt, cutAt + length));
    expect(torn.subarray(cutAt + length).every((byte) => byte === 0)).toBe(true);
    expect(log).toHaveBeenCalledWith("cut a torn write off the log", {
      file: path,
      offset: cutAt,
      bytes: length,
      keptIn: `${path}.broken`,
    });
    expect(disk.contents(path)).toHaveLength(segmentBytes);
  });

  test("is kept beside those of earlier times, nine of them at most", async () => {
    const { disk } = await threeBatches();
    const kept: string[] = [];
    const log: StorageLog = (_message, fields) => kept.push(String(fields["keptIn"]));
    for (let time = 1; time <= 10; time++) {
      const torn = disk.contents(path);
      const { end } = recordsOf(disk, 1).at(-1)!;
      torn.fill(time, end, end + time);
      disk.replace(path, torn);
      await (await open(disk, { log })).close();
    }
    const numbered = Array.from({ length: 8 }, (_, i) => `${path}.broken-${i + 2}`);
    expect(kept).toEqual([`${path}.broken`, ...numbered, `${path}.broken-9`]);
    expect([...disk.contents(`${path}.broken`)]).toEqual([1]);
    expect([...disk.contents(`${path}.broken-2`)]).toEqual([2, 2]);
    expect(disk.contents(`${path}.broken-9`)).toEqual(new Uint8Array(10).fill(10));
  });

  test("nothing is cut, and nothing told, after a clean end or a plain kill", async () => {
    const { disk } = await threeBatches();
    const log = vi.fn<StorageLog>();
    await (await open(disk, { log })).close();
    await (await open(disk, { log })).close();
    expect(log).not.toHaveBeenCalled();
    expect(disk.paths().filter((name) => name.endsWith(".broken"))).toEqual([]);
  });

  test("of the first write to a new segment", async () => {
    const disk = new MemoryDisk();
    const persister = await open(disk);
    await save(persister, { entries: [big(1), big(2), big(3)] });
    await save(persister, { entries: [big(4)] });
    disk.kill();
    expect(recordsOf(disk, 2)).toHaveLength(2);
    const torn = disk.contents(segmentPath(2));
    torn.fill(0, segmentHeaderBytes, 512);
    disk.replace(segmentPath(2), torn);
    const again = await open(disk);
    expect(outline(again.recovered.entries)).toBe("1@1 2@1 3@1");
    await save(again, { entries: [big(4, 2)] });
    await again.close();
    expect(outline((await open(disk)).recovered.entries)).toBe("1@1 2@1 3@1 4@2");
  });
});

describe("damage", () => {
  test("to any bit that was followed by another batch refuses, naming file and record", async () => {
    const { disk, lastAt } = await threeBatches();
    const whole = disk.contents(path);
    const records = recordsOf(disk, 1);
    for (let at = segmentHeaderBytes; at < lastAt; at++) {
      const bad = whole.slice();
      flip(bad, at, 1 << (at % 8));
      disk.replace(path, bad);
      const error = await refusal(disk);
      expect(error).toMatchObject({ code: "DAMAGED", file: path });
      expect(error.offset).toBe(records.find(({ end }) => at < end)!.offset);
      expect(error.message).toContain(`${path} at byte ${error.offset}`);
      expect(error.message).toContain("restore the directory from a copy");
      expect(sameBytes(disk.contents(path), bad)).toBe(true);
    }
  });

  test("to the last batch refuses when the persister had been closed in order", async () => {
    const disk = new MemoryDisk();
    const persister = await open(disk);
    await save(persister, { entries: entries(1, 3) });
    await persister.close();
    const at = recordsOf(disk, 1).at(1)!.payloadStart;
    const bad = disk.contents(path);
    flip(bad, at, 1);
    disk.replace(path, bad);
    expect(await refusal(disk)).toMatchObject({ code: "DAMAGED", file: path });
  });

  test("to the last batch refuses when the log was noted to be synced beyond it", async () => {
    const disk = new MemoryDisk();
    let now = 0;
    const persister = await open(disk, { now: () => now });
    await save(persister, { entries: entries(1, 3) });
    now += 1000;
    await save(persister, { entries: entries(4, 5) });
    disk.kill();
    const { offset } = recordsOf(disk, 1).at(-1)!;
    const bad = disk.contents(path);
    bad.fill(0, offset);
    disk.replace(path, bad);
    expect(await refusal(disk)).toMatchObject({ code: "DAMAGED", file: path, offset });
    // The note itself may be torn: then it says nothing.
    flip(bad, segmentMarkAt, 1);
    disk.replace(path, bad);
    expect(outline((await open(disk)).recovered.entries)).toBe("1@1 2@1 3@1");
  });

  test("to the last batch of a segment refuses when the log goes on in the next", async () => {
    const disk = new MemoryDisk();
    const persister = await open(disk);
    for (let i = 1; i <= 8; i++) await save(persister, { entries: [big(i)] });
    disk.kill();
    const first = recordsOf(disk, 1);
    for (const { payloadStart, offset } of first.slice(-2)) {
      const whole = disk.contents(path);
      const bad = whole.slice();
      flip(bad, payloadStart - 1, 1);
      disk.replace(path, bad);
      expect(await refusal(disk)).toMatchObject({ code: "DAMAGED", file: path, offset });
      disk.replace(path, whole);
    }
    expect((await open(disk)).recovered.entries).toHaveLength(8);
  });

  test("to any bit of a segment's header refuses", async () => {
    const { disk } = await threeBatches();
    const whole = disk.contents(path);
    for (let at = 0; at < 64; at++) {
      const bad = whole.slice();
      flip(bad, at, 1 << (at % 8));
      disk.replace(path, bad);
      expect(await refusal(disk)).toMatchObject({ code: "DAMAGED", file: path, offset: 0 });
    }
  });

  test("to the identity refuses", async () => {
    const { disk } = await threeBatches();
    const file = `${directory}/identity`;
    const whole = disk.contents(file);
    for (const at of [0, 8, 12, 20, 32, 63]) {
      const bad = whole.slice();
      flip(bad, at, 1);
      disk.replace(file, bad);
      expect(await refusal(disk)).toMatchObject({ code: "DAMAGED", file });
    }
    disk.remove(file);
    expect(await refusal(disk)).toMatchObject({ code: "MISSING", file });
  });
});

/** Several segments, of which none was compacted away. */
async function manySegments(): Promise<MemoryDisk> {
  const disk = new MemoryDisk();
  const persister = await open(disk);
  for (let i = 1; i <= 14; i++) await save(persister, { entries: [big(i)] });
  disk.kill();
  expect(segmentPaths(disk).length).toBeGreaterThanOrEqual(5);
  return disk;
}

describe("files that are not what they should be", () => {
  test("a missing segment: the first, one in the middle, the last, all", async () => {
    const used = 5;
    for (let sequence = 1; sequence <= used; sequence++) {
      const disk = await manySegments();
      disk.remove(segmentPath(sequence));
      expect(await refusal(disk), `without segment ${sequence}`).toMatchObject({
        code: "MISSING",
      });
    }
    const disk = await manySegments();
    for (const name of segmentPaths(disk)) disk.remove(name);
    expect(await refusal(disk)).toMatchObject({ code: "MISSING", file: segmentPath(1) });
  });

  test("a segment of another directory, and one that was renamed", async () => {
    const disk = await manySegments();
    const other = await manySegments();
    disk.replace(segmentPath(2), other.contents(segmentPath(2)));
    expect(await refusal(disk)).toMatchObject({ code: "FOREIGN", file: segmentPath(2) });
    disk.replace(segmentPath(2), disk.contents(segmentPath(3)));
    expect(await refusal(disk)).toMatchObject({ code: "FOREIGN", file: segmentPath(2) });
  });

  test("a block of another segment in a record's place is damage", async () => {
    const disk = await manySegments();
    const bad = disk.contents(segmentPath(2));
    const { offset, end } = recordsOf(disk, 3).at(1)!;
    bad.set(disk.contents(segmentPath(3)).subarray(offset, end), offset);
    disk.replace(segmentPath(2), bad);
    expect(await refusal(disk)).toMatchObject({ code: "DAMAGED", offset });
  });

  test("a newer format is told apart from damage", async () => {
    const disk = await manySegments();
    const persister = await open(disk);
    await writeSnapshot(persister, { index: 9, term: 1 });
    disk.kill();
    for (const file of [segmentPath(1), `${directory}/identity`, `${directory}/snapshot-1-9`]) {
      const whole = disk.contents(file);
      const newer = whole.slice();
      putU32(newer, 8, 2);
      putU32(newer, 60, crc32c(newer, 0, 60));
      disk.replace(file, newer);
      const error = await refusal(disk);
      expect(error).toMatchObject({ code: "NEWER_FORMAT", file });
      expect(error.message).toContain("version 2, this program knows 1");
      disk.replace(file, whole);
    }
  });

  test("so is a record of a newer kind, and no other byte of it may be wrong", async () => {
    const disk = await manySegments();
    const newer = disk.contents(segmentPath(2));
    const { offset, end } = recordsOf(disk, 2).at(1)!;
    newer[offset + 20] = 7;
    disk.replace(segmentPath(2), newer);
    expect(await refusal(disk)).toMatchObject({ code: "DAMAGED", offset });
    const { seed } = segmentIdentity(newer.subarray(16, 32), 2);
    putU32(newer, offset + 4, crc32c(newer, offset + 8, end, seed));
    disk.replace(segmentPath(2), newer);
    const error = await refusal(disk);
    expect(error).toMatchObject({ code: "NEWER_FORMAT", file: segmentPath(2), offset });
    expect(error.message).toContain("record type 7");
  });
});

describe("snapshot and log", () => {
  test("a log that ends before the snapshot starts anew after it", async () => {
    const disk = new MemoryDisk();
    const persister = await open(disk);
    await save(persister, { hardState: { term: 4, votedFor: 0 }, entries: entries(1, 5) });
    await writeSnapshot(persister, { index: 9, term: 3 }, undefined, "received");
    disk.kill();
    const again = await open(disk);
    expect(again.recovered).toEqual({
      hardState: { term: 4, votedFor: 0 },
      snapshot: { index: 9, term: 3 },
      entries: [],
    });
    await save(again, { entries: [entry(10, 4)] });
    disk.kill();
    expect((await open(disk)).recovered.entries).toEqual([entry(10, 4)]);
  });

  test("a log with another term at the snapshot's index starts anew after it", async () => {
    const disk = new MemoryDisk();
    const persister = await open(disk);
    await save(persister, { entries: entries(1, 20) });
    await writeSnapshot(persister, { index: 9, term: 3 }, undefined, "received");
    disk.kill();
    const again = await open(disk);
    expect(again.recovered.entries).toEqual([]);
    await save(again, { entries: [entry(10, 4)] });
    disk.kill();
    expect((await open(disk)).recovered.entries).toEqual([entry(10, 4)]);
  });

  test("a log that holds the snapshot's entry is kept on both sides of it", async () => {
    const disk = new MemoryDisk();
    const persister = await open(disk);
    await save(persister, { entries: entries(1, 20) });
    await writeSnapshot(persister, { index: 20, term: 1 });
    disk.kill();
    const again = await open(disk);
    expect(again.recovered.entries).toEqual(entries(1, 20));
    await save(again, { entries: [entry(21)] });
    disk.kill();
    expect((await open(disk)).recovered.entries).toEqual(entries(1, 21));
  });

  test("what lies in neither is missed", async () => {
    const disk = new MemoryDisk();
    const persister = await open(disk);
    for (let i = 1; i <= 20; i++) await save(persister, { entries: [big(i)] });
    await writeSnapshot(persister, { index: 18, term: 1 });
    await persister.compact({ index: 18, term: 1 }, 18);
    await persister.close();
    disk.remove(`${directory}/snapshot-1-18`);
    const error = await refusal(disk);
    expect(error.code).toBe("MISSING");
    expect(error.message).toMatch(/entries 1 to \d+ are in neither a snapshot nor the log/);
  });

  test("what a reset log is based on is missed", async () => {
    const disk = new MemoryDisk();
    const persister = await open(disk);
    await writeSnapshot(persister, { index: 18, term: 1 }, undefined, "received");
    await persister.resetLog({ index: 18, term: 1 });
    await persister.close();
    disk.remove(`${directory}/snapshot-1-18`);
    expect(await refusal(disk)).toMatchObject({ code: "MISSING" });
  });
});

function saveOrFail(persister: WalPersister, list: readonly Entry[]): Promise<unknown> {
  return new Promise((resolve) => {
    persister.onFailure = resolve;
    persister.save({ hardState: null, entries: list }, () => resolve(null));
  });
}

describe("a crash while a directory is made", () => {
  test("at any point leaves one that can be opened, and one that acknowledged is never anew", async () => {
    for (let steps = 0; ; steps++) {
      const disk = new MemoryDisk();
      let left = steps;
      let completed = true;
      disk.fault = () => {
        if (left-- > 0) return null;
        completed = false;
        return "EIO";
      };
      const opened = await open(disk).catch(() => null);
      if (opened !== null) await saveOrFail(opened, [entry(1)]);
      if (completed) break;
      disk.fault = () => null;
      let chance = steps;
      disk.crash(() => chance++ % 3 !== 0);
      const again = await open(disk);
      expect(again.recovered.hardState).toEqual({ term: 0, votedFor: -1 });
      await save(again, { entries: [entry(1)] });
      await again.close();
      if (steps > 200) throw new Error("opening takes too many steps");
    }
  });
});
