/**
 * Which node is believed to lead. Many calls fail at the same node when it goes down; only the
 * first of them moves the belief on, and what a node says after that no longer counts.
 */
export class LeaderTracker {
  private readonly nodeCount: number;
  private believed = 0;

  constructor(nodeCount: number) {
    this.nodeCount = nodeCount;
  }

  get current(): number {
    return this.believed;
  }

  /** `node` did what only a leader does. */
  led(node: number): void {
    this.believed = node;
  }

  /** `node` gave no answer that helps: the next one round the list is as good as any. */
  failed(node: number): void {
    if (this.believed === node) this.believed = (node + 1) % this.nodeCount;
  }

  /** `node` does not lead; `hint` is the leader's id plus 1, 0 when `node` does not know it. */
  refused(node: number, hint: number): void {
    if (this.believed !== node) return;
    const known = hint >= 1 && hint <= this.nodeCount && hint - 1 !== node;
    if (known) this.believed = hint - 1;
    else this.failed(node);
  }
}
