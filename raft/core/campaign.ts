import { quorumSize } from "./quorum.js";

/** The votes of one election, or of the pre-vote before it (Raft §5.2, thesis §9.6). */
export class Campaign {
  readonly preVote: boolean;
  /** The term that is asked for; in a pre-vote it is not the node's own yet. */
  readonly term: number;
  private readonly clusterSize: number;
  private readonly granted = new Set<number>();
  private readonly refused = new Set<number>();

  constructor(preVote: boolean, term: number, clusterSize: number) {
    this.preVote = preVote;
    this.term = term;
    this.clusterSize = clusterSize;
  }

  record(voter: number, granted: boolean): void {
    (granted ? this.granted : this.refused).add(voter);
  }

  get isWon(): boolean {
    return this.granted.size >= quorumSize(this.clusterSize);
  }

  get isLost(): boolean {
    return this.refused.size >= quorumSize(this.clusterSize);
  }
}
