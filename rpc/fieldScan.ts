import { readVarint, varintIncomplete, varintInvalid, type VarintResult } from "./varint.js";

/** Groups within groups that are followed; protobuf's own limit. */
export const groupDepthMax = 100;

const found: VarintResult = { value: 0, next: 0 };

/**
 * Where the field that begins at `start` ends; `varintIncomplete` when it goes on beyond `end`,
 * `varintInvalid` when no field can begin like that.
 */
export function skipField(bytes: Uint8Array, start: number, end: number, depth = 0): number {
  readVarint(bytes, start, end, found);
  const tag = found.value;
  if (tag < 0) return tag;
  if (tag < 8 || tag > 0xffff_ffff) return varintInvalid;
  return skipValue(bytes, found.next, end, tag, depth);
}

function skipValue(
  bytes: Uint8Array,
  start: number,
  end: number,
  tag: number,
  depth: number,
): number {
  switch (tag & 7) {
    case 0:
      readVarint(bytes, start, end, found);
      // Any ten bytes at most will do here: what the varint says is nobody's concern.
      return found.value === varintInvalid ? skipLongVarint(bytes, start) : endOf(found);
    case 1:
      return within(start + 8, end);
    case 2:
      readVarint(bytes, start, end, found);
      return found.value < 0 ? found.value : within(found.next + found.value, end);
    case 3:
      return skipGroup(bytes, start, end, tag, depth);
    case 5:
      return within(start + 4, end);
    default:
      return varintInvalid;
  }
}

function endOf(varint: VarintResult): number {
  return varint.value < 0 ? varint.value : varint.next;
}

function within(position: number, end: number): number {
  return position <= end ? position : varintIncomplete;
}

/** A negative or unsafe integer: `readVarint` has seen up to ten bytes of it. */
function skipLongVarint(bytes: Uint8Array, start: number): number {
  for (let position = start; position < start + 10; position++) {
    if (bytes[position]! < 0x80) return position + 1;
  }
  return varintInvalid;
}

function skipGroup(
  bytes: Uint8Array,
  start: number,
  end: number,
  tag: number,
  depth: number,
): number {
  if (depth >= groupDepthMax) return varintInvalid;
  let position = start;
  for (;;) {
    readVarint(bytes, position, end, found);
    if (found.value < 0) return found.value;
    // The end of a group is its own tag with wire type 4.
    if (found.value === tag + 1) return found.next;
    position = skipField(bytes, position, end, depth + 1);
    if (position < 0) return position;
  }
}
