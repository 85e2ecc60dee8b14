import type { OutgoingReply, OutgoingRequest } from "./core/types.js";

export interface Messages {
  readonly requests: readonly OutgoingRequest[];
  readonly replies: readonly OutgoingReply[];
}

interface Held {
  readonly requests: OutgoingRequest[];
  readonly replies: OutgoingReply[];
}

/** What may be said only when the saves that it rests on are durable, by save. */
export class HeldMessages {
  private held: Held[] = [];

  /** The next save begins; it will be the last of those under way to end. */
  behindNewSave({ requests, replies }: Messages): void {
    this.held.push({ requests: [...requests], replies: [...replies] });
  }

  /** What is said now may rest on a save that is still under way. False: none is. */
  behindLastSave({ requests, replies }: Messages): boolean {
    const last = this.held.at(-1);
    if (last === undefined) return false;
    last.requests.push(...requests);
    last.replies.push(...replies);
    return true;
  }

  /** The oldest save has ended. */
  release(): Messages | undefined {
    return this.held.shift();
  }
}
