/** The newest events that a failed run prints. */
const keptEventsMax = 200;

type Part = number | string | boolean;

/**
 * What happened, as a hash over all of it and the newest events in full. Two runs with equal
 * hashes took the same course.
 */
export class Trace {
  private state = 0x811c9dc5;
  private events = 0;
  private readonly kept: (readonly Part[])[] = [];
  private readonly print: boolean;

  /** @param print writes every event to stderr as it happens. */
  constructor(print = false) {
    this.print = print;
  }

  add(...event: Part[]): void {
    for (const part of event) this.mix(part);
    this.kept[this.events % keptEventsMax] = event;
    this.events++;
    if (this.print) console.error(format(event));
  }

  get hash(): string {
    return (this.state >>> 0).toString(16).padStart(8, "0");
  }

  get length(): number {
    return this.events;
  }

  /** The newest events, oldest first, one a line. */
  tail(): string {
    const oldest = this.events % keptEventsMax;
    return [...this.kept.slice(oldest), ...this.kept.slice(0, oldest)].map(format).join("\n");
  }

  /** FNV-1a; a number enters with its fraction, in thousandths. */
  private mix(part: Part): void {
    if (typeof part === "string") {
      for (let at = 0; at < part.length; at++) this.mixWord(part.charCodeAt(at));
      return;
    }
    const scaled = Math.round(Number(part) * 1000);
    this.mixWord(scaled | 0);
    this.mixWord((scaled / 0x1_0000_0000) | 0);
  }

  private mixWord(word: number): void {
    this.state = Math.imul(this.state ^ word, 0x01000193);
    this.state ^= this.state >>> 15;
  }
}

function format(event: readonly Part[]): string {
  return event
    .map((part) => (typeof part === "number" && !Number.isInteger(part) ? part.toFixed(3) : part))
    .join(" ");
}
