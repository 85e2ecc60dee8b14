import protobuf from "protobufjs";
import protojson from "protobufjs/ext/protojson.js";
import { SchemaError } from "../gen/schema.js";
import { RpcError, RpcStatus, type Codec, type MethodDescriptor } from "../index.js";

/**
 * A method that is known by its schema alone: its messages are JSON values.
 * @param path `Service.Method` or `Service/Method`, the service with or without its package.
 * @throws SchemaError when the schema has no such method.
 */
export function findMethod(root: protobuf.Root, path: string): MethodDescriptor {
  const { service: name, method: methodName } = splitPath(path);
  const service = findService(root, name);
  const method = Object.hasOwn(service.methods, methodName) ? service.methods[methodName] : null;
  if (!method) throw new SchemaError(`${service.fullName.slice(1)} has no method ${methodName}`);
  method.resolve();
  return {
    serviceName: service.name,
    name: method.name,
    index: service.methodsArray.indexOf(method),
    request: jsonCodec(method.resolvedRequestType!),
    response: jsonCodec(method.resolvedResponseType!),
    kind: method.responseStream === true ? "server_stream" : "unary",
  };
}

/** @throws SchemaError for what is no path of a method. */
export function splitPath(path: string): { readonly service: string; readonly method: string } {
  const at = Math.max(path.lastIndexOf("."), path.lastIndexOf("/"));
  if (at > 0) return { service: path.slice(0, at), method: path.slice(at + 1) };
  throw new SchemaError(`${path} is not of the form Service.Method`);
}

/**
 * By its full name, or by its short one.
 * @throws SchemaError when the schema has none of that name.
 */
export function findService(root: protobuf.Root, name: string): protobuf.Service {
  const all = servicesOf(root);
  const found =
    all.find((service) => service.fullName === `.${name}`) ??
    all.find((service) => service.name === name);
  if (found === undefined) throw new SchemaError(`there is no service ${name}`);
  return found;
}

function servicesOf(namespace: protobuf.NamespaceBase): readonly protobuf.Service[] {
  return namespace.nestedArray.flatMap((nested) => {
    if (nested instanceof protobuf.Service) return [nested];
    return nested instanceof protobuf.Namespace ? servicesOf(nested) : [];
  });
}

/** By its full name. */
export function findType(root: protobuf.Root, fullName: string): protobuf.Type | null {
  const found = root.lookup(`.${fullName}`);
  return found instanceof protobuf.Type ? found : null;
}

/** protobuf's JSON mapping; bytes are base64, 64-bit integers strings. */
function jsonCodec(type: protobuf.Type): Codec<unknown> {
  return {
    encode(value, writer) {
      writer.raw(type.encode(parse(type, value)).finish());
    },
    decode: (bytes) => jsonOf(type, bytes),
  };
}

export function jsonOf(type: protobuf.Type, bytes: Uint8Array): unknown {
  return protojson.toJson(type, type.decode(bytes));
}

function parse(type: protobuf.Type, value: unknown): protobuf.Message {
  try {
    return protojson.fromJson(type, value);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new RpcError(RpcStatus.INVALID_ARGUMENT, why, { cause: error });
  }
}
