/** Where each operation of a drawing goes. */
import { describe } from "./explain.js";
import { drawingDefaults } from "./limits.js";
import type { Operation } from "./operation.js";

export interface Bar {
  readonly operation: Operation;
  /** What stands on it. */
  readonly label: string;
  left: number;
  /** Of an operation without a return: the end of the drawing. */
  right: number;
  row: number;
}

export interface Lane {
  readonly client: string;
  readonly row: number;
}

export interface Timeline {
  readonly bars: ReadonlyMap<Operation, Bar>;
  readonly lanes: readonly Lane[];
  readonly rows: number;
  /** In pixels. */
  readonly width: number;
}

const eventPx = 12;
const characterPx = 6.7;
const paddingPx = 12;

/** `rankOf`: its number in the linearized order, from 1; 0 for none. */
export function layOut(
  operations: readonly Operation[],
  rankOf: (operation: Operation) => number,
): Timeline {
  const bars = new Map<Operation, Bar>();
  for (const operation of operations) {
    const rank = rankOf(operation);
    const text = describe(operation, drawingDefaults.labelBytesShownMax);
    const label = rank > 0 ? `${rank}: ${text}` : text;
    bars.set(operation, { operation, label, left: 0, right: 0, row: 0 });
  }
  const width = placeInTime([...bars.values()]);
  const { lanes, rows } = placeInLanes([...bars.values()]);
  return { bars, lanes, rows, width };
}

/**
 * Events stand at equal distances and not to scale, so that who overlapped whom can be seen; where
 * a bar would be too short for its label, its end moves on.
 */
function placeInTime(bars: readonly Bar[]): number {
  const events = bars.flatMap((bar) => [
    { bar, isReturn: false, time: bar.operation.callTime },
    { bar, isReturn: true, time: bar.operation.returnTime },
  ]);
  // At equal times calls come first, as in the check; `sort` is stable.
  events.sort((a, b) =>
    a.time === b.time ? Number(a.isReturn) - Number(b.isReturn) : a.time < b.time ? -1 : 1,
  );
  let x = 0;
  for (const { bar, isReturn } of events) {
    x += eventPx;
    if (isReturn) {
      x = Math.max(x, bar.left + Math.ceil(bar.label.length * characterPx) + paddingPx);
      bar.right = x;
    } else {
      bar.left = x;
    }
  }
  for (const bar of bars) if (bar.operation.returnTime === Infinity) bar.right = x;
  return x + eventPx;
}

/** A lane a client, with as many rows as it had operations in flight. */
function placeInLanes(bars: readonly Bar[]): { lanes: Lane[]; rows: number } {
  const lanes: Lane[] = [];
  let rows = 0;
  const clients = [...new Set(bars.map(({ operation }) => operation.client))];
  for (const client of clients.sort((a, b) => a.localeCompare(b, "en", { numeric: true }))) {
    lanes.push({ client, row: rows });
    const ends: number[] = [];
    const own = bars.filter(({ operation }) => operation.client === client);
    for (const bar of own.sort((a, b) => a.left - b.left)) {
      const free = ends.findIndex((end) => end < bar.left);
      const row = free < 0 ? ends.length : free;
      ends[row] = bar.right;
      bar.row = rows + row;
    }
    rows += ends.length;
  }
  return { lanes, rows };
}
