import { markdownTable } from "../markdown.js";
import { median } from "../median.js";

/** One store with batches of one size. */
export interface Cell {
  readonly store: string;
  /** Entries that share a sync. */
  readonly batch: number;
  readonly syncsPerSecond: number;
  /** Of a batch, from its hand-over until it is durable, in ms. */
  readonly p50: number;
  readonly p99: number;
}

function sameWork(a: Cell, b: Cell): boolean {
  return a.store === b.store && a.batch === b.batch;
}

/** The cells of several rounds as one each, every figure the median of its own. */
export function medians(cells: readonly Cell[]): Cell[] {
  const firsts = cells.filter((cell, at) => cells.findIndex((one) => sameWork(one, cell)) === at);
  return firsts.map((first) => {
    const group = cells.filter((cell) => sameWork(cell, first));
    return {
      ...first,
      syncsPerSecond: median(group.map((cell) => cell.syncsPerSecond)),
      p50: median(group.map((cell) => cell.p50)),
      p99: median(group.map((cell) => cell.p99)),
    };
  });
}

function count(value: number): string {
  return Math.round(value).toLocaleString("en-US");
}

const columns = ["a sync", "store", "entries/s", "syncs/s", "p50 us", "p99 us", "ratio"];

/** `ratio`: the first store's throughput over the row's. */
export function table(cells: readonly Cell[]): string {
  const rows = cells.map((cell) => {
    const { batch, store, syncsPerSecond, p50, p99 } = cell;
    const base = cells.find((one) => one.batch === batch)!;
    return [
      `${batch}`,
      store,
      count(syncsPerSecond * batch),
      count(syncsPerSecond),
      count(p50 * 1000),
      count(p99 * 1000),
      base === cell ? "" : `${(base.syncsPerSecond / syncsPerSecond).toFixed(2)}x`,
    ];
  });
  return markdownTable([columns, ...rows], 2);
}
