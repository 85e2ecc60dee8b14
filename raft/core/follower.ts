import type { RaftLog } from "./raftLog.js";
import type { AppendEntries, Entry } from "./types.js";

export interface AppendResult {
  readonly success: boolean;
  /** On success: what this request proved, the last entry that is known to equal the leader's. */
  readonly matchIndex: number;
  /** On refusal: where the leader should go on. */
  readonly updateNextIndex: number;
}

/**
 * The receiver's part of AppendEntries (Raft Figure 2, §5.3). Entries that are here already stay,
 * so that a late or reordered request never removes one that was acknowledged; only a real
 * conflict truncates.
 */
export function appendToLog(log: RaftLog, request: AppendEntries): AppendResult {
  const lastSent = request.prevLogIndex + request.entries.length;
  if (lastSent <= log.commitIndex) {
    // All of it is committed here, and so equal to the leader's (Leader Completeness).
    return { success: true, matchIndex: lastSent, updateNextIndex: 0 };
  }
  if (request.prevLogIndex >= log.commitIndex && !matches(log, request)) {
    return { success: false, matchIndex: 0, updateNextIndex: backtrack(log, request.prevLogIndex) };
  }
  if (!appendNew(log, request.entries)) {
    return { success: false, matchIndex: 0, updateNextIndex: log.commitIndex + 1 };
  }
  // Only up to what this very request covered: the log may hold more, unproven.
  log.commitTo(Math.max(log.commitIndex, Math.min(request.leaderCommit, lastSent)));
  return { success: true, matchIndex: lastSent, updateNextIndex: 0 };
}

function matches(log: RaftLog, request: AppendEntries): boolean {
  return log.term(request.prevLogIndex) === request.prevLogTerm;
}

/**
 * Skips what is here, truncates at the first conflict, appends the rest. Returns false for entries
 * that no correct leader sends, because they contradict what is committed here.
 */
function appendNew(log: RaftLog, entries: readonly Entry[]): boolean {
  let start = 0;
  while (start < entries.length) {
    const { index, term } = entries[start]!;
    if (index > log.commitIndex && log.term(index) !== term) break;
    start++;
  }
  if (start === entries.length) return true;
  const { index, term } = entries[start]!;
  if (term < log.term(index - 1)) return false;
  if (index <= log.lastIndex) log.truncate(index);
  log.append(start === 0 ? entries : entries.slice(start));
  return true;
}

/**
 * `UpdateNextIndex`, Raft §5.3's accelerated backtracking: past the end of a short log, or to the
 * first entry of the conflicting term. Never into the committed part, which can't conflict.
 */
function backtrack(log: RaftLog, prevLogIndex: number): number {
  if (prevLogIndex > log.lastIndex) return log.lastIndex + 1;
  const term = log.term(prevLogIndex);
  let index = prevLogIndex;
  while (index > log.commitIndex + 1 && log.term(index - 1) === term) index--;
  return index;
}
