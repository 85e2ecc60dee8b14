import { allocateBytes } from "./freshBytes.js";

/**
 * Memory for many small byte blocks without an object for each: a million keys as typed arrays of
 * their own cost more than what is in them, and every full collection would trace them all.
 *
 *     slab (256 KiB, one block size)    | block | block | free -> | block | free -> | ... unused |
 *     handle of a block               = slab number * 16384 + offset / 16
 *     handle of a block over 16 KiB   = -1 - position in `large`
 *
 * A block's size is at most an eighth more than was asked for. A slab whose blocks are all free
 * serves any size again.
 */
const slabBytes = 262_144;
const unitShift = 4;
const slabShift = 14;
const unitMask = (1 << slabShift) - 1;
const noBlock = 0xffff;
const noBytes = new Uint8Array(0);
/** Largest block that lives in a slab. */
export const slabBlockBytesMax = 16_384;
/** Empty slabs kept for reuse; the rest goes back to the system. */
const idleSlabsMax = 16;

interface Slab {
  readonly id: number;
  readonly bytes: Uint8Array;
  sizeClass: number;
  blockBytes: number;
  used: number;
  /** Bytes in front of this were given out at least once. */
  fresh: number;
  /** Offset / 16 of the first free block, which holds that of the next in its first two bytes. */
  free: number;
  /** Neighbours among the slabs of the same size that have room. */
  previous: Slab | null;
  following: Slab | null;
}

export class ByteArena {
  private readonly slabs: (Slab | null)[] = [];
  /** The memory of `slabs`: one step less to every byte. */
  private readonly slabMemory: Uint8Array[] = [];
  private readonly slabIdsFree: number[] = [];
  private readonly idle: Slab[] = [];
  /** By size class: the first slab with room. */
  private readonly withRoom: (Slab | null)[] = Array.from({ length: sizeClassCount }, () => null);
  private readonly large: (Uint8Array | null)[] = [];
  private readonly largeFree: number[] = [];
  private total = 0;

  /** Bytes taken from the system. */
  get memoryBytes(): number {
    return this.total;
  }

  /** A block of at least `size` bytes; its content is arbitrary. */
  allocate(size: number): number {
    if (size > slabBlockBytesMax) return this.allocateLarge(size);
    const sizeClass = sizeClassOf(size);
    const slab = this.withRoom[sizeClass] ?? this.openSlab(sizeClass);
    const offset = takeBlock(slab);
    if (!hasRoom(slab)) this.unlink(slab);
    return (slab.id << slabShift) | (offset >> unitShift);
  }

  release(handle: number): void {
    if (handle < 0) {
      this.releaseLarge(-1 - handle);
      return;
    }
    const slab = this.slabs[handle >>> slabShift]!;
    if (!hasRoom(slab)) this.link(slab);
    giveBlock(slab, handle & unitMask);
    if (slab.used === 0) this.closeSlab(slab);
  }

  /** The array that the block lies in; `offsetOf` says where. */
  bytesOf(handle: number): Uint8Array {
    if (handle < 0) return this.large[-1 - handle]!;
    return this.slabMemory[handle >>> slabShift]!;
  }

  offsetOf(handle: number): number {
    return handle < 0 ? 0 : (handle & unitMask) << unitShift;
  }

  /**
   * The block may take other content of `size` bytes: it is of the size that `size` would get. A
   * block outside the slabs never is, so that views of it stay what they are.
   */
  isOverwritable(handle: number, size: number): boolean {
    if (handle < 0 || size > slabBlockBytesMax) return false;
    return this.slabs[handle >>> slabShift]!.sizeClass === sizeClassOf(size);
  }

  /** How many bytes the block holds. */
  capacityOf(handle: number): number {
    if (handle < 0) return this.large[-1 - handle]!.length;
    return this.slabs[handle >>> slabShift]!.blockBytes;
  }

  private allocateLarge(size: number): number {
    const position = this.largeFree.pop() ?? this.large.length;
    this.large[position] = allocateBytes(size);
    this.total += size;
    return -1 - position;
  }

  private releaseLarge(position: number): void {
    this.total -= this.large[position]!.length;
    this.large[position] = null;
    this.largeFree.push(position);
  }

  private openSlab(sizeClass: number): Slab {
    const slab = this.idle.pop() ?? this.newSlab();
    slab.sizeClass = sizeClass;
    slab.blockBytes = blockBytesOf(sizeClass);
    slab.fresh = 0;
    slab.free = noBlock;
    this.link(slab);
    return slab;
  }

  private newSlab(): Slab {
    const id = this.slabIdsFree.pop() ?? this.slabs.length;
    const bytes = allocateBytes(slabBytes);
    const slab: Slab = {
      id,
      bytes,
      sizeClass: 0,
      blockBytes: 0,
      used: 0,
      fresh: 0,
      free: noBlock,
      previous: null,
      following: null,
    };
    this.slabs[id] = slab;
    this.slabMemory[id] = bytes;
    this.total += slabBytes;
    return slab;
  }

  private closeSlab(slab: Slab): void {
    this.unlink(slab);
    if (this.idle.length < idleSlabsMax) {
      this.idle.push(slab);
      return;
    }
    this.slabs[slab.id] = null;
    this.slabMemory[slab.id] = noBytes;
    this.slabIdsFree.push(slab.id);
    this.total -= slabBytes;
  }

  private link(slab: Slab): void {
    const head = this.withRoom[slab.sizeClass] ?? null;
    slab.following = head;
    if (head !== null) head.previous = slab;
    this.withRoom[slab.sizeClass] = slab;
  }

  private unlink(slab: Slab): void {
    const { previous, following } = slab;
    if (previous === null) this.withRoom[slab.sizeClass] = following;
    else previous.following = following;
    if (following !== null) following.previous = previous;
    slab.previous = null;
    slab.following = null;
  }
}

function hasRoom(slab: Slab): boolean {
  return slab.free !== noBlock || slab.fresh + slab.blockBytes <= slabBytes;
}

function takeBlock(slab: Slab): number {
  slab.used++;
  if (slab.free === noBlock) {
    const offset = slab.fresh;
    slab.fresh += slab.blockBytes;
    return offset;
  }
  const offset = slab.free << unitShift;
  slab.free = slab.bytes[offset]! | (slab.bytes[offset + 1]! << 8);
  return offset;
}

function giveBlock(slab: Slab, unit: number): void {
  slab.used--;
  const offset = unit << unitShift;
  slab.bytes[offset] = slab.free & 0xff;
  slab.bytes[offset + 1] = slab.free >> 8;
  slab.free = unit;
}

/** Sizes 16, 32, ... 128, then eight steps to each doubling up to `slabBlockBytesMax`. */
function sizeClassOf(size: number): number {
  if (size <= 128) return size === 0 ? 0 : (size - 1) >> 4;
  const doubling = 31 - Math.clz32(size - 1);
  return 8 * (doubling - 6) + (((size - 1) >> (doubling - 3)) & 7);
}

function blockBytesOf(sizeClass: number): number {
  if (sizeClass < 8) return (sizeClass + 1) << 4;
  const doubling = (sizeClass >> 3) + 6;
  return ((sizeClass & 7) + 9) << (doubling - 3);
}

const sizeClassCount = sizeClassOf(slabBlockBytesMax) + 1;
