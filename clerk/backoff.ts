/**
 * Exponential backoff with full jitter: uniform between `msMin` and a bound that doubles with each
 * round up to `msMax`, so that clients that failed together do not come back together.
 */
export function backoffMs(round: number, msMin: number, msMax: number, random: number): number {
  const bound = Math.min(msMax, msMin * 2 ** Math.min(round + 1, 30));
  return msMin + random * Math.max(0, bound - msMin);
}
