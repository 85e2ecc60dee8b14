import type { LayerCost } from "./layers.js";
import type { Measured } from "./pair.js";
import type { Kind } from "./peers.js";

/** One setting's medians for one kind. */
export interface Cell extends Measured {
  readonly kind: Kind;
  readonly payloadBytes: number;
  readonly inFlight: number;
}

const columns = [
  "payload",
  "in flight",
  "",
  "calls/s",
  "p50 us",
  "p99 us",
  "client us",
  "server us",
  "x grpc-js",
  "x socket",
  "p99 / grpc-js",
];

/** `client us` and `server us` are CPU time for each call. */
export function formatTable(cells: readonly Cell[]): string {
  return alignColumns([columns, ...cells.map((cell) => row(cell, cells))]);
}

function row(cell: Cell, cells: readonly Cell[]): string[] {
  const other = (kind: Kind): Cell | undefined =>
    cells.find(
      ({ kind: its, payloadBytes, inFlight }) =>
        its === kind && payloadBytes === cell.payloadBytes && inFlight === cell.inFlight,
    );
  const grpc = other("grpc-js");
  const ratio = (to: Cell | undefined): string =>
    to === undefined ? "" : (cell.callsPerSecond / to.callsPerSecond).toFixed(2);
  return [
    `${cell.payloadBytes} B`,
    String(cell.inFlight),
    cell.kind,
    Math.round(cell.callsPerSecond).toLocaleString("en"),
    cell.p50Us.toFixed(0),
    cell.p99Us.toFixed(0),
    cell.cpuUsPerCall.toFixed(2),
    cell.serverCpuUsPerCall.toFixed(2),
    ratio(grpc),
    ratio(other("socket")),
    grpc === undefined ? "" : (cell.p99Us / grpc.p99Us).toFixed(3),
  ];
}

/** Nanoseconds for one call, by layer and payload. */
export function formatLayers(layers: readonly LayerCost[]): string {
  const rows = layers.map(({ payloadBytes, layer, ns }) => [
    `${payloadBytes} B`,
    layer,
    ns.toFixed(0),
  ]);
  return alignColumns([["payload", "layer", "ns"], ...rows]);
}

function alignColumns(rows: readonly string[][]): string {
  const widths = rows[0]!.map((_, column) =>
    Math.max(...rows.map((cells) => cells[column]!.length)),
  );
  const lines = rows.map((cells) => cells.map((text, i) => text.padStart(widths[i]!)).join("  "));
  return `${lines.join("\n")}\n`;
}
