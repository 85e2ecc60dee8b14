import protobuf from "protobufjs";
import descriptor from "protobufjs/ext/descriptor.js";
import type { LoadedFile } from "./load.js";
import { fileOf, type Schema } from "./schema.js";

type FileParts = Pick<
  descriptor.IFileDescriptorProto,
  "messageType" | "enumType" | "service" | "extension"
>;

/** The schema as a serialized google.protobuf.FileDescriptorSet, imported files first. */
export function schemaBytes(schema: Schema): Uint8Array {
  const file = [...schema.files].map(([path, loaded]) => fileDescriptor(schema.root, path, loaded));
  return descriptor.FileDescriptorSet.encode({ file }).finish();
}

function fileDescriptor(
  root: protobuf.Root,
  path: string,
  { name, packageName, imports, syntax }: LoadedFile,
): descriptor.IFileDescriptorProto {
  const found = packageName === "" ? root : root.lookup(packageName);
  const namespace = found instanceof protobuf.Namespace ? found : root;
  const parts = { messageType: [], enumType: [], service: [], extension: [] };
  for (const object of namespace.nestedArray) {
    if (fileOf(object) === path) addTo(parts, object, syntax);
  }
  return { name, package: packageName, dependency: [...imports], syntax, ...parts };
}

function addTo(parts: FileParts, object: protobuf.ReflectionObject, syntax: string): void {
  if (object instanceof protobuf.Type) parts.messageType?.push(object.toDescriptor(syntax));
  else if (object instanceof protobuf.Enum) parts.enumType?.push(object.toDescriptor());
  else if (object instanceof protobuf.Service) parts.service?.push(object.toDescriptor());
  else if (object instanceof protobuf.Field) parts.extension?.push(object.toDescriptor(syntax));
}
