import type { AppendEntries, RequestVote } from "./core/types.js";
import type { InstallSnapshot } from "./raftPeer.js";

/*
 * What the network can bring is checked here, so that the core's invariants only ever speak of our
 * own mistakes. Each function returns what is wrong, or null.
 */

function isCount(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0;
}

function checkSender(from: number, me: number, clusterSize: number): string | null {
  if (!isCount(from) || from >= clusterSize) return `node ${from} is not in the node list`;
  if (from === me) return `node ${from} is this node: two nodes run under one id`;
  return null;
}

export function checkAppendEntries(
  request: AppendEntries,
  me: number,
  clusterSize: number,
): string | null {
  const { term, prevLogIndex, prevLogTerm, entries, leaderCommit } = request;
  if (![term, prevLogIndex, prevLogTerm, leaderCommit].every(isCount))
    return "a term or an index is negative or too large";
  let lastTerm = prevLogTerm;
  for (let i = 0; i < entries.length; i++) {
    const entry = entries[i]!;
    if (entry.index !== prevLogIndex + 1 + i)
      return `entry ${entry.index} stands where ${prevLogIndex + 1 + i} belongs`;
    if (!isCount(entry.term) || entry.term < lastTerm || entry.term > term)
      return `entry ${entry.index} has term ${entry.term} after ${lastTerm} in a request of ${term}`;
    lastTerm = entry.term;
  }
  return checkSender(request.from, me, clusterSize);
}

export function checkRequestVote(
  request: RequestVote,
  me: number,
  clusterSize: number,
): string | null {
  const { term, lastLogIndex, lastLogTerm } = request;
  if (![term, lastLogIndex, lastLogTerm].every(isCount))
    return "a term or an index is negative or too large";
  return checkSender(request.from, me, clusterSize);
}

export function checkInstallSnapshot(
  request: InstallSnapshot,
  me: number,
  clusterSize: number,
): string | null {
  const { term, lastIncludedIndex, lastIncludedTerm, offset, totalSize } = request;
  if (![term, lastIncludedIndex, lastIncludedTerm, offset, totalSize].every(isCount))
    return "a term, an index or a size is negative or too large";
  if (lastIncludedIndex === 0 || lastIncludedTerm > term)
    return `a snapshot can't end at ${lastIncludedIndex}/${lastIncludedTerm} in term ${term}`;
  return checkSender(request.from, me, clusterSize);
}
