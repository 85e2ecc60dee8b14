import { markdownTable } from "../markdown.js";
import { median } from "../median.js";
import type { Cell } from "./cell.js";

const figures = [
  ...(["opsPerSecond", "p50", "p90", "p99", "max"] as const),
  ...(["clientCpu", "leaderCpu", "followerCpu", "batch"] as const),
];

function sameWork(a: Cell, b: Cell): boolean {
  return a.work === b.work && a.load === b.load && a.loop === b.loop;
}

function middleOf(values: readonly (number | null)[]): number | null {
  const known = values.filter((value) => value !== null);
  return known.length === 0 ? null : median(known);
}

/** The cells of several rounds as one each, every figure the median of its own. */
export function medians(cells: readonly Cell[]): Cell[] {
  const result: Cell[] = [];
  for (const cell of cells) {
    if (result.some((one) => one.target === cell.target && sameWork(one, cell))) continue;
    const group = cells.filter((one) => one.target === cell.target && sameWork(one, cell));
    const middle = figures.map((name) => [name, middleOf(group.map((one) => one[name]))]);
    const failures = group.reduce((sum, one) => sum + one.failures, 0);
    result.push({ ...cell, ...Object.fromEntries(middle), failures });
  }
  return result;
}

const columns = ["work", "load", "target", "ops/s", "p50", "p90", "p99", "max ms"];
const cpuColumns = ["client", "leader", "follower", "batch", "ratio"];

export function whole(value: number): string {
  return Math.round(value).toLocaleString("en-US");
}

/** Microseconds of a process's CPU time for each of the cell's operations. */
export function cpuMicros(cpu: number, { opsPerSecond }: Cell): string {
  return ((cpu * 1e6) / opsPerSecond).toFixed(1);
}

export function inMs(value: number): string {
  return value.toFixed(2);
}

export function percent(share: number): string {
  return `${(share * 100).toFixed(0)} %`;
}

function row(cell: Cell, base: Cell | undefined): string[] {
  const ratio = base === undefined || base === cell ? null : base.opsPerSecond / cell.opsPerSecond;
  const load = cell.loop === "closed" ? `${cell.load}` : `${cell.load}/s`;
  const failures = cell.failures === 0 ? "" : ` (${cell.failures} failed)`;
  return [
    cell.work,
    load,
    cell.target,
    whole(cell.opsPerSecond) + failures,
    ...[cell.p50, cell.p90, cell.p99, cell.max].map(inMs),
    ...[cell.clientCpu, cell.leaderCpu, cell.followerCpu].map(percent),
    cell.batch === null ? "" : cell.batch.toFixed(1),
    ratio === null ? "" : `${ratio.toFixed(2)}x`,
  ];
}

/**
 * A Markdown table, the targets of one load under each other. CPU is in shares of one core; `ratio`
 * is the first target's throughput over that row's.
 */
export function table(cells: readonly Cell[]): string {
  const rows = [[...columns, ...cpuColumns]];
  const shown = new Set<Cell>();
  for (const cell of cells) {
    if (shown.has(cell)) continue;
    for (const one of cells.filter((other) => sameWork(cell, other))) {
      rows.push(row(one, cell));
      shown.add(one);
    }
  }
  return markdownTable(rows, 3);
}
