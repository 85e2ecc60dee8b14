import protobuf from "protobufjs";

/**
 * protobufjs's 64-bit integers. The runtime removes them from protobufjs when it is loaded, so that
 * generated code gets plain numbers; here, where any schema may come, they must be exact. So this
 * module is imported before the runtime, and puts back what it found.
 */
const long: unknown = protobuf.util.Long;

/** To be called before types are made from a schema, and once the runtime is loaded. */
export function restoreLongs(): void {
  Reflect.set(protobuf.util, "Long", long);
  protobuf.configure();
}
