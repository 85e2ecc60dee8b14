export const keyOf = (n: number): string => `key-${String(n).padStart(9, "0")}`;

/** A step that visits all keys in an order that has no locality. */
export function strideOf(keys: number): number {
  const gcd = (a: number, b: number): number => (b === 0 ? a : gcd(b, a % b));
  let stride = Math.max(1, Math.floor(keys * 0.618));
  while (gcd(stride, keys) !== 1) stride++;
  return stride;
}
