import type { Cell } from "./cell.js";
import type { Work } from "./plan.js";

const width = 720;
const height = 440;
const margin = { left: 64, right: 150, top: 40, bottom: 48 };
const colours = ["#0b6e4f", "#c1121f", "#1d4e89", "#8a5a00"];

interface Axis {
  readonly from: number;
  readonly to: number;
  readonly ticks: readonly number[];
}

/** Whole powers of ten around `values`, with 2 and 5 between them as ticks. */
function logAxis(values: readonly number[]): Axis {
  const from = 10 ** Math.floor(Math.log10(Math.min(...values)));
  const to = 10 ** Math.ceil(Math.log10(Math.max(...values) * 1.0001));
  const ticks: number[] = [];
  for (let power = from; power <= to; power *= 10)
    for (const step of [1, 2, 5]) if (power * step <= to) ticks.push(power * step);
  return { from, to, ticks };
}

function place(axis: Axis, value: number): number {
  return Math.log(value / axis.from) / Math.log(axis.to / axis.from);
}

function label(value: number): string {
  return value >= 1000 ? `${value / 1000}k` : `${Number(value.toPrecision(2))}`;
}

/** Throughput against latency, both logarithmic: the lower and the further right, the better. */
export function plot(work: Work, all: readonly Cell[]): string {
  const cells = all.filter((cell) => cell.work === work && cell.opsPerSecond > 0);
  const xAxis = logAxis(cells.map((cell) => cell.opsPerSecond));
  const yAxis = logAxis(cells.map((cell) => cell.p99));
  const spanX = width - margin.left - margin.right;
  const spanY = height - margin.top - margin.bottom;
  const x = (value: number): string => (margin.left + place(xAxis, value) * spanX).toFixed(1);
  const y = (value: number): string =>
    (height - margin.bottom - place(yAxis, value) * spanY).toFixed(1);
  const bottom = height - margin.bottom;
  const right = width - margin.right;
  const parts = [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" font-family="sans-serif" font-size="11">`,
    `<rect width="${width}" height="${height}" fill="white"/>`,
    `<text x="${margin.left}" y="20" font-size="14">${work}: p99 latency against throughput</text>`,
    `<text x="${(margin.left + right) / 2}" y="${height - 10}" text-anchor="middle">${work}s a second</text>`,
    `<text x="14" y="${height / 2}" transform="rotate(-90 14 ${height / 2})" text-anchor="middle">p99, ms</text>`,
  ];
  for (const tick of xAxis.ticks)
    parts.push(
      `<path d="M${x(tick)} ${margin.top}V${bottom}" stroke="#ddd"/>`,
      `<text x="${x(tick)}" y="${bottom + 14}" text-anchor="middle">${label(tick)}</text>`,
    );
  for (const tick of yAxis.ticks)
    parts.push(
      `<path d="M${margin.left} ${y(tick)}H${right}" stroke="#ddd"/>`,
      `<text x="${margin.left - 6}" y="${y(tick)}" dy="4" text-anchor="end">${label(tick)}</text>`,
    );
  const targets = [...new Set(cells.map((cell) => cell.target))];
  for (const [i, target] of targets.entries()) {
    const colour = colours[i % colours.length]!;
    const points = cells.filter((cell) => cell.target === target);
    const line = points.map((cell) => `${x(cell.opsPerSecond)},${y(cell.p99)}`).join(" ");
    parts.push(`<polyline points="${line}" fill="none" stroke="${colour}" stroke-width="2"/>`);
    for (const cell of points) {
      const at = `cx="${x(cell.opsPerSecond)}" cy="${y(cell.p99)}"`;
      parts.push(
        `<circle ${at} r="3" fill="${colour}"><title>${target}, ${cell.load}</title></circle>`,
      );
    }
    const legendY = margin.top + 10 + i * 18;
    parts.push(
      `<rect x="${right + 12}" y="${legendY - 8}" width="10" height="10" fill="${colour}"/>`,
      `<text x="${right + 28}" y="${legendY}">${target}</text>`,
    );
  }
  return `${parts.join("\n")}\n</svg>\n`;
}
