/** Seeds 1 to `count` on every run; `LAB_SEEDS=1..50 npx vitest run test/sim/labs` takes others. */
export function seedsOf(count: number): number[] {
  const [first = 1, last = count] = (process.env["LAB_SEEDS"] ?? `1..${count}`)
    .split("..")
    .map(Number);
  if (!Number.isSafeInteger(first) || !Number.isSafeInteger(last) || first > last)
    throw new RangeError(`LAB_SEEDS is not first..last: ${process.env["LAB_SEEDS"]}`);
  return Array.from({ length: last - first + 1 }, (_, at) => first + at);
}
