/**
 * The bytes that the entries since the last compaction take in the log. Segments go away as a
 * whole and so later than the entries in them; what decides about the next snapshot should not
 * depend on that.
 */
export class EntrySizes {
  /** ends[i]: bytes up to and with entry `first` + i, counted since the beginning. */
  private ends: number[] = [];
  private first = 1;
  private base = 0;

  get bytes(): number {
    return (this.ends.at(-1) ?? this.base) - this.base;
  }

  /** Entry `index` came, in place of it and those after it where there were such. */
  append(index: number, bytes: number): void {
    if (this.ends.length === 0) this.first = index;
    if (index < this.first) this.restart(index);
    if (index - this.first < this.ends.length) this.ends.length = index - this.first;
    this.ends.push((this.ends.at(-1) ?? this.base) + bytes);
  }

  compactThrough(index: number): void {
    const count = Math.min(index - this.first + 1, this.ends.length);
    if (count <= 0) return;
    this.base = this.ends[count - 1]!;
    this.ends = this.ends.slice(count);
    this.first += count;
  }

  clear(): void {
    this.restart(1);
  }

  private restart(first: number): void {
    this.ends = [];
    this.base = 0;
    this.first = first;
  }
}
