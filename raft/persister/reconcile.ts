/**
 * Brings together what recovery found: which snapshot counts, and whether the log goes on from it.
 *
 *     snapshot        |=========M|
 *     log kept             |---------------|     the log holds M: all of it is kept
 *     log dropped     |------|                   it ends before M, or has another term at M
 *     refused                        |-----|     what lies between is nowhere
 */
import type { Entry, SnapshotMeta } from "../core/types.js";
import { asidePath, type RecoveredLog, type StorageLog } from "./logRecovery.js";
import { snapshotOfName } from "./snapshotFormat.js";
import type { SnapshotStore } from "./snapshotStore.js";
import { damageAdvice, StorageError } from "./storageError.js";
import type { StorageFs } from "./storageFs.js";

export interface Reconciled {
  readonly snapshot: SnapshotMeta | null;
  readonly entries: readonly Entry[];
  /** The log is not part of the history that the snapshot stands for: it starts anew after it. */
  readonly logIsObsolete: boolean;
}

interface RecoveredEntries extends Pick<RecoveredLog, "last"> {
  readonly entries: readonly Entry[];
}

export interface DamagedSnapshot {
  readonly meta: SnapshotMeta;
  readonly error: StorageError;
}

/** What counts, before anything is changed. */
export interface Reconciliation extends Reconciled {
  /** Newer than `snapshot` and damaged; the log has all of them. */
  readonly bad: readonly DamagedSnapshot[];
}

/** Chooses the newest whole snapshot, and clears away the others. @throws as `choose`. */
export async function reconcile(
  fs: StorageFs,
  directory: string,
  names: readonly string[],
  store: SnapshotStore,
  recoveredLog: RecoveredEntries,
  log: StorageLog,
): Promise<Reconciled> {
  const verify = (meta: SnapshotMeta): Promise<void> => store.verify(meta);
  const chosen = await choose(directory, names, verify, recoveredLog);
  const { snapshot, bad } = chosen;
  for (const { meta, error } of bad) {
    log("set a damaged snapshot aside: an older one and the log have all of it", {
      file: store.path(meta),
      error: error.message,
    });
    await fs.rename(store.path(meta), asidePath(store.path(meta), names));
  }
  store.newest = snapshot;
  if (snapshot !== null) await store.removeOlder(snapshot);
  return chosen;
}

/**
 * Chooses the newest whole snapshot, and changes nothing.
 * @param verify Reads all of a snapshot.
 * @throws StorageError when something is missing, and what `verify` throws but for DAMAGED.
 */
export async function choose(
  directory: string,
  names: readonly string[],
  verify: (meta: SnapshotMeta) => Promise<void>,
  recoveredLog: RecoveredEntries,
): Promise<Reconciliation> {
  const { snapshot, bad } = await newestWhole(names, verify);
  for (const { meta, error } of bad) {
    if (!canDoWithout(meta, snapshot, recoveredLog)) throw error;
  }
  mustFollow(snapshot, recoveredLog, directory);
  const logIsObsolete = snapshot !== null && !holds(recoveredLog, snapshot);
  const entries = logIsObsolete ? [] : recoveredLog.entries;
  return { snapshot, entries, logIsObsolete, bad };
}

async function newestWhole(
  names: readonly string[],
  verify: (meta: SnapshotMeta) => Promise<void>,
): Promise<{ snapshot: SnapshotMeta | null; bad: DamagedSnapshot[] }> {
  const found = names.map(snapshotOfName).filter((meta) => meta !== null);
  found.sort((a, b) => b.index - a.index || b.term - a.term);
  const bad: DamagedSnapshot[] = [];
  for (const meta of found) {
    try {
      await verify(meta);
      return { snapshot: meta, bad };
    } catch (error) {
      if (!(error instanceof StorageError) || error.code !== "DAMAGED") throw error;
      bad.push({ meta, error });
    }
  }
  return { snapshot: null, bad };
}

/** Whether an older snapshot (or none) and the log reach as far as the damaged one. */
function canDoWithout(
  lost: SnapshotMeta,
  snapshot: SnapshotMeta | null,
  log: RecoveredEntries,
): boolean {
  const first = firstIndex(log);
  const at = log.entries[lost.index - first];
  return first <= (snapshot?.index ?? 0) + 1 && at !== undefined && at.term === lost.term;
}

/** Index of the first entry, or of the one that would come next. */
function firstIndex({ entries, last }: RecoveredEntries): number {
  return entries[0]?.index ?? last.index + 1;
}

function mustFollow(snapshot: SnapshotMeta | null, log: RecoveredEntries, directory: string): void {
  const after = snapshot?.index ?? 0;
  const first = firstIndex(log);
  if (first <= after + 1) return;
  const why =
    `entries ${after + 1} to ${first - 1} are in neither a snapshot nor the log; ` + damageAdvice;
  throw new StorageError("MISSING", why, { file: directory });
}

function holds(log: RecoveredEntries, { index, term }: SnapshotMeta): boolean {
  if (index > log.last.index) return false;
  const at = log.entries[index - firstIndex(log)];
  // The entry itself may have been compacted away: then the log was cut at this snapshot.
  return at === undefined || at.term === term;
}
