/**
 * All that a crash may leave of what was not synced, or a fair sample of it where that is too much:
 *
 * - data: of each file any of the 512-byte sectors written since its last sync, whatever their
 *   order was, one of them torn within; and the file as long as before, or as long as it was to
 *   become with zeros in it;
 * - names: any of the changes since the directory's last sync, in any order but that of one name.
 *   A rename is one change: both names, or none.
 */
import type { Prng } from "../../../sim/prng.js";
import { type DiskOperation, type Files, overwrite } from "./recordingDisk.js";

const sectorBytes = 512;
/** Of one kind of choice (beginnings, ends, one lost, one kept) this many are tried. */
const choicesMax = 12;
const randomChoices = 6;
/** Of so many changes of names each subset is tried. */
const nameSubsetsMax = 3;

type NameChange = Extract<DiskOperation, { kind: "create" | "rename" | "unlink" }>;

/** What a state differs in most from the one that all was written to. */
export type CrashKind = "sectors" | "sizes" | "torn sector" | "names";

export interface CrashState {
  readonly kind: CrashKind;
  readonly files: Files;
}

interface Pending<T> {
  readonly at: number;
  readonly what: T;
}

interface Sector {
  readonly inode: number;
  readonly position: number;
  readonly bytes: Uint8Array;
}

class Inode {
  durable: Uint8Array<ArrayBuffer>;
  pending: Pending<Extract<DiskOperation, { kind: "write" | "truncate" }>>[] = [];

  constructor(bytes: Uint8Array) {
    this.durable = new Uint8Array(bytes);
  }

  sync(before: number): void {
    for (const { at, what } of this.pending) {
      if (at >= before) continue;
      this.durable =
        what.kind === "truncate"
          ? new Uint8Array()
          : overwrite(this.durable, what.bytes, what.position);
    }
    this.pending = this.pending.filter(({ at }) => at >= before);
  }
}

/** The disk after a beginning of a trace: what is durable, and what is not yet. */
export class DiskImage {
  private readonly inodes = new Map<number, Inode>();
  private names = new Map<string, number>();
  private nameChanges: Pending<NameChange>[] = [];
  private applied = 0;

  constructor(files: Files = new Map()) {
    let id = 0;
    for (const [path, bytes] of files) {
      this.inodes.set(++id, new Inode(bytes));
      this.names.set(path, id);
    }
  }

  apply(operation: DiskOperation): void {
    const at = this.applied++;
    switch (operation.kind) {
      case "write":
      case "truncate":
        this.inodes.get(operation.inode)!.pending.push({ at, what: operation });
        return;
      case "sync":
        this.inodes.get(operation.inode)!.sync(operation.began);
        return;
      case "syncDirectory":
        for (const change of this.nameChanges) {
          if (change.at < operation.began) rename(this.names, change.what);
        }
        this.nameChanges = this.nameChanges.filter((change) => change.at >= operation.began);
        return;
      case "create":
        this.inodes.set(operation.inode, new Inode(new Uint8Array()));
        this.nameChanges.push({ at, what: operation });
        return;
      case "rename":
      case "unlink":
        this.nameChanges.push({ at, what: operation });
    }
  }

  /** What a killed process leaves: all of it, for the kernel goes on. */
  killed(): Files {
    return this.files(
      this.namesWith(() => true),
      () => sectorBytes,
      true,
    );
  }

  *crashed(random: Prng): Generator<CrashState> {
    for (const keepsName of choices(this.nameChanges.length, nameSubsetsMax, random)) {
      const names = this.namesWith(keepsName);
      const isNamed = this.nameChanges.every((_, change) => keepsName(change));
      const count = this.sectors(names).length;
      for (const keeps of choices(count, 1, random)) {
        const whole = (sector: number): number => (keeps(sector) ? sectorBytes : 0);
        const otherwise = (kind: CrashKind): CrashKind => (isNamed ? kind : "names");
        yield { kind: otherwise("sectors"), files: this.files(names, whole, true) };
        yield { kind: otherwise("sizes"), files: this.files(names, whole, false) };
        const torn = random.int(0, Math.max(0, count - 1));
        const bytes = random.int(1, sectorBytes - 1);
        const partly = (sector: number): number => (sector === torn ? bytes : whole(sector));
        yield { kind: "torn sector", files: this.files(names, partly, true) };
      }
    }
  }

  private namesWith(keeps: (change: number) => boolean): Map<string, number> {
    const names = new Map(this.names);
    this.nameChanges.forEach(({ what }, i) => {
      if (keeps(i)) rename(names, what);
    });
    return names;
  }

  private sectors(names: ReadonlyMap<string, number>): Sector[] {
    const sectors: Sector[] = [];
    for (const id of new Set(names.values())) {
      for (const { what } of this.inodes.get(id)!.pending) {
        if (what.kind === "write") sectors.push(...sectorsOf(what));
      }
    }
    return sectors;
  }

  /** @param kept Bytes of each unsynced sector that came to the disk. */
  private files(
    names: ReadonlyMap<string, number>,
    kept: (sector: number) => number,
    sizesKept: boolean,
  ): Files {
    const contents = new Map<number, Uint8Array>();
    let next = 0;
    for (const id of new Set(names.values())) {
      const { durable, pending } = this.inodes.get(id)!;
      let bytes: Uint8Array<ArrayBuffer> = new Uint8Array(durable);
      for (const { what } of pending) {
        if (what.kind === "truncate") bytes = new Uint8Array();
        else {
          const end = what.position + what.bytes.length;
          if (sizesKept && end > bytes.length) bytes = overwrite(new Uint8Array(end), bytes, 0);
          for (const sector of sectorsOf(what)) {
            const part = sector.bytes.subarray(0, kept(next++));
            if (part.length > 0) bytes = overwrite(bytes, part, sector.position);
          }
        }
      }
      contents.set(id, bytes);
    }
    return new Map([...names].map(([path, id]) => [path, contents.get(id)!]));
  }
}

function sectorsOf({ inode, position, bytes }: Extract<DiskOperation, { kind: "write" }>) {
  const sectors: Sector[] = [];
  for (let at = 0; at < bytes.length;) {
    const end = Math.min(at + sectorBytes - ((position + at) % sectorBytes), bytes.length);
    sectors.push({ inode, position: position + at, bytes: bytes.subarray(at, end) });
    at = end;
  }
  return sectors;
}

function rename(names: Map<string, number>, change: NameChange): void {
  if (change.kind === "create") names.set(change.path, change.inode);
  else if (change.kind === "unlink") names.delete(change.path);
  else {
    // By inode: what it names does not depend on whether an earlier change was kept.
    names.delete(change.from);
    names.set(change.to, change.inode);
  }
}

/** Which of `count` things are kept. Every subset of up to `subsetsOf`, a sample of more. */
function* choices(
  count: number,
  subsetsOf: number,
  random: Prng,
): Generator<(i: number) => boolean> {
  if (count <= subsetsOf) {
    for (let mask = 0; mask < 1 << count; mask++) yield (i) => ((mask >> i) & 1) === 1;
    return;
  }
  yield () => false;
  yield () => true;
  const step = Math.max(1, Math.ceil(count / choicesMax));
  for (let at = random.int(0, step - 1); at < count; at += step) {
    yield (i) => i < at;
    yield (i) => i >= at;
    yield (i) => i !== at;
    yield (i) => i === at;
  }
  for (let i = 0; i < randomChoices; i++) {
    const kept = Array.from({ length: count }, () => random.chance(0.5));
    yield (each) => kept[each]!;
  }
}
