/**
 * Interned byte strings: equal contents have equal ids, and nothing else does. Hashes only find
 * candidates; what they find is compared byte by byte. A string made by `concat` is stored as its
 * two parts, so that a value grown by 100,000 appends costs no copies.
 */
export class ByteStrings {
  private count = 0;
  private lengths = new Float64Array(64);
  /** Two polynomial hashes modulo 2^32: hash(a + b) = hash(a) * base^|b| + hash(b). */
  private hashes1 = new Int32Array(64);
  private hashes2 = new Int32Array(64);
  /** The strings of a concatenation; heads are -1 for a flat string. */
  private heads = new Int32Array(64);
  private tails = new Int32Array(64);
  /** The next string in the same bucket, or -1. */
  private chains = new Int32Array(64);
  /** The last string of which this one was found to be a prefix, and to be none; or -1. */
  private prefixOf = new Int32Array(64);
  private notPrefixOf = new Int32Array(64);
  private readonly flats: (Buffer | null)[] = [];
  private buckets = new Int32Array(64).fill(-1);
  private flattenedBytes = 0;

  /** Bytes held here, without those of the interned arrays, which are the callers'. */
  get memoryBytes(): number {
    return this.lengths.length * 48 + this.flattenedBytes;
  }

  lengthOf(id: number): number {
    return this.lengths[id]!;
  }

  /** The id of `bytes`, which are kept and must not change. */
  intern(bytes: Uint8Array): number {
    const flat = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
    const hash = new RollingHash();
    hash.extend(flat, flat.length);
    for (let id = this.bucket(hash.first); id >= 0; id = this.chains[id]!) {
      if (this.matches(id, flat.length, hash) && this.flatten(id).equals(flat)) return id;
    }
    return this.add(flat.length, hash, flat, -1, -1);
  }

  /** The id of `head` followed by `tail`; `tail` was interned, not concatenated. */
  concat(head: number, tail: number): number {
    if (this.lengths[tail] === 0) return head;
    const length = this.lengths[head]! + this.lengths[tail]!;
    const hash = new RollingHash();
    hash.join(this.hashOf(head), this.hashOf(tail), this.lengths[tail]!);
    for (let id = this.bucket(hash.first); id >= 0; id = this.chains[id]!) {
      if (this.matches(id, length, hash) && this.isConcat(id, head, tail)) return id;
    }
    return this.add(length, hash, null, head, tail);
  }

  /** Whether the string `whole`, which was interned, begins with `id`. */
  isPrefix(id: number, whole: number): boolean {
    if (id === whole || this.prefixOf[id] === whole) return true;
    if (this.notPrefixOf[id] === whole || this.lengths[id]! > this.lengths[whole]!) return false;
    const found = this.comparePrefix(id, whole);
    (found ? this.prefixOf : this.notPrefixOf)[id] = whole;
    return found;
  }

  /** All strings that `whole` begins with and that have one of `lengths`, which ascend. */
  prefixesOf(whole: number, lengths: readonly number[]): number[] {
    const bytes = this.flatten(whole);
    const hash = new RollingHash();
    const found: number[] = [];
    for (const length of lengths) {
      if (length > bytes.length) break;
      hash.extend(bytes, length);
      for (let id = this.bucket(hash.first); id >= 0; id = this.chains[id]!) {
        if (this.matches(id, length, hash) && this.isPrefix(id, whole)) found.push(id);
      }
    }
    return found;
  }

  bytesOf(id: number): Uint8Array {
    return this.flatten(id);
  }

  private hashOf(id: number): RollingHash {
    return new RollingHash(this.hashes1[id], this.hashes2[id]);
  }

  private matches(id: number, length: number, hash: RollingHash): boolean {
    return (
      this.lengths[id] === length &&
      this.hashes1[id] === hash.first &&
      this.hashes2[id] === hash.second
    );
  }

  private isConcat(id: number, head: number, tail: number): boolean {
    if (this.heads[id] === head && this.tails[id] === tail) return true;
    const bytes = this.flatten(id);
    return sameAt(this.flatten(tail), bytes, this.lengths[head]!) && this.isPrefix(head, id);
  }

