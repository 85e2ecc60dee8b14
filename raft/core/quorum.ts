/** Votes that decide in a cluster of `size`. */
export function quorumSize(size: number): number {
  return (size >> 1) + 1;
}

/**
 * The largest value that a majority has reached: of match indexes the index that may be committed
 * (Raft §5.3), of times the moment since which a majority is known to follow.
 */
export function quorumValue(values: readonly number[]): number {
  const descending = [...values].sort((a, b) => b - a);
  return descending[quorumSize(values.length) - 1] ?? 0;
}
