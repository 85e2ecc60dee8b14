import v8 from "node:v8";

/** Bytes of the young generation's two halves together. */
const youngBytes = 8 * 1024 * 1024;
/** Objects that are made at a time, and how often, to have it grow: five times what it takes. */
const objectsPerStep = 2_000;
const stepsMax = 150;
/** What may be made between two full collections, of objects that stayed and of buffers. */
const growthBytes = 64 * 1024 * 1024;
/** In percent of what the last collection left; V8 itself lets a small heap grow by 16 MiB. */
const growthPercentMax = 1_600;
/** The heap is looked at so often; what it is at its smallest in so many looks is taken for live. */
const lookEveryMs = 250;
const looks = 20;

/**
 * Settles when V8 collects, for what a node makes. Nothing where Node was told a size of the young
 * generation.
 *
 * **The young generation** grows to two halves of 4 MiB, and no further: Node's default is 16. What
 * survives is copied, and the larger the space, the longer the pause and the more memory it takes.
 *
 * **Full collections** come when 64 MiB were made and not 16. Each buffer counts, so that with values
 * of 1 MiB one came after every third put and took half of the processor.
 */
export function settleHeap(): void {
  const told = [...process.execArgv, process.env["NODE_OPTIONS"] ?? ""].join(" ");
  if (told.includes("semi-space")) return;
  growYoungGeneration();
  // V8 multiplies the size by this when much has survived a collection.
  v8.setFlagsFromString("--semi-space-growth-factor=1");
  letGrow();
}

/** V8 lets it grow when what was made lately is still in use. */
function growYoungGeneration(): void {
  const kept: object[][] = [];
  for (let step = 0; step < stepsMax && youngBytesNow() < youngBytes; step++)
    kept.push(Array.from({ length: objectsPerStep }, (_, n) => ({ n })));
}

function youngBytesNow(): number {
  const spaces = v8.getHeapSpaceStatistics();
  return spaces.find((space) => space.space_name === "new_space")?.space_size ?? Infinity;
}

/** V8 knows a share of the heap: it is looked after, so that the bound stays one in bytes. */
function letGrow(): void {
  let percent = 0;
  let smallest = 0;
  let smallestBefore = 0;
  let look = 0;
  const settle = (): void => {
    const used = v8.getHeapStatistics().used_heap_size;
    if (look++ % looks === 0) {
      smallestBefore = look === 1 ? used : smallest;
      smallest = used;
    }
    smallest = Math.min(smallest, used);
    const fits = growthPercent(Math.min(smallest, smallestBefore));
    if (fits === percent) return;
    percent = fits;
    v8.setFlagsFromString(`--heap-growing-percent=${percent}`);
  };
  settle();
  setInterval(settle, lookEveryMs).unref();
}

/** For a heap of `bytes`: a multiple of 100; or 0, which leaves it to V8. */
export function growthPercent(bytes: number): number {
  return Math.min(growthPercentMax, 100 * Math.floor(growthBytes / bytes));
}
