import type { KvOptions } from "../config/options.js";

/** A large state is not written anew for less log than this part of it: else 4 GB for every 64 MiB. */
const stateShare = 1 / 2;
/** The same where entries are large: a restart replays them as fast as it would read a snapshot. */
const stateShareOfLargeEntries = 2;
/** Bytes of an entry from which on they, and no longer that it is one, make its replay take long. */
const largeEntryBytes = 32_768;

/** The log since the last snapshot. */
export interface LogSince {
  readonly bytes: number;
  readonly entries: number;
}

/**
 * Whether to take a snapshot after so much log. What a restart replays stays within
 * `snapshotLogBytes` or half of the state, and what snapshots add to the disk's work within twice the
 * log. With large values the disk is what there is too little of: they add half of the log
 * as long as twice the state is no more than `snapshotLogBytesMax`, which the log has in memory, too.
 */
export function snapshotIsDue(log: LogSince, stateBytes: number, options: KvOptions): boolean {
  const { snapshotLogBytes, snapshotLogBytesMax } = options;
  if (snapshotLogBytes < 0 || log.bytes < snapshotLogBytes) return false;
  if (log.bytes < stateBytes * stateShare) return false;
  if (log.bytes < log.entries * largeEntryBytes) return true;
  return log.bytes >= Math.min(stateBytes * stateShareOfLargeEntries, snapshotLogBytesMax);
}
