import type { KvOptions } from "../config/options.js";

/** A large state is not written anew for less log than this part of it: else 4 GB for every 64 MiB. */
const stateShare = 1 / 2;

/**
 * Whether to take a snapshot after `logBytes` of log since the last one. What a restart replays stays
 * within `snapshotLogBytes` or half of the state, and what snapshots add to the disk's work within
 * twice the log.
 */
export function snapshotIsDue(logBytes: number, stateBytes: number, options: KvOptions): boolean {
  const { snapshotLogBytes } = options;
  if (snapshotLogBytes < 0 || logBytes < snapshotLogBytes) return false;
  return logBytes >= stateBytes * stateShare;
}
