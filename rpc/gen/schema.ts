import protobuf from "protobufjs";
import { loadFiles, type LoadedFile } from "./load.js";
import { SchemaError } from "./locate.js";

export { SchemaError } from "./locate.js";

/** What the generator needs to know of a set of .proto files. */
export interface Schema {
  readonly root: protobuf.Root;
  /** By the `filename` of what they declare. */
  readonly files: ReadonlyMap<string, LoadedFile>;
  /** In the order of the files. */
  readonly messages: readonly protobuf.Type[];
  readonly enums: readonly protobuf.Enum[];
  readonly services: readonly protobuf.Service[];
}

/** Names that a generated service or stub class has itself. */
const reservedMethods = new Set([
  "constructor",
  "callMethod",
  "callStream",
  "descriptor",
  "channel",
]);
/** Names that a generated message class has itself. */
const reservedFields = new Set(["constructor", "toJSON", "__proto__", "hasOwnProperty"]);

/** What the generated code uses under these names, from the language and from the runtime. */
const taken = new Set(
  (
    "Array Error Map Math Number Object Promise Set String Symbol Uint8Array bigint boolean number " +
    "string unknown void undefined null any never object symbol await async type interface namespace " +
    "declare module abstract as get set of is keyof infer readonly unique " +
    "messages AsyncIterable CallOptions Codec MethodDescriptor MprpcController NamedCodec RpcChannel RpcService " +
    "ServerStream ServiceDescriptor callServerStream callUnary defineCodec schemaOf settle unimplemented"
  ).split(" "),
);

/**
 * Parses the files and those that they import.
 * @throws SchemaError when one can't be read, parsed or served; its text begins with `file:line`.
 */
export function loadSchema(files: readonly string[], importPaths: readonly string[]): Schema {
  const { root, files: loaded } = loadFiles(files, importPaths);
  const found: Collected = { messages: [], enums: [], services: [] };
  collect(root, found);
  const schema = { root, files: loaded, ...found };
  for (const message of found.messages) checkMessage(schema, message);
  for (const service of found.services) checkService(schema, service);
  resolve(root);
  return schema;
}

interface Collected {
  readonly messages: protobuf.Type[];
  readonly enums: protobuf.Enum[];
  readonly services: protobuf.Service[];
}

function collect(namespace: protobuf.NamespaceBase, found: Collected): void {
  for (const nested of namespace.nestedArray) {
    if (nested instanceof protobuf.Type) found.messages.push(nested);
    if (nested instanceof protobuf.Enum) found.enums.push(nested);
    if (nested instanceof protobuf.Service) found.services.push(nested);
    if (nested instanceof protobuf.Namespace) collect(nested, found);
  }
}

/** What is left to go wrong here was not foreseen above, and has no line. */
function resolve(root: protobuf.Root): void {
  try {
    root.resolveAll();
  } catch (error) {
    throw new SchemaError(error instanceof Error ? error.message : String(error), { cause: error });
  }
}

function checkMessage(schema: Schema, message: protobuf.Type): void {
  for (const field of message.fieldsArray) {
    if (reservedFields.has(field.name)) {
      throw errorAt(schema, field, `${fullNameOf(field)}: the name is taken`);
    }
    if (Object.hasOwn(protobuf.types.basic, field.type)) continue;
    const type = message.lookup(field.type, [protobuf.Type, protobuf.Enum]);
    if (type === null) throw errorAt(schema, field, `${fullNameOf(field)}: no type ${field.type}`);
  }
}

function checkService(schema: Schema, service: protobuf.Service): void {
  for (const method of service.methodsArray) {
    if (method.requestStream === true) {
      const text = `${fullNameOf(method)}: streams of requests are not supported`;
      throw errorAt(schema, method, text);
    }
    if (reservedMethods.has(method.name)) {
      throw errorAt(schema, method, `${fullNameOf(method)}: the name is taken`);
    }
    for (const type of [method.requestType, method.responseType]) {
      if (service.lookup(type, [protobuf.Type]) !== null) continue;
      throw errorAt(schema, method, `${fullNameOf(method)}: no message ${type}`);
    }
  }
}

function errorAt(schema: Schema, object: protobuf.ReflectionObject, text: string): SchemaError {
  const source = schema.files.get(fileOf(object))?.source;
  return source?.errorAt(source.positionOf(object), text) ?? new SchemaError(text);
}

/** Which file declares the object; what stands inside another declaration may not know itself. */
export function fileOf(object: protobuf.ReflectionObject): string {
  for (let at: protobuf.ReflectionObject | null = object; at !== null; at = at.parent) {
    if (at.filename !== null) return at.filename;
  }
  return "";
}

/** `package.Message`, without protobufjs's dot in front. */
export function fullNameOf(object: protobuf.ReflectionObject): string {
  return object.fullName.replace(/^\./, "");
}

/** Where pbjs puts the class: the full name with a `_` after each word that JavaScript keeps. */
export function classPathOf(object: protobuf.ReflectionObject): string {
  return fullNameOf(object)
    .split(".")
    .map((part) => (protobuf.util.isReserved(part) ? `${part}_` : part))
    .join(".");
}

/** The name, with a `_` behind it where JavaScript or the generated code has a use of its own. */
export function identifier(name: string): string {
  return protobuf.util.isReserved(name) || taken.has(name) ? `${name}_` : name;
}

/**
 * A name for each object that is unique among them and an identifier: the last part of the full
 * name, or all of it where two would be alike.
 */
export function identifiersFor<T extends protobuf.ReflectionObject>(
  objects: readonly T[],
): ReadonlyMap<T, string> {
  const count = new Map<string, number>();
  for (const { name } of objects) count.set(name, (count.get(name) ?? 0) + 1);
  return new Map(
    objects.map((object) => [
      object,
      count.get(object.name) === 1
        ? identifier(object.name)
        : fullNameOf(object).replaceAll(".", "_"),
    ]),
  );
}
