/** A recovery that fails itself: it refuses, and a later one is none the worse for it. */
import { expect, test } from "vitest";
import type { Operation } from "./memoryDisk.js";
import { MemoryDisk } from "./memoryDisk.js";
import { entries, entry, open, outline, recordsOf, refusal, save, segmentPath } from "./support.js";

const path = segmentPath(1);
const hardState = { term: 4, votedFor: 1 };

/** The last batch is torn: its first record is gone, and a whole one is left behind it. */
async function tornWithWholeRecord(): Promise<MemoryDisk> {
  const disk = new MemoryDisk();
  const persister = await open(disk);
  await save(persister, { hardState: { term: 1, votedFor: 0 }, entries: entries(1, 3) });
  const { end } = recordsOf(disk, 1).at(-1)!;
  await save(persister, { hardState: { term: 3, votedFor: 2 }, entries: [entry(4, 3)] });
  disk.kill();
  const torn = disk.contents(path);
  torn.fill(0, end, end + 8);
  disk.replace(path, torn);
  return disk;
}

function fail(disk: MemoryDisk, at: Operation, isMeant: (path: string) => boolean): void {
  disk.fault = (operation, on) => (operation === at && isMeant(on) ? "EIO" : null);
}

test.each([
  ["write", (on: string) => /\.log(\.tmp)?$/.test(on)],
  ["sync", (on: string) => /\.log(\.tmp)?$/.test(on)],
  ["write", (on: string) => on.endsWith(".broken")],
  ["sync", (on: string) => on.endsWith(".broken")],
  ["rename", () => true],
  ["syncDirectory", () => true],
] as const)("a torn tail stays cut after a failed %s while it was cut", async (at, isMeant) => {
  const disk = await tornWithWholeRecord();
  fail(disk, at, isMeant);
  expect(await refusal(disk)).toMatchObject({ code: "IO" });
  disk.fault = () => null;
  disk.kill();
  const persister = await open(disk);
  expect(outline(persister.recovered.entries)).toBe("1@1 2@1 3@1");
  // As long as the record that was lost: what was behind that one would be behind this one.
  await save(persister, { hardState });
  disk.crash(() => false);
  const again = await open(disk);
  expect(again.recovered.hardState).toEqual(hardState);
  expect(outline(again.recovered.entries)).toBe("1@1 2@1 3@1");
});
