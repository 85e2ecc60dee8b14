import type { SnapshotMeta } from "../../raft/core/types.js";

/** Entries that a log grows by before an import of an older backup of it could be mistaken. */
const generationEntries = 1e12;
/** Terms that the old cluster may have gone through since the backup. */
const termsSkipped = 2 ** 24;

/**
 * Where the log of an imported cluster begins; the same for all who import the same file.
 *
 * - The index and the term lie after all that the old cluster can have reached since. So a node that
 *   comes with its old directory by mistake has neither a longer nor a later log: it is not elected,
 *   finds nothing of the leader's log in its own, and gets the whole state.
 * - The term has a part that is the file's own. Two nodes that were made from different files find
 *   that they don't match, and never come to an agreement, rather than one on different states.
 */
export function beginningOf({ index, term }: SnapshotMeta, digest: Uint8Array): SnapshotMeta {
  const ownOfFile = digest[0]! * 2 ** 16 + digest[1]! * 2 ** 8 + digest[2]!;
  return {
    index: (Math.floor(index / generationEntries) + 1) * generationEntries,
    term: term + termsSkipped + ownOfFile,
  };
}
