import type { CoreRunResult } from "../coreCluster.js";
import type { FaultKind } from "./faults.js";
import type { FullRunResult } from "./fullCluster.js";

/** What many runs come to. */
export class Totals {
  simulatedMs = 0;
  readonly failedSeeds: number[] = [];
  private seeds = 0;
  private operations = 0;
  private answered = 0;
  private committed = 0;
  private events = 0;
  private readonly faults = new Map<FaultKind, number>();
  private readonly startedAt = performance.now();

  add(run: FullRunResult | CoreRunResult): void {
    this.seeds++;
    this.simulatedMs += run.simulatedMs;
    this.committed += run.committed;
    this.events += run.events;
    if (!("faults" in run)) return;
    this.operations += run.operations;
    this.answered += run.answered;
    for (const [kind, count] of Object.entries(run.faults) as [FaultKind, number][])
      this.faults.set(kind, (this.faults.get(kind) ?? 0) + count);
  }

  failed(seed: number): void {
    this.seeds++;
    this.failedSeeds.push(seed);
  }

  /** How far it has come. */
  line(): string {
    const simulated = this.simulatedMs / 1_000;
    return (
      `${this.seeds} seeds, ${simulated.toFixed(0)} simulated s ` +
      `(${(simulated / this.realSeconds).toFixed(0)} a real s), ` +
      `${this.committed} entries committed, ${this.failedSeeds.length} violations`
    );
  }

  summary(): string {
    const simulated = this.simulatedMs / 1_000;
    const { user, system } = process.cpuUsage();
    const processor = (user + system) / 1_000_000;
    const faults = [...this.faults].sort((a, b) => b[1] - a[1]);
    const struck = faults.reduce((sum, [, count]) => sum + count, 0);
    return [
      `seeds              ${this.seeds}`,
      `simulated          ${simulated.toFixed(0)} s`,
      `real               ${this.realSeconds.toFixed(0)} s (${processor.toFixed(0)} s of processor)`,
      `simulated a real s ${(simulated / this.realSeconds).toFixed(0)} s`,
      `client operations  ${this.operations}, ${this.answered} answered`,
      `entries committed  ${this.committed}`,
      `events             ${this.events}`,
      `faults             ${struck}`,
      ...faults.map(([kind, count]) => `  ${kind.padEnd(16)} ${count}`),
      `violations         ${this.failedSeeds.length}${this.failedSeeds.map((seed) => ` ${seed}`).join("")}`,
    ].join("\n");
  }

  private get realSeconds(): number {
    return (performance.now() - this.startedAt) / 1_000;
  }
}
