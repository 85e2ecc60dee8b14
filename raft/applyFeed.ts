import type { ApplyChan } from "./applyChan.js";
import type { SnapshotMsg } from "./applyMsg.js";
import type { RaftLog } from "./core/raftLog.js";
import type { SnapshotMeta } from "./core/types.js";

/** Feeds `applyChan`: each committed entry once and in order, and snapshots in their place. */
export class ApplyFeed {
  private readonly applyChan: ApplyChan;
  private readonly log: RaftLog;
  private readonly openSnapshot: SnapshotMsg["open"];
  private commitIndex = 0;
  private next = 1;
  /** The newest snapshot that went through. */
  private handedUp: SnapshotMeta = { index: 0, term: 0 };

  constructor(applyChan: ApplyChan, log: RaftLog, openSnapshot: SnapshotMsg["open"]) {
    this.applyChan = applyChan;
    this.log = log;
    this.openSnapshot = openSnapshot;
  }

  /** What is handed up later stands from here on. */
  get nextIndex(): number {
    return this.next;
  }

  committed(index: number): void {
    this.commitIndex = index;
  }

  /** As much as there is room for. */
  pump(): void {
    const { applyChan, log } = this;
    while (this.next <= this.commitIndex && applyChan.hasRoom) {
      const { index, term, command } = log.entry(this.next);
      applyChan.push({
        commandValid: true,
        snapshotValid: false,
        command,
        commandIndex: index,
        commandTerm: term,
      });
      this.next++;
    }
    applyChan.flush();
  }

  snapshot(meta: SnapshotMeta): void {
    this.handedUp = meta;
    this.next = meta.index + 1;
    this.commitIndex = Math.max(this.commitIndex, meta.index);
    const message: SnapshotMsg = {
      commandValid: false,
      snapshotValid: true,
      snapshotIndex: meta.index,
      snapshotTerm: meta.term,
      open: this.openSnapshot,
    };
    this.applyChan.push(message);
    this.applyChan.flush();
  }

  /** Whether no newer snapshot than this one went through. */
  isNewestSnapshot({ index, term }: SnapshotMeta): boolean {
    const newest = this.handedUp;
    return index > newest.index || (index === newest.index && term === newest.term);
  }
}
