import type {
  OutgoingReply,
  OutgoingRequest,
  ReadState,
  Reply,
  SnapshotMeta,
  SnapshotTransfer,
} from "./types.js";

/** What the core gathers for its next `Ready`. */
export class Outbox {
  requests: OutgoingRequest[] = [];
  requestsAfterPersist: OutgoingRequest[] = [];
  replies: OutgoingReply[] = [];
  repliesAfterPersist: OutgoingReply[] = [];
  snapshots: SnapshotTransfer[] = [];
  reads: ReadState[] = [];
  readsLost = false;
  snapshot: SnapshotMeta | null = null;

  reply(replyTo: number, reply: Reply, afterPersist: boolean): void {
    (afterPersist ? this.repliesAfterPersist : this.replies).push({ replyTo, reply });
  }

  get isEmpty(): boolean {
    return (
      this.requests.length === 0 &&
      this.requestsAfterPersist.length === 0 &&
      this.replies.length === 0 &&
      this.repliesAfterPersist.length === 0 &&
      this.snapshots.length === 0 &&
      this.reads.length === 0 &&
      !this.readsLost &&
      this.snapshot === null
    );
  }
}
