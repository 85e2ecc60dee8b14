import protobuf from "protobufjs";
import descriptor from "protobufjs/ext/descriptor.js";
import { loadSchema, SchemaError } from "../gen/schema.js";
import { RpcError, RpcStatus, type MprpcChannel } from "../index.js";
import { Reflection_Stub } from "../services/index.js";

/** Where what is known of a server's services comes from. */
export interface SchemaSource {
  /** Full names of the services. */
  list(): Promise<readonly string[]>;
  /** A schema that declares the service, as far as that is known here. */
  schemaOf(service: string): Promise<protobuf.Root>;
}

/**
 * .proto files at hand.
 * @throws SchemaError
 */
export function fromFiles(files: readonly string[], importPaths: readonly string[]): SchemaSource {
  const { root, services } = loadSchema(files, importPaths);
  return {
    list: async () => services.map(({ fullName }) => fullName.slice(1)),
    schemaOf: async () => root,
  };
}

/** What the server says of itself. Calls reject with RpcError, or SchemaError. */
export function fromReflection(channel: MprpcChannel, timeoutMs: number | undefined): SchemaSource {
  const stub = new Reflection_Stub(channel);
  return {
    async list() {
      const { services } = await asked(stub.ListServices({}, { timeoutMs }));
      return services.map(({ full_name }) => full_name ?? "");
    },
    async schemaOf(service) {
      const { file_descriptor_set } = await asked(stub.GetSchema({ service }, { timeoutMs }));
      return parse(file_descriptor_set);
    },
  };
}

async function asked<T>(reply: Promise<T>): Promise<T> {
  try {
    return await reply;
  } catch (error) {
    if (!(error instanceof RpcError)) throw error;
    if (error.status === RpcStatus.NOT_FOUND) throw new SchemaError(error.message);
    if (error.status !== RpcStatus.UNIMPLEMENTED) throw error;
    const text = "the server offers no Reflection service; give its .proto file with --proto";
    throw new RpcError(error.status, text, { cause: error });
  }
}

function parse(fileDescriptorSet: Uint8Array): protobuf.Root {
  try {
    const { file } = descriptor.FileDescriptorSet.decode(fileDescriptorSet);
    return protobuf.Root.fromDescriptor({ file }, { keepCase: true });
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new SchemaError(`the server's schema can't be read: ${why}`, { cause: error });
  }
}
