/** Damage to real streams: lists of frames, of which what comes out is pieces of bytes. */
import type { Prng } from "../../sim/prng.js";

/** What is sent, each piece in a write of its own. */
export interface Input {
  readonly pieces: readonly Buffer[];
  readonly kinds: readonly Mutation[];
}

export type Mutation =
  | "none"
  | "join"
  | "reorder"
  | "repeat"
  | "drop"
  | "flip"
  | "overwrite"
  | "insert"
  | "remove"
  | "length"
  | "truncate"
  | "garbage"
  | "split";

type Frames = readonly Buffer[];

/** Bytes at which decoders stumble: ends of varints, tags of each wire type, field 0. */
const awkwardBytes = [0x00, 0x01, 0x07, 0x0a, 0x0b, 0x0f, 0x16, 0x20, 0x38, 0x7f, 0x80, 0xff];
/** Lengths at which counters do: 32 and 64 bits, signs, one too many bytes. */
const awkwardVarints = [
  "00",
  "7f",
  "8000",
  "ffff03",
  "ffffffff07",
  "ffffffff0f",
  "8080808010",
  "ffffffffffffff0f",
  "ffffffffffffffffff01",
  "ffffffffffffffffffff01",
].map((hex) => Buffer.from(hex, "hex"));

/** What one chunk may hold after joins; more would only take longer. */
const framesMax = 24;

const onFrames: Readonly<
  Record<
    "join" | "reorder" | "repeat" | "drop",
    (frames: Frames, prng: Prng, corpus: readonly Frames[]) => Frames
  >
> = {
  join: (frames, prng, corpus) => [...frames, ...prng.pick(corpus)].slice(0, framesMax),
  reorder: (frames, prng) => {
    const moved = [...frames];
    const [one] = moved.splice(place(prng, moved.length), 1);
    moved.splice(prng.int(0, moved.length), 0, one!);
    return moved;
  },
  repeat: (frames, prng) => {
    const one = prng.pick(frames);
    return frames.toSpliced(prng.int(0, frames.length), 0, one).slice(0, framesMax);
  },
  drop: (frames, prng) =>
    frames.length === 1 ? frames : frames.toSpliced(place(prng, frames.length), 1),
};

const onBytes: Readonly<
  Record<
    "flip" | "overwrite" | "insert" | "remove" | "length" | "truncate" | "garbage",
    (bytes: Buffer, prng: Prng, starts: readonly number[]) => Buffer
  >
> = {
  flip: (bytes, prng) => {
    const changed = Buffer.from(bytes);
    for (let count = prng.int(1, 3); count > 0; count--) {
      changed[place(prng, changed.length)]! ^= 1 << prng.int(0, 7);
    }
    return changed;
  },
  overwrite: (bytes, prng) => {
    const changed = Buffer.from(bytes);
    changed[place(prng, changed.length)] = prng.pick(awkwardBytes);
    return changed;
  },
  insert: (bytes, prng) => {
    const at = prng.int(0, bytes.length);
    const more = prng.chance(0.5) ? prng.pick(awkwardVarints) : noise(prng, prng.int(1, 8));
    return Buffer.concat([bytes.subarray(0, at), more, bytes.subarray(at)]);
  },
  remove: (bytes, prng) => {
    const at = place(prng, bytes.length);
    return Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + prng.int(1, 8))]);
  },
  // Of a header, where a frame begins.
  length: (bytes, prng, starts) => {
    const at = Math.min(prng.pick(starts), bytes.length);
    const size = prng.pick(awkwardVarints);
    return Buffer.concat([bytes.subarray(0, at), size, bytes.subarray(at + 1)]);
  },
  truncate: (bytes, prng) => bytes.subarray(0, prng.int(0, bytes.length)),
  garbage: (bytes, prng, starts) => {
    const at = Math.min(prng.pick(starts), bytes.length);
    return Buffer.concat([bytes.subarray(0, at), noise(prng, prng.int(1, 64)), bytes.subarray(at)]);
  },
};

const frameKinds = Object.keys(onFrames) as (keyof typeof onFrames)[];
const byteKinds = Object.keys(onBytes) as (keyof typeof onBytes)[];

/** One input: a real stream, and up to three kinds of damage to it. */
export function mutate(corpus: readonly Frames[], prng: Prng): Input {
  let frames = prng.pick(corpus);
  const kinds: Mutation[] = [];
  for (let count = prng.int(0, 2); count > 0; count--) {
    const kind = prng.pick(frameKinds);
    frames = onFrames[kind](frames, prng, corpus);
    kinds.push(kind);
  }
  let bytes: Buffer = Buffer.concat(frames);
  const starts = startsOf(frames);
  if (bytes.length > 0 && prng.chance(0.7)) {
    const kind = prng.pick(byteKinds);
    bytes = onBytes[kind](bytes, prng, starts);
    kinds.push(kind);
  }
  const pieces = prng.chance(0.5) ? split(bytes, prng) : [bytes];
  if (pieces.length > 1) kinds.push("split");
  return { pieces, kinds: kinds.length === 0 ? ["none"] : kinds };
}

function startsOf(frames: Frames): readonly number[] {
  let at = 0;
  return frames.map(({ length }) => (at += length) - length);
}

function split(bytes: Buffer, prng: Prng): readonly Buffer[] {
  const cuts = Array.from({ length: prng.int(1, 5) }, () => prng.int(0, bytes.length));
  const ends = [...cuts.sort((a, b) => a - b), bytes.length];
  const pieces = ends.map((end, index) => bytes.subarray(ends[index - 1] ?? 0, end));
  return pieces.filter(({ length }) => length > 0);
}

function place(prng: Prng, length: number): number {
  return prng.int(0, length - 1);
}

function noise(prng: Prng, length: number): Buffer {
  return Buffer.from(Array.from({ length }, () => prng.int(0, 255)));
}
