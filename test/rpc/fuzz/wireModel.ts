/**
 * The requests of a stream, read by a second reader: plain, slow, on bigints, and written from
 * the rules of the wire alone (docs/wire.md). Where it and the provider disagree one of them is wrong.
 */
import type { RpcOptions } from "../../../config/options.js";

export type Limits = Pick<RpcOptions, "headerBytesMax" | "requestBytesMax">;

export interface ModelFrame {
  readonly service: string;
  readonly method: string;
  readonly callId: number;
  readonly timeoutMs: number;
  readonly flags: number;
  readonly credit: number;
  /** Null when they are beyond the limit, and so skipped. */
  readonly args: Buffer | null;
}

/** How a stream ends: between two frames, within one, or where no frame can be told any more. */
export type StreamEnd = "whole" | "cut" | "garbage";

export interface ModelStream {
  readonly frames: readonly ModelFrame[];
  readonly end: StreamEnd;
}

const varintBytesMax = 10;
const groupDepthMax = 100;
const uint32Max = 0xffff_ffffn;
const safeMax = BigInt(Number.MAX_SAFE_INTEGER);

interface Varint {
  readonly value: bigint;
  readonly next: number;
}

/** "cut": more bytes would be needed; "garbage": no more bytes could mend it. */
function varint(bytes: Buffer, start: number): Varint | "cut" | "garbage" {
  let value = 0n;
  for (let index = 0; index < varintBytesMax; index++) {
    const byte = bytes[start + index];
    if (byte === undefined) return "cut";
    value |= BigInt(byte & 0x7f) << BigInt(7 * index);
    if (byte < 0x80) return { value, next: start + index + 1 };
  }
  return "garbage";
}

interface Field {
  /** Field number and wire type; 0 for one whose tag is longer than it need be: nobody knows that. */
  readonly tag: number;
  readonly integer: bigint;
  readonly content: Buffer;
  readonly next: number;
}

const nothing: Buffer = Buffer.alloc(0);

/** The field that begins at `start`; null when none does. */
function field(bytes: Buffer, start: number, depth = 0): Field | null {
  const head = varint(bytes, start);
  if (typeof head === "string" || head.value < 8n || head.value > uint32Max) return null;
  const known = head.next - start === 1;
  const tag = known ? Number(head.value) : 0;
  const found = (next: number, integer = 0n, content: Buffer = nothing): Field | null =>
    next > bytes.length ? null : { tag, integer, content, next };
  const wireType = Number(head.value & 7n);
  if (wireType === 1) return found(head.next + 8);
  if (wireType === 5) return found(head.next + 4);
  if (wireType === 3) {
    const next = groupEnd(bytes, head.next, head.value, depth);
    return next === null ? null : found(next);
  }
  if (wireType !== 0 && wireType !== 2) return null;
  const size = varint(bytes, head.next);
  if (typeof size === "string") return null;
  if (wireType === 0) return found(size.next, size.value);
  if (size.value > safeMax) return null;
  const next = size.next + Number(size.value);
  return found(next, 0n, bytes.subarray(size.next, next));
}

function groupEnd(bytes: Buffer, start: number, tag: bigint, depth: number): number | null {
  if (depth >= groupDepthMax) return null;
  for (let position = start; ;) {
    const head = varint(bytes, position);
    if (typeof head === "string") return null;
    if (head.value === tag + 1n) return head.next;
    const inner = field(bytes, position, depth + 1);
    if (inner === null) return null;
    position = inner.next;
  }
}

function fields(bytes: Buffer): readonly Field[] | null {
  const all: Field[] = [];
  for (let position = 0; position < bytes.length;) {
    const one = field(bytes, position);
    if (one === null) return null;
    all.push(one);
    position = one.next;
  }
  return all;
}

const integerTags = { args_size: 0x18, call_id: 0x20, timeout_ms: 0x28, flags: 0x38, credit: 0x40 };
const metadataTag = 0x32;

/** An RpcHeader, in which of each field the last one counts; null when it is none. */
function header(bytes: Buffer): (Omit<ModelFrame, "args"> & { readonly argsSize: number }) | null {
  const all = fields(bytes);
  if (all === null) return null;
  for (const { tag, integer, content } of all) {
    const isInteger = Object.values(integerTags).includes(tag);
    const max = tag === integerTags.call_id ? safeMax : uint32Max;
    if (isInteger && integer > max) return null;
    if (tag === metadataTag && fields(content) === null) return null;
  }
  const last = (tag: number): Field | undefined => all.findLast((one) => one.tag === tag);
  const integer = (tag: number): number => Number(last(tag)?.integer ?? 0n);
  return {
    service: (last(0x0a)?.content ?? nothing).toString("latin1"),
    method: (last(0x12)?.content ?? nothing).toString("latin1"),
    argsSize: integer(integerTags.args_size),
    callId: integer(integerTags.call_id),
    timeoutMs: integer(integerTags.timeout_ms),
    flags: integer(integerTags.flags),
    credit: integer(integerTags.credit),
  };
}

export function readStream(bytes: Buffer, limits: Limits): ModelStream {
  const frames: ModelFrame[] = [];
  for (let position = 0; position < bytes.length;) {
    const size = varint(bytes, position);
    if (size === "cut") return { frames, end: "cut" };
    if (size === "garbage" || size.value > BigInt(limits.headerBytesMax)) {
      return { frames, end: "garbage" };
    }
    const headEnd = size.next + Number(size.value);
    if (headEnd > bytes.length) return { frames, end: "cut" };
    const head = header(bytes.subarray(size.next, headEnd));
    if (head === null) return { frames, end: "garbage" };
    const { argsSize, ...rest } = head;
    position = headEnd + argsSize;
    const skipped = argsSize > limits.requestBytesMax;
    // Of arguments that are skipped the head alone counts: it is answered when it is there.
    if (skipped || position <= bytes.length) {
      frames.push({ ...rest, args: skipped ? null : bytes.subarray(headEnd, position) });
    }
    if (position > bytes.length) return { frames, end: "cut" };
  }
  return { frames, end: "whole" };
}
