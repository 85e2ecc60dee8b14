/**
 * The nodes of a skip list as rows of 32-bit numbers in typed arrays, which the collector need not
 * trace. A row is as long as a cache line and holds all that a search looks at: the first bytes of
 * the key, and the links of the levels that all but one node in 256 end below.
 *
 *     row    | key's first 28 bytes | block | key length | value length | epoch | next * 4 | tower |
 *     tower  | links | next at level 4 | next at level 5 | ...
 *
 * Node 0 is the head; as a link, 0 is the end.
 */
const rowShift = 4;
const nodesPerPageShift = 12;
const nodesPerPage = 1 << nodesPerPageShift;
const rowMask = nodesPerPage - 1;
const towerPageShift = 12;
const towerPageInts = 1 << towerPageShift;
const towerMask = towerPageInts - 1;

/** Levels of the head: enough for 4^16 nodes. */
export const levelsMax = 16;
/** 32-bit numbers of a key that stand in its row. */
export const prefixInts = 7;
export const prefixBytes = 4 * prefixInts;

const blockField = 7;
const keyLengthField = 8;
const valueLengthField = 9;
const epochField = 10;
const nextField = 11;
const towerField = 15;
const levelsInRow = towerField - nextField;

export class SkipListNodes {
  private readonly pages: Int32Array[] = [];
  private readonly towerPages: Int32Array[] = [];
  private readonly nodesFree: number[] = [];
  /** By number of links. */
  private readonly towersFree: number[][] = Array.from({ length: levelsMax }, () => []);
  private nodesUsed = 0;
  /** Tower 0 means none, so the first one starts at 1. */
  private towerEnd = 1;

  constructor() {
    this.create(levelsMax);
  }

  /** Bytes taken from the system. */
  get memoryBytes(): number {
    const nodes = this.pages.length * (nodesPerPage << (rowShift + 2));
    return nodes + this.towerPages.length * towerPageInts * 4;
  }

  /** A node on `height` levels, whose fields and links are all 0. */
  create(height: number): number {
    const node = this.nodesFree.pop() ?? this.nodesUsed++;
    if (node >> nodesPerPageShift === this.pages.length) {
      this.pages.push(new Int32Array(nodesPerPage << rowShift));
    }
    const row = rowOf(node);
    const page = this.pageOf(node);
    page.fill(0, row, row + (1 << rowShift));
    if (height > levelsInRow) page[row + towerField] = this.createTower(height - levelsInRow);
    return node;
  }

  destroy(node: number): void {
    const tower = this.field(node, towerField);
    if (tower !== 0) this.towersFree[this.towerInt(tower)]?.push(tower);
    this.nodesFree.push(node);
  }

  next(node: number): number {
    return this.field(node, nextField);
  }

  /** The successor on a level that the node reaches. */
  nextAt(node: number, level: number): number {
    if (level < levelsInRow) return this.field(node, nextField + level);
    return this.towerInt(this.field(node, towerField) + 1 + level - levelsInRow);
  }

  setNextAt(node: number, level: number, next: number): void {
    if (level < levelsInRow) {
      this.setField(node, nextField + level, next);
      return;
    }
    const at = this.field(node, towerField) + 1 + level - levelsInRow;
    this.towerPages[at >> towerPageShift]![at & towerMask] = next;
  }

  setPrefix(node: number, prefix: Int32Array): void {
    this.pageOf(node).set(prefix, rowOf(node));
  }

  /** Orders the key's first bytes against `prefix`: below 0 when the node's are smaller. */
  comparePrefix(node: number, prefix: Int32Array): number {
    const page = this.pageOf(node);
    const row = rowOf(node);
    for (let i = 0; i < prefixInts; i++) {
      const mine = page[row + i]!;
      const other = prefix[i]!;
      if (mine !== other) return mine < other ? -1 : 1;
    }
    return 0;
  }

  /** The arena's handle of the key and the value behind it. */
  block(node: number): number {
    return this.field(node, blockField);
  }

  setBlock(node: number, block: number): void {
    this.setField(node, blockField, block);
  }

  keyLength(node: number): number {
    return this.field(node, keyLengthField);
  }

  setKeyLength(node: number, length: number): void {
    this.setField(node, keyLengthField, length);
  }

  valueLength(node: number): number {
    return this.field(node, valueLengthField);
  }

  setValueLength(node: number, length: number): void {
    this.setField(node, valueLengthField, length);
  }

  /** The snapshot since which the node's value is another one, or 0. */
  epoch(node: number): number {
    return this.field(node, epochField);
  }

  setEpoch(node: number, epoch: number): void {
    this.setField(node, epochField, epoch);
  }

  private pageOf(node: number): Int32Array {
    return this.pages[node >> nodesPerPageShift]!;
  }

  private field(node: number, field: number): number {
    return this.pageOf(node)[rowOf(node) + field]!;
  }

  private setField(node: number, field: number, value: number): void {
    this.pageOf(node)[rowOf(node) + field] = value;
  }

  private towerInt(at: number): number {
    return this.towerPages[at >> towerPageShift]![at & towerMask]!;
  }

  private createTower(links: number): number {
    const tower = this.towersFree[links]?.pop() ?? this.reserveTower(links + 1);
    const page = this.towerPages[tower >> towerPageShift]!;
    const at = tower & towerMask;
    page[at] = links;
    page.fill(0, at + 1, at + 1 + links);
    return tower;
  }

  /** A tower never crosses from one page to the next. */
  private reserveTower(ints: number): number {
    const left = towerPageInts - (this.towerEnd & towerMask);
    if (ints > left) this.towerEnd += left;
    const tower = this.towerEnd;
    if (tower >> towerPageShift === this.towerPages.length) {
      this.towerPages.push(new Int32Array(towerPageInts));
    }
    this.towerEnd += ints;
    return tower;
  }
}

/**
 * Fills `prefix` with the key's first bytes, zeros behind its end, such that comparing them as
 * signed numbers one after the other orders them as bytes.
 */
export function readPrefix(key: Uint8Array, prefix: Int32Array): void {
  for (let i = 0; i < prefixInts; i++) {
    const at = 4 * i;
    const word = at + 4 <= key.length ? wordAt(key, at) : lastWord(key, at);
    prefix[i] = word ^ 0x80000000;
  }
}

function wordAt(key: Uint8Array, at: number): number {
  return (key[at]! << 24) | (key[at + 1]! << 16) | (key[at + 2]! << 8) | key[at + 3]!;
}

function lastWord(key: Uint8Array, from: number): number {
  let word = 0;
  for (let at = from; at < key.length; at++) word |= key[at]! << (24 - 8 * (at - from));
  return word;
}

function rowOf(node: number): number {
  return (node & rowMask) << rowShift;
}
