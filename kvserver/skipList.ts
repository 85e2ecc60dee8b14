import { ByteArena, slabBlockBytesMax } from "./byteArena.js";
import { ByteHash } from "./byteHash.js";
import { copyBytes } from "./freshBytes.js";
import { HashIndex } from "./hashIndex.js";
import { seededLevels, type LevelSource } from "./skipListLevels.js";
import { levelsMax, prefixBytes, prefixInts, readPrefix, SkipListNodes } from "./skipListNodes.js";
import { SkipListSnapshot, type SnapshotSource } from "./skipListSnapshot.js";

/** One pair of the list, as views of its memory. */
export interface KeyValue {
  readonly key: Uint8Array;
  readonly value: Uint8Array;
}

/**
 * The ordered map that holds the data: keys and values are bytes, keys are ordered as `memcmp`
 * orders them.
 *
 * The list copies what it is given and owns its copy. What `get` returns never changes; views
 * (`peek`, `entries`, a snapshot's pairs) are good until the next call that changes the list.
 *
 * A hash index beside the list answers what names one key: with a million keys it finds one about
 * seven times faster than the search from level to level, which only a new key still pays. Keys
 * that arrive in order, as from a snapshot, go to the end without a search.
 */
export class SkipList {
  private readonly nodes = new SkipListNodes();
  private readonly arena = new ByteArena();
  private readonly index = new HashIndex();
  private readonly hasher = new ByteHash();
  private readonly nextHeight: LevelSource;
  /** The last node on each level. */
  private readonly tails = new Int32Array(levelsMax);
  /** Scratch of `findPath`: on each level the last node before the key. */
  private readonly path = new Int32Array(levelsMax);
  /** Scratch: the first bytes of the key in hand. */
  private readonly prefix = new Int32Array(prefixInts);
  private height = 1;
  private count = 0;
  private payload = 0;
  private epoch = 0;
  private snapshot: SkipListSnapshot | null = null;

  /** @param levels draws the height of each new node, from 1 to `levelsMax`. */
  constructor(levels: LevelSource = seededLevels(1)) {
    this.nextHeight = levels;
  }

  get size(): number {
    return this.count;
  }

  /** Bytes of all keys and values. */
  get bytes(): number {
    return this.payload;
  }

  /** Bytes of memory held for them, the index not counted. */
  get memoryBytes(): number {
    return this.arena.memoryBytes + this.nodes.memoryBytes;
  }

  has(key: Uint8Array): boolean {
    return this.findNode(key, this.hasher.hash(key)) !== 0;
  }

  /** The value, which never changes afterwards, or undefined. */
  get(key: Uint8Array): Uint8Array | undefined {
    const view = this.peek(key);
    // A block of its own is never written again below its length; one in a slab is.
    if (view === undefined || key.length + view.length > slabBlockBytesMax) return view;
    return copyBytes(view);
  }

  /** A view of the value, good until the next call that changes the list; or undefined. */
  peek(key: Uint8Array): Uint8Array | undefined {
    const node = this.findNode(key, this.hasher.hash(key));
    return node === 0 ? undefined : this.valueOf(node);
  }

  /** Inserts the pair, or replaces the value. True when the key is new. */
  put(key: Uint8Array, value: Uint8Array): boolean {
    const hash = this.hasher.hash(key);
    const node = this.findNode(key, hash);
    if (node === 0) {
      this.insert(key, value, hash);
      return true;
    }
    this.keepForSnapshot(node);
    this.replaceValue(node, key, value);
    return false;
  }

  /** As `put`; keys that come in their order are found to be new without a look at the index. */
  putNext(key: Uint8Array, value: Uint8Array): boolean {
    readPrefix(key, this.prefix);
    if (!this.isAfterLast(key)) return this.put(key, value);
    this.insert(key, value, this.hasher.hash(key), true);
    return true;
  }

  /**
   * Adds `tail` to the end of the value; a missing key counts as an empty one. False, and nothing
   * is changed, when the value would be longer than `valueBytesMax`.
   */
  append(key: Uint8Array, tail: Uint8Array, valueBytesMax: number): boolean {
    const hash = this.hasher.hash(key);
    const node = this.findNode(key, hash);
    const length = node === 0 ? 0 : this.nodes.valueLength(node);
    if (length + tail.length > valueBytesMax) return false;
    if (node === 0) {
      this.insert(key, tail, hash);
    } else {
      this.keepForSnapshot(node);
      this.extendValue(node, tail);
    }
    return true;
  }

