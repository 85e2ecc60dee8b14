/**
 * What each output says of the writes before it. An output is the value of a put, or nothing for
 * the key before its first put, with the values of appends behind it. Where it can be cut into such
 * parts in one way only, every order of the operations has made it in that way. Histories whose
 * writes all differ are decided by this almost alone.
 */
import { PrefixIndex } from "./sortedBytes.js";

/** The base of outputs that consist of appends alone. */
export const noPut = -1;

/** One append of an output; those before it are shared with other outputs. */
export interface Link {
  readonly previous: Link | null;
  readonly append: number;
  readonly start: number;
  readonly end: number;
  /** Rank of an output that it was found in. */
  readonly output: number;
  /** For the caller: the earliest return of a get that saw it. */
  seenBy: number;
}

/** `ambiguous`: it may have been made in several ways. `impossible`: in none. */
export type Reading = "ambiguous" | "impossible" | UniqueReading;

export interface UniqueReading {
  /** Rank of the put, or `noPut`. */
  readonly base: number;
  /** The put wrote an empty value: appends before the first put would give the same. */
  readonly orNoPut: boolean;
  readonly last: Link | null;
}

export class OutputReader {
  /** Of each output. */
  readonly readings: Reading[] = [];
  /** All links; each stands behind its `previous`. */
  readonly links: Link[] = [];
  /** Of each output: the puts that it begins with. */
  readonly basesOf: readonly (readonly number[])[];
  private readonly outputs: readonly Buffer[];
  private readonly puts: readonly Buffer[];
  private readonly appends: readonly Buffer[];
  private readonly appendIndex: PrefixIndex;

  /** All three sorted, each string once. Everything goes by their ranks. */
  constructor(outputs: readonly Buffer[], puts: readonly Buffer[], appends: readonly Buffer[]) {
    this.outputs = outputs;
    this.puts = puts;
    this.appends = appends;
    this.appendIndex = new PrefixIndex(appends);
    const putIndex = new PrefixIndex(puts);
    this.basesOf = outputs.map((output) => putIndex.prefixesAt(output, 0));
    const nesting = new PrefixIndex(outputs);
    for (const output of outputs.keys()) {
      this.readings.push(this.read(output, nesting.parentOf(output)));
    }
  }

  /** `parent`: the longest output that this one begins with, or -1. */
  private read(output: number, parent: number): Reading {
    const known = parent >= 0 ? this.readings[parent]! : "impossible";
    // A choice in the beginning may remain one in the whole; nothing is lost by assuming so.
    if (known === "ambiguous") return known;
    const bases = this.basesOf[output]!;
    const orNoPut = this.puts[bases.at(-1) ?? -1]?.length === 0;
    let found: Reading = "impossible";
    for (const base of orNoPut ? bases : [...bases, noPut]) {
      const isKnown = known !== "impossible" && known.base === base;
      const from = isKnown ? this.settled(known.last, this.outputs[parent]!.length) : null;
      const last = this.follow(output, base, from);
      if (last === "impossible") continue;
      if (last === "ambiguous" || found !== "impossible") return "ambiguous";
      found = { base, orNoPut: orNoPut && base === bases.at(-1), last };
    }
    return found;
  }

  /** Back to where no append could have reached beyond `length`, so that all were considered. */
  private settled(last: Link | null, length: number): Link | null {
    let link = last;
    while (link && link.start + this.appendIndex.lengthMax > length) link = link.previous;
    return link;
  }

  private follow(
    output: number,
    base: number,
    from: Link | null,
  ): Link | null | "ambiguous" | "impossible" {
    const bytes = this.outputs[output]!;
    let last = from;
    let start = last?.end ?? (base === noPut ? 0 : this.puts[base]!.length);
    const added: Link[] = [];
    while (start < bytes.length) {
      const candidates = this.appendIndex.prefixesAt(bytes, start);
      // An append of nothing leaves no trace.
      if (this.appends[candidates.at(-1) ?? -1]?.length === 0) candidates.pop();
      if (candidates.length === 0) return "impossible";
      if (candidates.length > 1) return "ambiguous";
      const append = candidates[0]!;
      const end = start + this.appends[append]!.length;
      last = { previous: last, append, start, end, output, seenBy: Infinity };
      added.push(last);
      start = end;
    }
    for (const link of added) this.links.push(link);
    return last;
  }
}
