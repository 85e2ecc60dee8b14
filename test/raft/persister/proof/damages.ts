/** Everything that can befall a directory's files, one thing at a time. */
import type { Files } from "./recordingDisk.js";

export interface Damage {
  /** The row of the table that it is counted in. */
  readonly kind: string;
  /** What exactly, so that it can be done again. */
  readonly what: string;
  readonly files: Files;
}

const sectorBytes = 512;

export function* damages(files: Files): Generator<Damage> {
  for (const path of files.keys()) {
    yield* flippedBits(files, path);
    yield* cutShort(files, path);
    yield* zeroedSectors(files, path);
    yield* swappedSectors(files, path);
    yield damaged(files, "file removed", path, path, null);
  }
  yield* misdirectedSectors(files);
  yield* swappedFiles(files);
}

function damaged(
  files: Files,
  kind: string,
  what: string,
  path: string,
  bytes: Uint8Array | null,
): Damage {
  const changed = new Map(files);
  if (bytes === null) changed.delete(path);
  else changed.set(path, bytes);
  return { kind, what, files: changed };
}

function* flippedBits(files: Files, path: string): Generator<Damage> {
  const whole = files.get(path)!;
  for (let bit = 0; bit < whole.length * 8; bit++) {
    const bytes = new Uint8Array(whole);
    bytes[bit >> 3]! ^= 1 << (bit & 7);
    yield damaged(files, "bit flipped", `bit ${bit} of ${path}`, path, bytes);
  }
}

function* cutShort(files: Files, path: string): Generator<Damage> {
  const whole = files.get(path)!;
  for (let length = 0; length < whole.length; length++) {
    const bytes = whole.subarray(0, length);
    yield damaged(files, "file cut short", `${path} cut to ${length}`, path, bytes);
  }
}

function* zeroedSectors(files: Files, path: string): Generator<Damage> {
  const whole = files.get(path)!;
  for (const size of [sectorBytes, 4096]) {
    for (let at = 0; at < whole.length; at += size) {
      const bytes = new Uint8Array(whole);
      bytes.fill(0, at, at + size);
      yield damaged(files, "sector zeroed", `${size} at ${at} of ${path}`, path, bytes);
    }
  }
}

function* swappedSectors(files: Files, path: string): Generator<Damage> {
  const whole = files.get(path)!;
  for (let a = 0; a + sectorBytes <= whole.length; a += sectorBytes) {
    for (let b = a + sectorBytes; b + sectorBytes <= whole.length; b += sectorBytes) {
      const bytes = new Uint8Array(whole);
      bytes.set(whole.subarray(b, b + sectorBytes), a);
      bytes.set(whole.subarray(a, a + sectorBytes), b);
      yield damaged(files, "sectors swapped", `${a} and ${b} of ${path}`, path, bytes);
    }
  }
}

/** A write that went to the same place of another file, and is missing where it belongs. */
function* misdirectedSectors(files: Files): Generator<Damage> {
  for (const [from, source] of files) {
    for (const [to, target] of files) {
      if (from === to) continue;
      for (let at = 0; at < Math.min(source.length, target.length); at += sectorBytes) {
        const bytes = new Uint8Array(target);
        bytes.set(source.subarray(at, Math.min(at + sectorBytes, target.length)), at);
        yield damaged(files, "sector of another file", `${at} of ${from} in ${to}`, to, bytes);
      }
    }
  }
}

function* swappedFiles(files: Files): Generator<Damage> {
  const paths = [...files.keys()];
  for (const [i, a] of paths.entries()) {
    for (const b of paths.slice(i + 1)) {
      const changed = new Map(files).set(a, files.get(b)!).set(b, files.get(a)!);
      yield { kind: "files swapped", what: `${a} and ${b}`, files: changed };
    }
  }
}