  /** True when the key was there. */
  delete(key: Uint8Array): boolean {
    const hash = this.hasher.hash(key);
    const node = this.findNode(key, hash);
    if (node === 0) return false;
    this.keepForSnapshot(node);
    this.snapshot?.removing(node);
    this.unlink(node, key);
    this.index.remove(hash, node);
    this.payload -= this.nodes.keyLength(node) + this.nodes.valueLength(node);
    this.count--;
    this.arena.release(this.nodes.block(node));
    this.nodes.destroy(node);
    return true;
  }

  /** The pair with the smallest key, or null. */
  first(): KeyValue | null {
    const node = this.nodes.next(0);
    return node === 0 ? null : { key: this.keyOf(node), value: this.valueOf(node) };
  }

  /** All pairs in order, or those from the first key at or after `from`; don't change the list. */
  *entries(from?: Uint8Array): Generator<KeyValue, void, undefined> {
    let node = this.nodes.next(0);
    if (from !== undefined) {
      readPrefix(from, this.prefix);
      this.findPath(from);
      node = this.nodes.next(this.path[0]!);
    }
    for (; node !== 0; node = this.nodes.next(node)) {
      yield { key: this.keyOf(node), value: this.valueOf(node) };
    }
  }

  /**
   * The list as it is now, to be read in slices while it changes. One at a time; `close` it.
   * @throws Error when one is open.
   */
  snapshotIterator(): SkipListSnapshot {
    if (this.snapshot !== null) throw new Error("a snapshot of the list is open already");
    this.epoch++;
    const source: SnapshotSource = {
      first: this.nodes.next(0),
      count: this.count,
      next: (node) => this.nodes.next(node),
      isOlder: (node) => this.nodes.epoch(node) !== this.epoch,
      keyOf: (node) => this.keyOf(node),
      valueOf: (node) => this.valueOf(node),
      closed: () => (this.snapshot = null),
    };
    this.snapshot = new SkipListSnapshot(source, new SkipList(this.nextHeight));
    return this.snapshot;
  }

  /** Before the node's value is another one: an open snapshot keeps the one it stands for. */
  private keepForSnapshot(node: number): void {
    if (this.snapshot === null || this.nodes.epoch(node) === this.epoch) return;
    this.snapshot.changing(node);
    this.nodes.setEpoch(node, this.epoch);
  }

  private findNode(key: Uint8Array, hash: number): number {
    readPrefix(key, this.prefix);
    let node = this.index.first(hash);
    while (node !== 0 && !this.equals(node, key)) node = this.index.next();
    return node;
  }

  /** `prefix` holds the key's first bytes. */
  private insert(
    key: Uint8Array,
    value: Uint8Array,
    hash: number,
    isLast = this.isAfterLast(key),
  ): void {
    const height = this.nextHeight();
    while (this.height < height) this.tails[this.height++] = 0;
    if (isLast) this.path.set(this.tails);
    else this.findPath(key);
    const node = this.nodes.create(height);
    this.nodes.setPrefix(node, this.prefix);
    this.nodes.setKeyLength(node, key.length);
    this.nodes.setValueLength(node, value.length);
    this.nodes.setEpoch(node, this.snapshot === null ? 0 : this.epoch);
    this.store(node, key, value);
    for (let level = 0; level < height; level++) this.link(node, level);
    this.index.add(hash, node);
    this.payload += key.length + value.length;
    this.count++;
  }

  private link(node: number, level: number): void {
    const before = this.path[level]!;
    const after = this.nodes.nextAt(before, level);
    this.nodes.setNextAt(node, level, after);
    this.nodes.setNextAt(before, level, node);
    if (after === 0) this.tails[level] = node;
  }

  private unlink(node: number, key: Uint8Array): void {
    this.findPath(key);
    for (let level = 0; level < this.height; level++) {
      const before = this.path[level]!;
      if (this.nodes.nextAt(before, level) !== node) return;
      const after = this.nodes.nextAt(node, level);
      this.nodes.setNextAt(before, level, after);
      if (after === 0) this.tails[level] = before;
    }
  }

