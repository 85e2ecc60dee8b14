/** Rows as a Markdown table, the first being its head; all but the first `left` columns to the right. */
export function markdownTable(rows: readonly (readonly string[])[], left: number): string {
  const widths = rows[0]!.map((_, i) => Math.max(...rows.map((row) => row[i]!.length)));
  const pad = (text: string, i: number): string =>
    i < left ? text.padEnd(widths[i]!) : text.padStart(widths[i]!);
  const lines = rows.map((row) => `| ${row.map(pad).join(" | ")} |`);
  const rule = widths.map((width, i) =>
    i < left ? "-".repeat(width) : `${"-".repeat(width - 1)}:`,
  );
  return [lines[0], `| ${rule.join(" | ")} |`, ...lines.slice(1)].join("\n");
}
