/**
 * The configurations that a search has been in, exactly (Lowe, "Testing for linearizability",
 * 2017). A configuration is how far the search has come, the state, and two sets of operations:
 * `required`, linearized though they have not returned yet, and `optional`, linearized though they
 * need never have happened. What a configuration leads to can be reached as well from one that
 * differs from it only by fewer optional operations used up, so the cache answers for those too.
 */
export class ConfigCache {
  private readonly requiredWords: number;
  private readonly entryWords: number;
  /** Entries of: next entry in the bucket, hash, position, state, required set, optional set. */
  private pool: Int32Array;
  private count = 0;
  private buckets = new Int32Array(64).fill(-1);

  constructor(requiredWords: number, optionalWords: number) {
    this.requiredWords = requiredWords;
    this.entryWords = 4 + requiredWords + optionalWords;
    this.pool = new Int32Array(64 * this.entryWords);
  }

  get memoryBytes(): number {
    return (this.pool.length + this.buckets.length) * 4;
  }

  /** Stores the configuration and returns true, or false when what it leads to is known. */
  add(position: number, state: number, required: Int32Array, optional: Int32Array): boolean {
    const hash = this.hash(position, state, required);
    const bucket = hash & (this.buckets.length - 1);
    for (let at = this.buckets[bucket]!; at >= 0; at = this.pool[at * this.entryWords]!) {
      const entry = at * this.entryWords;
      if (this.pool[entry + 1] !== hash) continue;
      if (this.pool[entry + 2] !== position || this.pool[entry + 3] !== state) continue;
      if (this.covers(entry + 4, required, optional)) return false;
    }
    this.insert(hash, position, state, required, optional);
    return true;
  }

  private covers(entry: number, required: Int32Array, optional: Int32Array): boolean {
    for (let i = 0; i < required.length; i++) {
      if (this.pool[entry + i] !== required[i]) return false;
    }
    const start = entry + this.requiredWords;
    for (let i = 0; i < optional.length; i++) {
      if (this.pool[start + i]! & ~optional[i]!) return false;
    }
    return true;
  }

  private insert(
    hash: number,
    position: number,
    state: number,
    required: Int32Array,
    optional: Int32Array,
  ): void {
    if ((this.count + 1) * this.entryWords > this.pool.length) this.grow();
    const entry = this.count * this.entryWords;
    this.pool[entry + 1] = hash;
    this.pool[entry + 2] = position;
    this.pool[entry + 3] = state;
    this.pool.set(required, entry + 4);
    this.pool.set(optional, entry + 4 + this.requiredWords);
    this.link(this.count++);
  }

  private link(index: number): void {
    const entry = index * this.entryWords;
    const bucket = this.pool[entry + 1]! & (this.buckets.length - 1);
    this.pool[entry] = this.buckets[bucket]!;
    this.buckets[bucket] = index;
  }

  private grow(): void {
    const pool = new Int32Array(this.pool.length * 2);
    pool.set(this.pool);
    this.pool = pool;
    this.buckets = new Int32Array(this.buckets.length * 2).fill(-1);
    for (let index = 0; index < this.count; index++) this.link(index);
  }

  private hash(position: number, state: number, required: Int32Array): number {
    let hash = Math.imul(position, 0x85ebca6b) ^ Math.imul(state + 1, 0xc2b2ae35);
    for (const word of required) hash = Math.imul(hash ^ word ^ (hash >>> 15), 0x27d4eb2f);
    return hash ^ (hash >>> 13);
  }
}
