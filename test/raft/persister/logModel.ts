/** What a log should hold, and whether what recovery found is that. */
import type { Entry, HardState, SnapshotMeta } from "../../../raft/core/types.js";
import { outline } from "./support.js";

/** What the log may look like at one point: after each entry, for a crash may cut between two. */
export interface LogState {
  readonly hardState: HardState;
  readonly log: readonly Entry[];
  /** What the log is based on where it holds no entry. */
  readonly base: SnapshotMeta;
}

export const nothing: LogState = {
  hardState: { term: 0, votedFor: -1 },
  log: [],
  base: { index: 0, term: 0 },
};

/** The states that a save goes through: a crash may leave each of them. */
export function statesOf(
  from: LogState,
  hardState: HardState | null,
  entries: readonly Entry[],
): LogState[] {
  const states: LogState[] = [];
  let now = from;
  if (hardState !== null) states.push((now = { ...now, hardState }));
  for (const entry of entries) {
    const log = now.log.filter(({ index }) => index < entry.index);
    states.push((now = { ...now, log: [...log, entry] }));
  }
  return states;
}

/** Whether recovery made of this state what it should. */
export function matches(
  { hardState, log }: LogState,
  foundState: HardState,
  snapshot: SnapshotMeta | null,
  found: readonly Entry[],
): boolean {
  if (hardState.term !== foundState.term || hardState.votedFor !== foundState.votedFor)
    return false;
  const after = snapshot?.index ?? 0;
  const first = found[0]?.index ?? after + 1;
  if (first > after + 1) return false;
  const kept = holds(log, snapshot) ? log.filter(({ index }) => index >= first) : [];
  return kept.length === found.length && kept.every((entry, i) => same(entry, found.at(i)!));
}

function holds(log: readonly Entry[], snapshot: SnapshotMeta | null): boolean {
  if (snapshot === null) return true;
  const at = log.find(({ index }) => index === snapshot.index);
  // Where the log begins right after it, the entry itself was compacted away.
  return at === undefined ? log[0]?.index === snapshot.index + 1 : at.term === snapshot.term;
}

function same(a: Entry, b: Entry): boolean {
  return a.index === b.index && a.term === b.term && Buffer.compare(a.command, b.command) === 0;
}

export function describeLog(
  { term, votedFor }: HardState,
  snapshot: SnapshotMeta | null,
  entries: readonly Entry[],
): string {
  return `term ${term} vote ${votedFor} snapshot ${JSON.stringify(snapshot)} ${outline(entries)}`;
}
