/**
 * What is known of the operations on a key before any order of them is tried.
 *
 * A lineage is the time from one put to the next. A get belongs to one where its output can be read
 * in one way only and no two puts write the value that it begins with.
 */
import type { Ranked } from "./keyHistory.js";
import type { Link, UniqueReading } from "./observations.js";
import { OutputReader, noPut } from "./observations.js";

/**
 * The lineage of the key before its first put. That of a put is 1 + the rank of its value; and the
 * number after the last of those stands for gets that belong to none.
 */
export const firstLineage = 0;

export const seen = 0;
/** Not seen by any get that belongs to a lineage. */
export const unseenByRead = 1;
/** Not seen by any get. */
export const unseen = 2;

export interface WriteFacts {
  /** Some output can't have come about at all. */
  readonly isImpossible: boolean;
  /** Of each get. */
  readonly lineages: Int32Array;
  /**
   * By when each operation must have happened: where it returned, or where a get did that saw it,
   * which makes an unknown write one that happened. Infinity for one that need not have.
   */
  readonly returnTimes: Float64Array;
  /** Of each write: whether a get saw it, or a value made with it; `seen` and so on. */
  readonly sightings: Uint8Array;
  /** Of each append that is the only one of its value: where gets saw it; or null. */
  readonly links: readonly (Link | null)[];
  /** Of each output: the puts that it begins with, by rank. */
  readonly basesOf: readonly (readonly number[])[];
}

export function findWriteFacts(ranked: Ranked): WriteFacts {
  const { outputs, puts, appends } = ranked;
  const reader = new OutputReader(outputs, puts, appends);
  const gets = readGets(ranked, reader);
  const soloPuts = soloOperations(ranked, "put", puts.length);
  markLinks(ranked, gets, reader.links);
  const links = linksOf(ranked, reader.links);
  const lineages = findLineages(ranked, gets, soloPuts);
  return {
    isImpossible: reader.readings.includes("impossible"),
    lineages,
    returnTimes: findReturnTimes(ranked, gets, soloPuts, links),
    sightings: findSightings(ranked, gets, lineages, reader),
    links,
    basesOf: reader.basesOf,
  };
}

type GetReading = UniqueReading | "missing" | "ambiguous" | "impossible";

interface Get {
  readonly op: number;
  readonly reading: GetReading;
}

function readGets({ operations, ranks, appends }: Ranked, { readings }: OutputReader): Get[] {
  const firstPutReturn = operations.reduce(
    (first, { kind, returnTime }) => (kind === "put" ? Math.min(first, returnTime) : first),
    Infinity,
  );
  const canAppendNothing = appends[0]?.length === 0;
  const gets: Get[] = [];
  for (const [op, { kind, callTime }] of operations.entries()) {
    if (kind !== "get") continue;
    let reading: GetReading = readings[ranks[op]!] ?? "missing";
    if (isUnique(reading) && reading.orNoPut && callTime <= firstPutReturn) {
      // Before the first put a key comes to exist by an append only.
      if (reading.last || canAppendNothing) reading = "ambiguous";
    }
    gets.push({ op, reading });
  }
  return gets;
}

function findLineages(
  { operations, puts }: Ranked,
  gets: readonly Get[],
  soloPuts: Int32Array,
): Int32Array {
  const lineages = new Int32Array(operations.length).fill(1 + puts.length);
  for (const { op, reading } of gets) {
    const isFirst = reading === "missing" || (isUnique(reading) && reading.base === noPut);
    if (isFirst) lineages[op] = firstLineage;
    else if (isUnique(reading) && soloPuts[reading.base]! >= 0) lineages[op] = 1 + reading.base;
  }
  return lineages;
}

function isUnique(reading: GetReading): reading is UniqueReading {
  return typeof reading === "object";
}

/** Of each value: the one operation of this kind that writes it, or -1 where there are several. */
function soloOperations(
  { operations, ranks }: Ranked,
  kind: "put" | "append",
  count: number,
): Int32Array {
  const none = -2;
  const solo = new Int32Array(count).fill(none);
  for (const [op, operation] of operations.entries()) {
    if (operation.kind !== kind) continue;
    const rank = ranks[op]!;
    solo[rank] = solo[rank] === none ? op : -1;
  }
  return solo;
}

/** Tells each link when a get first had seen it. */
function markLinks({ operations }: Ranked, gets: readonly Get[], links: readonly Link[]): void {
  for (const { op, reading } of gets) {
    if (!isUnique(reading) || !reading.last) continue;
    reading.last.seenBy = Math.min(reading.last.seenBy, operations[op]!.returnTime);
  }
  for (const { previous, seenBy } of links.toReversed()) {
    if (previous) previous.seenBy = Math.min(previous.seenBy, seenBy);
  }
}

function linksOf(ranked: Ranked, links: readonly Link[]): (Link | null)[] {
  const solo = soloOperations(ranked, "append", ranked.appends.length);
  const found = ranked.operations.map((): Link | null => null);
  for (const link of links) {
    const op = solo[link.append]!;
    // An append seen in two places makes the history illegal; either place will show that.
    if (op >= 0 && link.seenBy < Infinity) found[op] ??= link;
  }
  return found;
}

function findReturnTimes(
  { operations }: Ranked,
  gets: readonly Get[],
  soloPuts: Int32Array,
  links: readonly (Link | null)[],
): Float64Array {
  const times = Float64Array.from(operations, ({ returnTime }) => returnTime);
  const see = (op: number, time: number): void => {
    // A write seen before its call makes the history illegal; the search will find that.
    times[op] = Math.min(times[op]!, Math.max(time, operations[op]!.callTime));
  };
  for (const { op, reading } of gets) {
    const put = isUnique(reading) ? (soloPuts[reading.base] ?? -1) : -1;
    if (put >= 0) see(put, operations[op]!.returnTime);
  }
  for (const [op, link] of links.entries()) if (link) see(op, link.seenBy);
  return times;
}

function findSightings(
  { operations, ranks, puts, appends }: Ranked,
  gets: readonly Get[],
  lineages: Int32Array,
  { links, basesOf }: OutputReader,
): Uint8Array {
  const areAllRead = gets.every(({ op }) => lineages[op] !== 1 + puts.length);
  const unlessUnread = areAllRead ? unseen : unseenByRead;
  const bases = new Set(basesOf.flat());
  const readBases = new Set(gets.map(({ reading }) => isUnique(reading) && reading.base));
  const readAppends = new Set<number>();
  for (const { append, seenBy } of links) if (seenBy < Infinity) readAppends.add(append);
  return Uint8Array.from(operations, ({ kind }, op) => {
    const rank = ranks[op]!;
    if (kind === "get") return seen;
    if (kind === "put") return readBases.has(rank) ? seen : bases.has(rank) ? unlessUnread : unseen;
    // An append of nothing can be seen nevertheless: it makes the key.
    if (appends[rank]!.length === 0 || readAppends.has(rank)) return seen;
    return unlessUnread;
  });
}
