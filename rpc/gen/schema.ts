import protobuf from "protobufjs";

/** What the generator needs to know of a set of .proto files. */
export interface Schema {
  /** In the order of the files. */
  readonly messages: readonly protobuf.Type[];
  readonly services: readonly protobuf.Service[];
}

/** What is wrong with the input, said for the one who wrote it. */
export class SchemaError extends Error {
  override readonly name = "SchemaError";
}

/** Names that a generated service class has itself. */
const reserved = new Set(["constructor", "callMethod", "descriptor", "channel"]);

/**
 * Parses the files and those that they import.
 * @throws SchemaError when one can't be read, parsed or served.
 */
export function loadSchema(files: readonly string[], importPaths: readonly string[]): Schema {
  const root = new protobuf.Root();
  const resolveBeside = root.resolvePath.bind(root);
  root.resolvePath = (origin, target) =>
    findImport(target, importPaths) ?? resolveBeside(origin, target);
  try {
    root.loadSync([...files], { keepCase: true, alternateCommentMode: true });
    root.resolveAll();
  } catch (error) {
    throw new SchemaError(error instanceof Error ? error.message : String(error), { cause: error });
  }
  const found = { messages: [] as protobuf.Type[], services: [] as protobuf.Service[] };
  collect(root, found);
  for (const service of found.services) checkService(service);
  return found;
}

function findImport(target: string, importPaths: readonly string[]): string | null {
  for (const path of importPaths) {
    const candidate = protobuf.util.path.resolve(`${path}/`, target);
    if (protobuf.util.fs?.existsSync(candidate) === true) return candidate;
  }
  return null;
}

function collect(
  namespace: protobuf.NamespaceBase,
  found: { messages: protobuf.Type[]; services: protobuf.Service[] },
): void {
  for (const nested of namespace.nestedArray) {
    if (nested instanceof protobuf.Type) found.messages.push(nested);
    if (nested instanceof protobuf.Service) found.services.push(nested);
    if (nested instanceof protobuf.Namespace) collect(nested, found);
  }
}

function checkService(service: protobuf.Service): void {
  for (const method of service.methodsArray) {
    const name = `${fullNameOf(service)}.${method.name}`;
    if (method.requestStream === true || method.responseStream === true) {
      throw new SchemaError(`${name}: streaming calls are not supported`);
    }
    if (reserved.has(method.name)) throw new SchemaError(`${name}: the name is taken`);
  }
}

/** `package.Message`, without protobufjs's dot in front. */
export function fullNameOf(object: protobuf.ReflectionObject): string {
  return object.fullName.replace(/^\./, "");
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
      count.get(object.name) === 1 ? object.name : fullNameOf(object).replaceAll(".", "_"),
    ]),
  );
}