  private isAfterLast(key: Uint8Array): boolean {
    const last = this.tails[0]!;
    return last !== 0 && this.compare(last, key) < 0;
  }

  /** Fills `path` with the last node before `key` on each level. */
  private findPath(key: Uint8Array): void {
    let node = 0;
    // What a level above found not to be smaller needs no second look.
    let notSmaller = 0;
    for (let level = this.height - 1; level >= 0; level--) {
      let next = this.nodes.nextAt(node, level);
      while (next !== notSmaller && next !== 0 && this.compare(next, key) < 0) {
        node = next;
        next = this.nodes.nextAt(node, level);
      }
      notSmaller = next;
      this.path[level] = node;
    }
  }

  /** Below 0 when the node's key is smaller than `key`, whose first bytes are in `prefix`. */
  private compare(node: number, key: Uint8Array): number {
    const byPrefix = this.nodes.comparePrefix(node, this.prefix);
    return byPrefix === 0 ? this.compareAfterPrefix(node, key) : byPrefix;
  }

  private compareAfterPrefix(node: number, key: Uint8Array): number {
    const nodeLength = this.nodes.keyLength(node);
    const common = Math.min(nodeLength, key.length);
    if (common > prefixBytes) {
      const block = this.nodes.block(node);
      const bytes = this.arena.bytesOf(block);
      const offset = this.arena.offsetOf(block);
      for (let i = prefixBytes; i < common; i++) {
        const difference = bytes[offset + i]! - key[i]!;
        if (difference !== 0) return difference;
      }
    }
    return nodeLength - key.length;
  }

  private equals(node: number, key: Uint8Array): boolean {
    return this.nodes.keyLength(node) === key.length && this.compare(node, key) === 0;
  }

  private replaceValue(node: number, key: Uint8Array, value: Uint8Array): void {
    const block = this.nodes.block(node);
    this.payload += value.length - this.nodes.valueLength(node);
    this.nodes.setValueLength(node, value.length);
    if (this.arena.isOverwritable(block, key.length + value.length)) {
      this.arena.bytesOf(block).set(value, this.arena.offsetOf(block) + key.length);
      return;
    }
    this.store(node, key, value);
    this.arena.release(block);
  }

  private extendValue(node: number, tail: Uint8Array): void {
    const used = this.nodes.keyLength(node) + this.nodes.valueLength(node);
    const need = used + tail.length;
    if (need > this.arena.capacityOf(this.nodes.block(node))) this.moveBlock(node, used, need);
    const block = this.nodes.block(node);
    this.arena.bytesOf(block).set(tail, this.arena.offsetOf(block) + used);
    this.nodes.setValueLength(node, this.nodes.valueLength(node) + tail.length);
    this.payload += tail.length;
  }

  /** Room to spare, so that n appends don't copy the value n times. */
  private moveBlock(node: number, used: number, need: number): void {
    const old = this.nodes.block(node);
    const block = this.arena.allocate(need + (need >> 2));
    const offset = this.arena.offsetOf(old);
    const content = this.arena.bytesOf(old).subarray(offset, offset + used);
    this.arena.bytesOf(block).set(content, this.arena.offsetOf(block));
    this.nodes.setBlock(node, block);
    this.arena.release(old);
  }

  private store(node: number, key: Uint8Array, value: Uint8Array): void {
    const block = this.arena.allocate(key.length + value.length);
    const bytes = this.arena.bytesOf(block);
    const offset = this.arena.offsetOf(block);
    bytes.set(key, offset);
    bytes.set(value, offset + key.length);
    this.nodes.setBlock(node, block);
  }

  private keyOf(node: number): Uint8Array {
    const block = this.nodes.block(node);
    const offset = this.arena.offsetOf(block);
    return this.arena.bytesOf(block).subarray(offset, offset + this.nodes.keyLength(node));
  }

  private valueOf(node: number): Uint8Array {
    const block = this.nodes.block(node);
    const offset = this.arena.offsetOf(block) + this.nodes.keyLength(node);
    return this.arena.bytesOf(block).subarray(offset, offset + this.nodes.valueLength(node));
  }
}
