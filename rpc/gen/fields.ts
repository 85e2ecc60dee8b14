import protobuf from "protobufjs";

/** How 64-bit integers appear in the generated code. */
export type Int64 = "number" | "bigint";

/** Least and greatest value of each integer type, as JavaScript source. */
const int32 = "min: -2147483648, max: 2147483647";
const uint32 = "min: 0, max: 4294967295";
const ranges32: Readonly<Record<string, string>> = {
  int32,
  sint32: int32,
  sfixed32: int32,
  uint32,
  fixed32: uint32,
};
const ranges64: Readonly<Record<Int64, { readonly signed: string; readonly unsigned: string }>> = {
  number: {
    signed: "min: Number.MIN_SAFE_INTEGER, max: Number.MAX_SAFE_INTEGER",
    unsigned: "min: 0, max: Number.MAX_SAFE_INTEGER",
  },
  bigint: {
    signed: "min: -9223372036854775808n, max: 9223372036854775807n",
    unsigned: "min: 0n, max: 18446744073709551615n",
  },
};

function rangeOf(type: string, int64: Int64): string | undefined {
  if (/^(?:s?int64|sfixed64)$/.test(type)) return ranges64[int64].signed;
  if (/^(?:uint64|fixed64)$/.test(type)) return ranges64[int64].unsigned;
  return ranges32[type];
}

/**
 * The `CheckedField` of a field that can hold an integer, as JavaScript source; null for others.
 * `fieldsOf` names the list of another message's fields.
 */
export function checkedField(
  field: protobuf.Field,
  fieldsOf: (message: protobuf.Type) => string,
  int64: Int64,
): string | null {
  const parts = [];
  const range = rangeOf(field.type, int64);
  if (range !== undefined) parts.push(range);
  if (field.resolvedType instanceof protobuf.Enum) parts.push(int32);
  if (field.resolvedType instanceof protobuf.Type) {
    parts.push(`fields: () => ${fieldsOf(field.resolvedType)}`);
  }
  if (field instanceof protobuf.MapField) {
    const keys = rangeOf(field.keyType, int64);
    if (keys !== undefined) parts.push(`keys: { ${keys} }`);
    if (parts.length > 0) parts.push("map: true");
  }
  return parts.length === 0 ? null : `{ name: "${field.name}", ${parts.join(", ")} }`;
}
