/** Draws a history that is not legal, so that a person sees why. */
import { writeFileSync } from "node:fs";
import type { Illegal, Undecided } from "./checker.js";
import { describe, explain, showBytes, valueAfter } from "./explain.js";
import { drawingDefaults } from "./limits.js";
import type { Operation } from "./operation.js";
import type { Bar, Timeline } from "./timeline.js";
import { layOut } from "./timeline.js";

/** Writes `drawHtml` to `path`. */
export function drawVerdict(path: string, verdict: Illegal | Undecided): void {
  writeFileSync(path, drawHtml(verdict));
}

/** A whole page, with nothing outside of it. */
export function drawHtml(verdict: Illegal | Undecided): string {
  const title = `Key ${showBytes(verdict.key)}: ${verdict.verdict}`;
  const linearized = verdict.verdict === "illegal" ? verdict.linearized : [];
  const ranks = new Map(linearized.map((operation, index) => [operation, index + 1]));
  const drawn = selectDrawn(verdict);
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>${escape(title)}</title>
<style>${css}</style>
<h1>${escape(title)}</h1>
<p>${escape(explain(verdict))}.</p>
<p>${drawn.length} of ${verdict.operations.length} operations are drawn. Events stand in order and
not to scale; point at a bar for its times and its whole value.</p>
<p class="legend">${legend()}</p>
<div class="scroll">${drawSvg(drawn, ranks, verdict)}</div>
${drawOrder(linearized)}
</html>
`;
}

/** The latest that were called before the unexplained one returned; without one, the first. */
function selectDrawn(verdict: Illegal | Undecided): Operation[] {
  const byCall = [...verdict.operations].sort((a, b) => a.callTime - b.callTime);
  const { operationsDrawnMax } = drawingDefaults;
  if (verdict.verdict === "undecided") return byCall.slice(0, operationsDrawnMax);
  const { unexplained } = verdict;
  const earlier = byCall.filter(({ callTime }) => callTime <= unexplained.returnTime);
  const latest = earlier.slice(-operationsDrawnMax);
  return latest.includes(unexplained) ? latest : [unexplained, ...latest];
}

const rowPx = 30;
const barPx = 20;
const topPx = 10;
const namesPx = 90;

function drawSvg(
  drawn: readonly Operation[],
  ranks: ReadonlyMap<Operation, number>,
  verdict: Illegal | Undecided,
): string {
  const timeline = layOut(drawn, (operation) => ranks.get(operation) ?? 0);
  const unexplained = verdict.verdict === "illegal" ? verdict.unexplained : null;
  const width = namesPx + Math.ceil(timeline.width);
  const height = 2 * topPx + timeline.rows * rowPx;
  const bars = [...timeline.bars.values()].map((bar) => {
    const isPlaced = ranks.has(bar.operation);
    const isUnexplained = bar.operation === unexplained;
    return drawBar(bar, isUnexplained ? "unexplained" : isPlaced ? "placed" : "left");
  });
  const order = [...ranks.keys()].filter((operation) => timeline.bars.has(operation));
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}">
${drawLanes(timeline, width)}
${bars.join("\n")}
${drawOrderLine(order, timeline)}
</svg>`;
}

function drawLanes({ lanes }: Timeline, width: number): string {
  return lanes
    .map(({ client, row }) => {
      const y = topPx + row * rowPx;
      const name = `<text class="client" x="4" y="${y + 18}">${escape(client)}</text>`;
      return `<line class="lane" x1="0" x2="${width}" y1="${y - 5}" y2="${y - 5}"/>${name}`;
    })
    .join("\n");
}

function drawBar({ operation, label, left, right, row }: Bar, part: string): string {
  const y = topPx + row * rowPx;
  const { outcome, client, callTime, returnTime } = operation;
  const tip =
    `${client}: ${describe(operation)}\n${outcome}, called at ${callTime}` +
    (returnTime === Infinity ? "" : `, returned at ${returnTime}`);
  const x = namesPx + left;
  return (
    `<g class="${part} ${outcome}"><title>${escape(tip)}</title>` +
    `<rect x="${x}" y="${y}" width="${right - left}" height="${barPx}" rx="3"/>` +
    `<text x="${x + 6}" y="${y + 14}">${escape(label)}</text></g>`
  );
}

/** A line through one moment of each linearized operation, as early as the order allows. */
function drawOrderLine(order: readonly Operation[], { bars }: Timeline): string {
  let x = 0;
  const points = order.map((operation) => {
    const { left, right, row } = bars.get(operation)!;
    x = Math.min(Math.max(x + 3, left + 3), right);
    return { x: namesPx + x, y: topPx + row * rowPx + barPx };
  });
  const line = points.map((point) => `${point.x},${point.y}`).join(" ");
  const dots = points.map((point) => `<circle cx="${point.x}" cy="${point.y}" r="2.5"/>`);
  return `<g class="order"><polyline points="${line}"/>${dots.join("")}</g>`;
}

function drawOrder(linearized: readonly Operation[]): string {
  if (linearized.length === 0) return "";
  const first = Math.max(0, linearized.length - drawingDefaults.rowsShownMax);
  const rows = linearized.slice(first).map((operation, index) => {
    const rank = first + index + 1;
    const value = showBytes(valueAfter(linearized.slice(0, rank)));
    const cells = [String(rank), operation.client, describe(operation), value];
    return `<tr>${cells.map((cell) => `<td>${escape(cell)}</td>`).join("")}</tr>`;
  });
  return `<h2>The end of the order that holds without it</h2>
<table><tr><th>#</th><th>client</th><th>operation</th><th>value after it</th></tr>
${rows.join("\n")}
</table>`;
}

function legend(): string {
  const parts = [
    ["placed ok", "in the order, with its number"],
    ["unexplained ok", "has no place in any order of these"],
    ["left ok", "not in that order"],
    ["left unknown", "outcome unknown"],
    ["left failed", "did not happen"],
  ];
  return parts
    .map(
      ([classes, text]) =>
        `<svg width="22" height="14"><g class="${classes}">` +
        `<rect x="1" y="1" width="20" height="12" rx="3"/></g></svg> ${text}`,
    )
    .join(" &nbsp; ");
}

function escape(text: string): string {
  return text
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;")
    .replaceAll('"', "&quot;");
}

const css = `
body { font: 14px system-ui, sans-serif; margin: 24px; color: #1c2733; background: #fff; }
h1 { font-size: 20px; } h2 { font-size: 16px; }
.scroll { overflow-x: auto; border: 1px solid #d5dbe1; }
svg text { font: 11px ui-monospace, monospace; fill: #1c2733; }
svg text.client { font-weight: bold; }
.lane { stroke: #e6eaee; }
rect { stroke-width: 1.2; }
.placed rect { fill: #d7e8fb; stroke: #3b78b8; }
.left rect { fill: #eef0f2; stroke: #8b96a1; }
.unexplained rect { fill: #fbd3d0; stroke: #c3261b; stroke-width: 2.5; }
.unknown rect { stroke-dasharray: 6 3; }
.failed rect { fill: #fff; stroke-dasharray: 1 3; }
.failed text { text-decoration: line-through; }
.order polyline { fill: none; stroke: #e08a00; stroke-opacity: 0.6; }
.order circle { fill: #e08a00; }
table { border-collapse: collapse; font: 12px ui-monospace, monospace; }
td, th { border: 1px solid #d5dbe1; padding: 2px 8px; text-align: left; word-break: break-all; }
`;
