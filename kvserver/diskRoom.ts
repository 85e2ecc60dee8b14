import type { DiskSpace } from "../raft/persister/diskReserve.js";

const MiB = 1024 * 1024;

/** Why no write is taken, for whoever sent one. */
export function noSpaceText(node: number, space: DiskSpace): string {
  const { directory, freeBytes, resumeBytes } = space;
  const [free, wanted] = [freeBytes, resumeBytes].map((bytes) => Math.ceil(bytes / MiB));
  return (
    `the disk of node ${node} is nearly full: ${directory} has ${free} MiB free, and takes writes ` +
    `again from ${wanted} MiB on (diskReserveBytes)`
  );
}

/** The disk's part of a StatusReply; 0 free bytes where nobody looks. */
export function diskStatus(space: DiskSpace | undefined): {
  readonly DiskFreeBytes: number;
  readonly DiskIsLow: boolean;
} {
  const free = space?.freeBytes ?? Infinity;
  return { DiskFreeBytes: Number.isFinite(free) ? free : 0, DiskIsLow: space?.isLow ?? false };
}
