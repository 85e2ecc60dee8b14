import { MessageReader } from "./messageReader.js";
import type { Codec } from "./service.js";
import { RpcError, RpcStatus } from "./status.js";

/** A message class as pbjs generates it. */
interface MessageClass<T, Init> {
  encode(message: Init, writer: unknown): unknown;
  decode(reader: unknown): T;
}

/** A field that can refuse a value: an integer, or a message that has such fields. */
export interface CheckedField {
  readonly name: string;
  /** Least and greatest integer; absent for a message. */
  readonly min?: number;
  readonly max?: number;
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
): Codec<T, Init> {
  return {
    encode(value, writer) {
      try {
        message.encode(value, writer);
      } catch (error) {
        throw encodeError(error, fullName, value, fields);
      }
    },
    decode(bytes) {
      try {
        return message.decode(reader.open(bytes));
      } catch (error) {
        throw decodeError(error, fullName);
      } finally {
        // Otherwise the last message would keep the whole chunk that it arrived in.
        reader.open(nothing);
      }
    },
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
    const found = Array.isArray(value)
      ? findInArray(value, field)
      : checkValue(value, field, field.name);
    if (found !== null) return found;
  }
  return null;
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
  const { min = -Infinity, max = Infinity } = field;
  const fits =
    typeof value === "number" && Number.isSafeInteger(value) && value >= min && value <= max;
  return fits ? null : { name, value };
}
