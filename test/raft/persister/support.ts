import { join } from "node:path";
import type { Entry, HardState, SnapshotMeta } from "../../../raft/core/types.js";
import { readRecord, type RecordView } from "../../../raft/persister/record.js";
import {
  segmentHeaderBytes,
  segmentIdentity,
  segmentName,
} from "../../../raft/persister/segment.js";
import { StorageError } from "../../../raft/persister/storageError.js";
import { WalPersister, type WalPersisterOptions } from "../../../raft/persister/walPersister.js";
import type { MemoryDisk } from "./memoryDisk.js";

export const directory = "/data";
export const segmentBytes = 4096;

export function open(
  disk: MemoryDisk,
  options: Partial<WalPersisterOptions> = {},
): Promise<WalPersister> {
  return WalPersister.open(directory, { nodeId: 1, fs: disk.mount(), segmentBytes, ...options });
}

/** What opening fails with. */
export async function refusal(
  disk: MemoryDisk,
  options: Partial<WalPersisterOptions> = {},
): Promise<StorageError> {
  try {
    await open(disk, options);
  } catch (error) {
    if (error instanceof StorageError) return error;
    throw error;
  }
  throw new Error("it was opened");
}

export function entry(index: number, term = 1, command: string | Uint8Array = `c${index}`): Entry {
  const bytes = typeof command === "string" ? new TextEncoder().encode(command) : command;
  return { index, term, command: bytes };
}

export function entries(from: number, to: number, term = 1): Entry[] {
  return Array.from({ length: to - from + 1 }, (_, i) => entry(from + i, term));
}

/** Resolves when the batch is durable; never when the persister fails first. */
export function save(
  persister: WalPersister,
  batch: { hardState?: HardState; entries?: readonly Entry[] },
): Promise<void> {
  return new Promise((resolve) => {
    persister.save({ hardState: batch.hardState ?? null, entries: batch.entries ?? [] }, resolve);
  });
}

export async function writeSnapshot(
  persister: WalPersister,
  meta: SnapshotMeta,
  state: Uint8Array = new TextEncoder().encode(`state ${meta.index}`),
  kind: "local" | "received" = "local",
): Promise<void> {
  const writer = await persister.createSnapshot(meta, kind);
  await writer.write(state);
  await writer.commit();
}

export async function readSnapshot(persister: WalPersister): Promise<Uint8Array | null> {
  const reader = await persister.openSnapshot();
  if (reader === null) return null;
  try {
    return (await reader.read(0, reader.size)).slice();
  } finally {
    await reader.close();
  }
}

export function segmentPath(sequence: number): string {
  return join(directory, segmentName(sequence));
}

export function segmentPaths(disk: MemoryDisk): string[] {
  return disk.paths().filter((path) => path.endsWith(".log"));
}

/** The records of a segment, in order. */
export function recordsOf(disk: MemoryDisk, sequence: number): RecordView[] {
  const bytes = disk.contents(segmentPath(sequence));
  const identity = segmentIdentity(bytes.subarray(16, 32), sequence);
  const records: RecordView[] = [];
  let at = segmentHeaderBytes;
  for (;;) {
    const record = readRecord(bytes, identity, at, 1 << 20);
    if (record === null) return records;
    records.push(record);
    at = record.end;
  }
}

/** Damages one bit. */
export function flip(bytes: Uint8Array, at: number, mask = 1): void {
  bytes.set([bytes.at(at)! ^ mask], at);
}

/** `expect(a).toEqual(b)` takes seconds for some 100 KiB. */
export function sameBytes(a: Uint8Array | null, b: Uint8Array): boolean {
  return a !== null && Buffer.compare(a, b) === 0;
}

/** Indexes and terms, which say most, in a form that a failed test shows well. */
export function outline(list: readonly Entry[]): string {
  return list.map(({ index, term }) => `${index}@${term}`).join(" ");
}
