import type { RequestVote } from "./types.js";

/** `AppendEntries.admits` to a node that lost entries it had acknowledged, and may not know it. */
export const lostEntries = -1;

/** Named by a joining node until it votes again; a fresh one for each time it starts to join. */
const nonceMax = 2 ** 48;

/**
 * What a node knows that joins: its data directory is new, so either the cluster is new too, or the
 * node has forgotten whom it voted for and what it acknowledged. Until that is settled it neither
 * votes nor campaigns, and its acknowledgements count for nothing.
 *
 *     joining --(all others are at term 0)---------------------------------------------> votes
 *        |                                                                                ^
 *        +--(all others told their terms)--> follows a leader of at least that term ------+
 *                                            who admits it: it has all that this leader had
 *                                            when it learned that the node joins
 *
 * Why it may vote then. Whoever the node once voted for, and every leader that counted its
 * acknowledgements, is one of the others and had that term on disk: so no such term is above theirs.
 * It votes for no one else in the term in which it is admitted. And a leader of that term has all
 * that was committed in earlier ones (Leader Completeness, which the forgetful node did not help to
 * break, as it had no vote meanwhile), and what it counted itself it had before it asked.
 */
export class Joining {
  /** In [1, 2^48]. */
  readonly nonce: number;
  /** When the others are asked next. */
  askAt: number;
  private readonly clusterSize: number;
  /** By node, the highest term that it told since this node began to join. */
  private readonly terms = new Map<number, number>();

  constructor(random: () => number, clusterSize: number, now: number) {
    this.nonce = 1 + Math.floor(random() * nonceMax);
    this.clusterSize = clusterSize;
    this.askAt = now;
  }

  heardFrom(peer: number, term: number): void {
    this.terms.set(peer, Math.max(term, this.terms.get(peer) ?? 0));
  }

  hasHeard(peer: number): boolean {
    return this.terms.has(peer);
  }

  get heardAll(): boolean {
    return this.terms.size === this.clusterSize - 1;
  }

  /** Nobody has ever voted or led: there is nothing that this node can have forgotten. */
  get clusterIsNew(): boolean {
    return this.heardAll && [...this.terms.values()].every((term) => term === 0);
  }
}

/** A pre-vote that none can grant: its answer tells the other's term, and changes nothing. */
export function askForTerm(from: number): RequestVote {
  return {
    type: "RequestVote",
    term: 0,
    from,
    lastLogIndex: 0,
    lastLogTerm: 0,
    preVote: true,
    leadershipTransfer: false,
  };
}
