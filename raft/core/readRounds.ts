/**
 * Batches linearizable reads into rounds of heartbeats (thesis §6.4, ReadIndex).
 *
 * All reads that come while a round is out share the next one. A round is confirmed once a majority
 * answered requests that were sent after it began; every request carries the newest round that had
 * begun when it left, so ordinary AppendEntries confirm it as well as heartbeats.
 */
export class ReadRounds {
  /** The newest round that has begun: the number to stamp on requests that leave now. */
  private begun = 0;
  /** Whether reads wait for the round `begun + 1`. */
  private gathering = false;
  /** Whether the round `begun` waits for its majority. */
  private out = false;
  private outIndex = 0;

  get stamp(): number {
    return this.begun;
  }

  get isOut(): boolean {
    return this.out;
  }

  get canBegin(): boolean {
    return this.gathering && !this.out;
  }

  /** Adds a read; returns the round that will confirm it. */
  join(): number {
    this.gathering = true;
    return this.begun + 1;
  }

  /** Begins the gathered round. `readIndex` is what the log had committed at this moment. */
  begin(readIndex: number): void {
    this.begun++;
    this.gathering = false;
    this.out = true;
    this.outIndex = readIndex;
  }

  /** Ends the round that is out when a majority answered it. */
  confirm(quorumRound: number): { round: number; index: number } | null {
    if (!this.out || quorumRound < this.begun) return null;
    this.out = false;
    return { round: this.begun, index: this.outIndex };
  }
}
