import protobuf from "protobufjs";
import { findService } from "./dynamicMethod.js";

/** What `describe` can show. */
export type Declared = protobuf.Service | protobuf.Type | protobuf.Enum;

/** A service by its short or full name, a message or an enum by its full name; or null. */
export function findDeclared(root: protobuf.Root, name: string): Declared | null {
  const found = root.lookup(`.${name}`);
  if (found instanceof protobuf.Service) return found;
  if (found instanceof protobuf.Type || found instanceof protobuf.Enum) return found;
  try {
    return findService(root, name);
  } catch {
    return null;
  }
}

/** A line for each method: `demo.Echo.Say(demo.Text) returns (demo.Text)`. */
export function signaturesOf(service: protobuf.Service): readonly string[] {
  const name = fullNameOf(service);
  return service.methodsArray.map((method) => `${name}.${signatureOf(method)}`);
}

/** As it would stand in a .proto file, but for comments and with the full names of types. */
export function declarationOf(object: Declared): string {
  return [`// ${fullNameOf(object)}`, ...linesOf(object)].join("\n");
}

function linesOf(object: Declared): readonly string[] {
  if (object instanceof protobuf.Service) {
    const methods = object.methodsArray.map((method) => `rpc ${signatureOf(method)};`);
    return block("service", object.name, methods);
  }
  if (object instanceof protobuf.Enum) return enumLines(object);
  const nested = object.nestedArray.flatMap((inner) =>
    inner instanceof protobuf.Type || inner instanceof protobuf.Enum ? linesOf(inner) : [],
  );
  return block("message", object.name, [...nested, ...fieldLines(object)]);
}

function block(keyword: string, name: string, body: readonly string[]): readonly string[] {
  if (body.length === 0) return [`${keyword} ${name} {}`];
  return [`${keyword} ${name} {`, ...body.map((line) => `  ${line}`), "}"];
}

function enumLines({ name, values }: protobuf.Enum): readonly string[] {
  const body = Object.entries(values).map(([key, value]) => `${key} = ${value};`);
  return block("enum", name, body);
}

/** The fields of a oneof stand together, where the first of them does. */
function fieldLines(type: protobuf.Type): readonly string[] {
  const shown = new Set<protobuf.OneOf>();
  return type.fieldsArray.flatMap((field) => {
    const { partOf } = field;
    if (partOf === null || partOf === undefined) return [fieldLine(field)];
    if (partOf.isProto3Optional) return [`optional ${fieldLine(field)}`];
    if (shown.has(partOf)) return [];
    shown.add(partOf);
    return block("oneof", partOf.name, partOf.fieldsArray.map(fieldLine));
  });
}

function fieldLine(field: protobuf.Field): string {
  field.resolve();
  const type = field.resolvedType === null ? field.type : fullNameOf(field.resolvedType);
  const { name, id } = field;
  if (field instanceof protobuf.MapField) return `map<${field.keyType}, ${type}> ${name} = ${id};`;
  return `${field.repeated ? "repeated " : ""}${type} ${name} = ${id};`;
}

function signatureOf(method: protobuf.Method): string {
  method.resolve();
  const request = fullNameOf(method.resolvedRequestType!);
  const response = fullNameOf(method.resolvedResponseType!);
  const stream = method.responseStream === true ? "stream " : "";
  return `${method.name}(${request}) returns (${stream}${response})`;
}

function fullNameOf(object: protobuf.ReflectionObject): string {
  return object.fullName.replace(/^\./, "");
}
