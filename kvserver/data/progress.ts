/** How far a long step has come: a bar in place on a terminal, a line now and then elsewhere. */
import { Interrupted, type DataWorld } from "./world.js";

const intervalMsOnTty = 100;
const intervalMsElsewhere = 5_000;
const barColumns = 24;

export class Progress {
  private readonly world: DataWorld;
  private readonly doing: string;
  private readonly totalBytes: number;
  private readonly startedAt: number;
  private nextAt: number;
  private bytes = 0;
  private isShown = false;

  /** @param doing "verify", "export": what stands in front. */
  constructor(world: DataWorld, doing: string, totalBytes: number) {
    this.world = world;
    this.doing = doing;
    this.totalBytes = totalBytes;
    this.startedAt = world.now();
    this.nextAt = this.startedAt + this.interval;
  }

  /** So many bytes more. @throws Interrupted. */
  advance(bytes: number): void {
    if (this.world.signal.aborted) throw new Interrupted();
    this.bytes += bytes;
    const now = this.world.now();
    if (now < this.nextAt) return;
    this.nextAt = now + this.interval;
    this.show(now);
  }

  /** Takes the bar away, so that what is written next stands alone. */
  clear(): void {
    if (this.isShown && this.world.stderrIsTty) this.world.writeErr("\r\x1b[K");
    this.isShown = false;
  }

  private get interval(): number {
    return this.world.stderrIsTty ? intervalMsOnTty : intervalMsElsewhere;
  }

  private show(now: number): void {
    this.isShown = true;
    const line = this.line((now - this.startedAt) / 1000);
    this.world.writeErr(this.world.stderrIsTty ? `\r${line}\x1b[K` : `${line}\n`);
  }

  private line(seconds: number): string {
    const part = this.totalBytes === 0 ? 1 : Math.min(1, this.bytes / this.totalBytes);
    const full = Math.round(part * barColumns);
    const bar = this.world.stderrIsTty
      ? ` [${"#".repeat(full)}${" ".repeat(barColumns - full)}]`
      : "";
    const percent = `${Math.floor(part * 100)}%`.padStart(5);
    const amount = `${formatBytes(this.bytes)} of ${formatBytes(this.totalBytes)}`;
    return `${this.doing}${bar}${percent}  ${amount}, ${formatBytes(this.bytes / seconds)}/s`;
  }
}

export function formatBytes(bytes: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"] as const;
  let value = bytes;
  let unit = 0;
  for (; value >= 1024 && unit < units.length - 1; unit++) value /= 1024;
  return `${unit === 0 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`;
}
