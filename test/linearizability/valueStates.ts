/**
 * The values that a key can have, as far as gets can tell them apart. A value is either the
 * beginning of some get's output, or no get can ever see it, nor anything made of it by appends:
 * all those are one state, `lost`. So a state is a range of the sorted outputs and a length, and
 * equality is exact without a byte of the value being stored.
 */
export const missing = 0;
export const lost = 1;

const bytesPerState = 120;
const bytesPerTransition = 50;

export class ValueStates {
  private readonly outputs: readonly Buffer[];
  private readonly puts: readonly Buffer[];
  private readonly appends: readonly Buffer[];
  /** The outputs that begin with the state: ranks from low to before high. */
  private readonly lows: number[];
  private readonly highs: number[];
  private readonly lengths: number[];
  private readonly byRange = new Map<number, number>();
  private readonly appended = new Map<number, number>();

  /** Each sorted, each string once. Writes are named by their ranks. */
  constructor(outputs: readonly Buffer[], puts: readonly Buffer[], appends: readonly Buffer[]) {
    this.outputs = outputs;
    this.puts = puts;
    this.appends = appends;
    this.lows = [0, 0];
    this.highs = [outputs.length, 0];
    this.lengths = [0, 0];
  }

  /** An estimate. */
  get memoryBytes(): number {
    return this.lows.length * bytesPerState + this.appended.size * bytesPerTransition;
  }

  lengthOf(state: number): number {
    return this.lengths[state]!;
  }

  isOutput(state: number, output: number): boolean {
    // What equals the beginning sorts before all that is longer.
    return (
      state > lost &&
      this.lows[state] === output &&
      this.lengths[state] === this.outputs[output]!.length
    );
  }

  /** Whether appends can make `output` of the state, or nothing has to. */
  isPrefixOf(state: number, output: number): boolean {
    return this.lows[state]! <= output && output < this.highs[state]!;
  }

  afterPut(put: number): number {
    return this.extend(missing, this.puts[put]!);
  }

  afterAppend(state: number, append: number): number {
    if (state === lost) return lost;
    const key = state * this.appends.length + append;
    let after = this.appended.get(key);
    if (after === undefined) {
      after = this.extend(state, this.appends[append]!);
      this.appended.set(key, after);
    }
    return after;
  }

  private extend(state: number, value: Buffer): number {
    const offset = this.lengths[state]!;
    const range = [this.lows[state]!, this.highs[state]!] as const;
    const low = this.bound(range, offset, value, 0);
    const high = this.bound([low, range[1]], offset, value, 1);
    return low < high ? this.intern(low, high, offset + value.length) : lost;
  }

  /** The first output within the range whose bytes at `offset` compare to `value` as `least`. */
  private bound(
    [from, to]: readonly [number, number],
    offset: number,
    value: Buffer,
    least: 0 | 1,
  ): number {
    let low = from;
    let high = to;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const output = this.outputs[middle]!;
      const end = Math.min(offset + value.length, output.length);
      if (output.compare(value, 0, value.length, offset, end) < least) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  private intern(low: number, high: number, length: number): number {
    const key = length * this.outputs.length + low;
    let state = this.byRange.get(key);
    if (state === undefined) {
      state = this.lows.push(low) - 1;
      this.highs.push(high);
      this.lengths.push(length);
      this.byRange.set(key, state);
    }
    return state;
  }
}
