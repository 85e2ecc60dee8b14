import type { NodeStatus } from "./clerk.js";

const columns = [
  "node",
  "address",
  "role",
  "term",
  "commit",
  "applied",
  "log",
  "keys",
  "sessions",
] as const;

/** One line a node under a heading; a node that gave no status has its problem instead. */
export function formatStatus(nodes: readonly NodeStatus[]): string {
  const rows = nodes.map(row);
  const widths = columns.map((name, column) =>
    Math.max(name.length, ...rows.map((cells) => cells[column]?.length ?? 0)),
  );
  const table = [columns, ...rows].map((cells, line) => {
    const padded = cells.map((cell, column) => cell.padEnd(widths[column]!)).join("  ");
    const problem = nodes[line - 1]?.problem ?? null;
    return `${problem === null ? padded.trimEnd() : `${padded}  ${problem}`}\n`;
  });
  return table.join("");
}

function row({ id, address, status }: NodeStatus): readonly string[] {
  if (status === null) return [String(id), address];
  return [
    String(id),
    address,
    status.Role,
    String(status.Term),
    String(status.CommitIndex),
    String(status.LastApplied),
    String(status.LastLogIndex),
    String(status.Keys),
    String(status.Sessions),
  ];
}