  /** Walks from the end of `id` to its flat beginning, or to a part that is known to fit. */
  private comparePrefix(id: number, whole: number): boolean {
    const bytes = this.flatten(whole);
    let at = id;
    for (; this.heads[at]! >= 0; at = this.heads[at]!) {
      if (this.prefixOf[at] === whole) return true;
      const tail = this.tails[at]!;
      const start = this.lengths[at]! - this.lengths[tail]!;
      if (!sameAt(this.flatten(tail), bytes, start)) return false;
    }
    return sameAt(this.flatten(at), bytes, 0);
  }

  /** The bytes of `id`, which is flat from now on. */
  private flatten(id: number): Buffer {
    const flat = this.flats[id];
    if (flat) return flat;
    const bytes = Buffer.allocUnsafe(this.lengths[id]!);
    let at = id;
    for (; this.heads[at]! >= 0; at = this.heads[at]!) {
      const tail = this.flats[this.tails[at]!]!;
      tail.copy(bytes, this.lengths[at]! - tail.length);
    }
    this.flats[at]!.copy(bytes, 0);
    this.flats[id] = bytes;
    this.heads[id] = -1;
    this.flattenedBytes += bytes.length;
    return bytes;
  }

  private add(
    length: number,
    hash: RollingHash,
    flat: Buffer | null,
    head: number,
    tail: number,
  ): number {
    if (this.count === this.lengths.length) this.grow();
    const id = this.count++;
    this.lengths[id] = length;
    this.hashes1[id] = hash.first;
    this.hashes2[id] = hash.second;
    this.heads[id] = head;
    this.tails[id] = tail;
    this.prefixOf[id] = -1;
    this.notPrefixOf[id] = -1;
    this.flats.push(flat);
    this.link(id);
    return id;
  }

  private bucket(hash: number): number {
    return this.buckets[hash & (this.buckets.length - 1)]!;
  }

  private link(id: number): void {
    const bucket = this.hashes1[id]! & (this.buckets.length - 1);
    this.chains[id] = this.buckets[bucket]!;
    this.buckets[bucket] = id;
  }

  private grow(): void {
    const size = this.count * 2;
    const lengths = new Float64Array(size);
    lengths.set(this.lengths);
    this.lengths = lengths;
    this.hashes1 = enlarged(this.hashes1, size);
    this.hashes2 = enlarged(this.hashes2, size);
    this.heads = enlarged(this.heads, size);
    this.tails = enlarged(this.tails, size);
    this.chains = enlarged(this.chains, size);
    this.prefixOf = enlarged(this.prefixOf, size);
    this.notPrefixOf = enlarged(this.notPrefixOf, size);
    this.buckets = new Int32Array(size).fill(-1);
    for (let id = 0; id < this.count; id++) this.link(id);
  }
}

const base1 = 0x01000193;
const base2 = 0x9e3779b1 | 0;

/** Both hashes of a string that is read from its beginning. */
class RollingHash {
  first: number;
  second: number;
  private length = 0;

  constructor(first = 0, second = 0) {
    this.first = first;
    this.second = second;
  }

  /** Reads `bytes` on up to `length`. */
  extend(bytes: Uint8Array, length: number): void {
    let { first, second } = this;
    for (let at = this.length; at < length; at++) {
      const byte = bytes[at]! + 1;
      first = (Math.imul(first, base1) + byte) | 0;
      second = (Math.imul(second, base2) + byte) | 0;
    }
    this.first = first;
    this.second = second;
    this.length = length;
  }

  join(head: RollingHash, tail: RollingHash, tailLength: number): void {
    this.first = (Math.imul(head.first, power(base1, tailLength)) + tail.first) | 0;
    this.second = (Math.imul(head.second, power(base2, tailLength)) + tail.second) | 0;
  }
}

/** `base ** exponent` modulo 2^32, by squaring. */
function power(base: number, exponent: number): number {
  let result = 1;
  for (let square = base, rest = exponent; rest > 0; rest >>>= 1) {
    if (rest & 1) result = Math.imul(result, square);
    square = Math.imul(square, square);
  }
  return result;
}

function sameAt(part: Buffer, whole: Buffer, start: number): boolean {
  const end = start + part.length;
  return end <= whole.length && part.compare(whole, start, end) === 0;
}

function enlarged(from: Int32Array, size: number): Int32Array<ArrayBuffer> {
  const to = new Int32Array(size);
  to.set(from);
  return to;
}
