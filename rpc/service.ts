/**
 * The shapes that generated code, `RpcProvider` and `MprpcChannel` share: what protobuf's generic
 * services (`Service`, `RpcChannel`, `MethodDescriptor`) are in the C++ original.
 */
import type { ByteWriter } from "./byteWriter.js";
import type { MprpcController } from "./mprpcController.js";

/**
 * How one message type becomes bytes, and back. `Init` is what may be encoded: with generated code
 * a message whose fields are all optional.
 */
export interface Codec<T, Init = T> {
  /**
   * Appends the message to `writer`. After an error the writer may hold a part of it.
   * @throws RpcError with INVALID_ARGUMENT, which names the field, for a value that its type can't
   * hold: an integer that is not a safe integer, above all.
   */
  encode(message: Init, writer: ByteWriter): void;
  /**
   * Reads the whole of `bytes`. The `bytes` fields of the result may be views into it: whoever
   * keeps one longer than the call copies it.
   * @throws Error when `bytes` is not such a message.
   */
  decode(bytes: Uint8Array): T;
}

export interface MethodDescriptor<Req = unknown, Res = unknown> {
  /** The short name of the service, which is what the wire carries: `kvServerRpc`. */
  readonly serviceName: string;
  readonly name: string;
  /** Position within its service. */
  readonly index: number;
  readonly request: Codec<Req>;
  readonly response: Codec<Res>;
}

export interface ServiceDescriptor {
  readonly name: string;
  /** With the package in front: `raftKVRpcProctoc.kvServerRpc`. */
  readonly fullName: string;
  readonly methods: readonly MethodDescriptor[];
  /**
   * A serialized google.protobuf.FileDescriptorSet that declares the service and all that it
   * needs, made anew each time; absent from a service that was not generated.
   */
  readonly schema?: Uint8Array;
}

/**
 * A service that an `RpcProvider` can be notified of. Generated abstract services implement
 * `callMethod` over one promise-returning method each; a service on a hot path may implement it
 * itself and save the promise.
 */
export interface RpcService {
  readonly descriptor: ServiceDescriptor;
  /**
   * Runs one call. `done` must be called exactly once, now or later; when
   * `controller.failed()` holds by then, the caller gets that status and `response` is ignored.
   * The response is encoded before `done` returns, so it may hold views of what changes later.
   * A thrown RpcError reaches the caller with its status and text, anything else as INTERNAL.
   */
  callMethod(
    method: MethodDescriptor,
    controller: MprpcController,
    request: unknown,
    done: (response: unknown) => void,
  ): void;
}

/** The calling side: what a generated stub stands on. */
export interface RpcChannel {
  /**
   * Starts one call and calls `done` exactly once: with the reply, or with `null` after
   * `controller.setFailed`. Never throws, and never calls `done` before it returns.
   */
  callMethod<Req, Res>(
    method: MethodDescriptor<Req, Res>,
    controller: MprpcController,
    request: Req,
    done: (response: Res | null) => void,
  ): void;
}
