import type { Entry } from "../../raft/core/index.js";
import type { SnapshotImage } from "./durableState.js";

/**
 * The smallest state machine that tells whether two nodes applied the same commands in the same
 * order: a hash chain over them.
 */
export class ChainMachine {
  index = 0;
  hash = 0;
  private term = 0;

  apply(entry: Entry): void {
    if (entry.index !== this.index + 1)
      throw new Error(`entry ${entry.index} applied after ${this.index}`);
    this.index = entry.index;
    this.term = entry.term;
    let hash = this.hash;
    hash = Math.imul(hash ^ entry.term, 0x01000193);
    for (const byte of entry.command) hash = Math.imul(hash ^ byte, 0x01000193);
    this.hash = (hash ^ (hash >>> 15) ^ entry.index) >>> 0;
  }

  snapshot(): SnapshotImage {
    return { meta: { index: this.index, term: this.term }, hash: this.hash };
  }

  restore({ meta, hash }: SnapshotImage): void {
    this.index = meta.index;
    this.term = meta.term;
    this.hash = hash;
  }
}
