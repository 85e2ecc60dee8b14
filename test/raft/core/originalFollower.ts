import type { AppendEntries, AppendEntriesReply, Entry } from "../../../raft/core/index.js";

/**
 * A follower as the original is one: no part of its log ever goes, and what its rules do not
 * foresee ends its process.
 */
export class OriginalFollower {
  /** Why its process ended, or "". */
  ended = "";
  commitIndex: number;
  /** Everything up to here is in a snapshot, and no longer in the log. */
  snapshotIndex = 0;
  /** Of all that it ever had, the entry at index 1 first. */
  readonly entries: Entry[];
  term = 0;

  constructor(entries: readonly Entry[] = [], commitIndex = 0) {
    this.entries = [...entries];
    this.commitIndex = commitIndex;
  }

  get lastIndex(): number {
    return this.entries.length;
  }

  takeSnapshot(): void {
    this.snapshotIndex = this.commitIndex;
  }

  /** As one does that is started again. */
  forget(): void {
    this.entries.length = 0;
    this.commitIndex = 0;
    this.snapshotIndex = 0;
    this.term = 0;
  }

  append({ term, prevLogIndex, prevLogTerm, entries, leaderCommit }: AppendEntries) {
    if (term < this.term) return this.reply(false, -100);
    this.term = term;
    if (prevLogIndex > this.lastIndex) return this.reply(false, this.lastIndex + 1);
    if (prevLogIndex < this.snapshotIndex) {
      this.ended = `entry ${prevLogIndex} is in the snapshot at ${this.snapshotIndex}`;
    }
    if (this.termAt(prevLogIndex) !== prevLogTerm)
      return this.reply(false, this.firstOfConflict(prevLogIndex));
    for (const entry of entries) this.take(entry);
    this.commitIndex = Math.max(this.commitIndex, Math.min(leaderCommit, this.lastIndex));
    return this.reply(true, 0);
  }

  private termAt(index: number): number {
    return index === 0 ? 0 : this.entries[index - 1]!.term;
  }

  private firstOfConflict(prevLogIndex: number): number {
    const term = this.termAt(prevLogIndex);
    let index = prevLogIndex;
    while (index > this.snapshotIndex && this.termAt(index) === term) index--;
    return index + 1;
  }

  private take(entry: Entry): void {
    const present = this.entries[entry.index - 1];
    if (entry.index > this.lastIndex + 1) this.ended = "a gap";
    const sameTerm = present?.term === entry.term;
    if (sameTerm && Buffer.compare(present.command, entry.command) !== 0)
      this.ended = "other bytes";
    // What stands behind it stays, whatever term it has.
    this.entries[entry.index - 1] = entry;
  }

  private reply(success: boolean, updateNextIndex: number): AppendEntriesReply {
    return { type: "AppendEntriesReply", term: this.term, success, updateNextIndex };
  }
}
