import { MessageReader } from "./messageReader.js";
import type { NamedCodec } from "./service.js";
import { RpcError, RpcStatus } from "./status.js";

/** A message class as pbjs generates it. */
interface MessageClass<T, Init> {
  encode(message: Init, writer: unknown): unknown;
  decode(reader: unknown): T;
}

/** Least and greatest integer. Of bigints the values are bigints, too. */
export interface IntegerRange {
  readonly min: number | bigint;
  readonly max: number | bigint;
}

/** A field that can refuse a value: an integer, or a message that has such fields. */
export interface CheckedField extends Partial<IntegerRange> {
  readonly name: string;
  /** The field is a map; the rest concerns its values. */
  readonly map?: boolean;
  /** What a map's integer keys may be. */
  readonly keys?: IntegerRange;
  /** The fields of the message that the field holds; a function, since types can be recursive. */
  readonly fields?: () => readonly CheckedField[];
}

/** Decoding is synchronous and never nests: one reader serves all. */
const reader = new MessageReader(new Uint8Array(0));
const nothing = new Uint8Array(0);

/**
 * Makes the codec of one generated message. `fullName` and `fields` are for the message of an
 * error.
 */
export function defineCodec<T, Init>(
  message: MessageClass<T, Init>,
  fullName: string,
  fields: readonly CheckedField[],
): NamedCodec<T, Init> {
  const decodePart = (bytes: Uint8Array, start: number, end: number): T => {
    try {
      return message.decode(reader.open(bytes, start, end));
    } catch (error) {
      // Once more, for an error whose positions count from where the message begins.
      if (start > 0) return decodePart(bytes.subarray(start, end), 0, end - start);
      throw decodeError(error, fullName);
    } finally {
      // Otherwise the last message would keep the whole chunk that it arrived in.
      reader.open(nothing);
    }
  };
  return {
    fullName,
    encode(value, writer) {
      try {
        message.encode(value, writer);
      } catch (error) {
        throw encodeError(error, fullName, value, fields);
      }
    },
    decode: (bytes) => decodePart(bytes, 0, bytes.length),
    decodePart,
  };
}

function encodeError(
  cause: unknown,
  fullName: string,
  value: unknown,
  fields: readonly CheckedField[],
): RpcError {
  const path = findBadInteger(value, fields);
  const where = path === null ? fullName : `${fullName}.${path.name}`;
  const why = path === null ? reasonOf(cause) : `${String(path.value)} is out of range`;
  return new RpcError(RpcStatus.INVALID_ARGUMENT, `${where}: ${why}`, { cause });
}

function decodeError(cause: unknown, fullName: string): RpcError {
  const text = `${fullName}, field number ${reader.lastTag >>> 3}: ${reasonOf(cause)}`;
  return new RpcError(RpcStatus.INVALID_ARGUMENT, text, { cause });
}

function reasonOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}

interface BadInteger {
  readonly name: string;
  readonly value: unknown;
}

/** The first field, in the order of the declaration, whose integer its type can't hold. */
function findBadInteger(message: unknown, fields: readonly CheckedField[]): BadInteger | null {
  if (typeof message !== "object" || message === null) return null;
  const values = new Map<string, unknown>(Object.entries(message));
  for (const field of fields) {
    const value = values.get(field.name);
    if (value === undefined || value === null) continue;
    const found = findInField(value, field);
    if (found !== null) return found;
  }
  return null;
}

function findInField(value: unknown, field: CheckedField): BadInteger | null {
  if (field.map === true) return findInMap(value, field);
  if (Array.isArray(value)) return findInArray(value, field);
  return checkValue(value, field, field.name);
}

function findInMap(map: unknown, field: CheckedField): BadInteger | null {
  if (typeof map !== "object" || map === null) return null;
  for (const [key, value] of Object.entries(map)) {
    const name = `${field.name}[${JSON.stringify(key)}]`;
    if (field.keys !== undefined && !keyFits(key, field.keys)) return { name, value: `key ${key}` };
    const checked = field.fields !== undefined || field.min !== undefined;
    const found = checked ? checkValue(value, field, name) : null;
    if (found !== null) return found;
  }
  return null;
}

function keyFits(key: string, range: IntegerRange): boolean {
  return /^-?\d+$/.test(key) && BigInt(key) >= range.min && BigInt(key) <= range.max;
}

function findInArray(values: readonly unknown[], field: CheckedField): BadInteger | null {
  for (const [index, value] of values.entries()) {
    const found = checkValue(value, field, `${field.name}[${index}]`);
    if (found !== null) return found;
  }
  return null;
}

function checkValue(value: unknown, field: CheckedField, name: string): BadInteger | null {
  if (field.fields !== undefined) {
    const inner = findBadInteger(value, field.fields());
    return inner === null ? null : { name: `${name}.${inner.name}`, value: inner.value };
  }
  return fits(value, field) ? null : { name, value };
}

function fits(value: unknown, { min = -Infinity, max = Infinity }: CheckedField): boolean {
  if (typeof value === "bigint") return typeof min === "bigint" && value >= min && value <= max;
  const whole = typeof value === "number" && Number.isSafeInteger(value);
  return whole && typeof min === "number" && value >= min && value <= max;
}
