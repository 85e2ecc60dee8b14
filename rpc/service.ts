/**
 * The shapes that generated code, `RpcProvider` and `MprpcChannel` share: what protobuf's generic
 * services (`Service`, `RpcChannel`, `MethodDescriptor`) are in the C++ original.
 */
import type { ByteWriter } from "./byteWriter.js";
import type { CallOptions, MprpcController } from "./mprpcController.js";

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
  /** As `decode`, of `bytes[start..end)`: where it is there, no view is made of each message. */
  decodePart?(bytes: Uint8Array, start: number, end: number): T;
}

/** Reads the message `bytes[start..end)`, as `Codec.decode` does. */
export function decodePart<T>(codec: Codec<T>, bytes: Uint8Array, start: number, end: number): T {
  if (codec.decodePart !== undefined) return codec.decodePart(bytes, start, end);
  return codec.decode(bytes.subarray(start, end));
}

/** A codec that knows its message's full name, as generated ones do: `shop.v1.OutOfStock`. */
export interface NamedCodec<T, Init = T> extends Codec<T, Init> {
  readonly fullName: string;
}

export interface MethodDescriptor<Req = unknown, Res = unknown> {
  /** The short name of the service, which is what the wire carries: `kvServerRpc`. */
  readonly serviceName: string;
  readonly name: string;
  /** Position within its service. */
  readonly index: number;
  readonly request: Codec<Req>;
  readonly response: Codec<Res>;
  /** Absent: unary. */
  readonly kind?: "unary" | "server_stream";
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
   * True: a response of `callMethod` may hold views of what changes after `done` has returned. It is
   * encoded before that; behind interceptors, which see it later, a copy takes its place.
   */
  readonly lendsBytes?: boolean;
  /**
   * True: its callers are let in beyond `connectionsMax`, for what they say must not be kept out by
   * the number of others. Plain TCP only.
   */
  readonly essential?: boolean;
  /**
   * Runs one call. `done` must be called exactly once, now or later; when
   * `controller.failed()` holds by then, the caller gets that status and `response` is ignored.
   * A thrown RpcError reaches the caller with its status and text, anything else as INTERNAL.
   */
  callMethod(
    method: MethodDescriptor,
    controller: MprpcController,
    request: unknown,
    done: (response: unknown) => void,
  ): void;
  /**
   * Runs one call of a streaming method; a service without any needs none. The next message is
   * asked for only when it can be sent, and encoded at once. When the caller is gone the iterator's
   * `return` is called; the call counts as in flight until that has settled.
   */
  callStream?(
    method: MethodDescriptor,
    controller: MprpcController,
    request: unknown,
  ): AsyncIterable<unknown> | Promise<AsyncIterable<unknown>>;
}

/** Where a stream's messages go. */
export interface StreamSink<Res> {
  /** One message. When it has been taken, its `cost` in bytes is to be granted to the server. */
  onMessage(message: Res, cost: number): void;
  /** Called exactly once, when no more will come; `controller.failed()` tells how it ended. */
  onEnd(): void;
}

/** The way back from a sink. */
export interface StreamFlow {
  /** Messages that cost `bytes` were taken: the server may send as much again. */
  grant(bytes: number): void;
}

/** A channel for those who make unary calls alone. */
export interface UnaryChannel {
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

/** The calling side: what a generated stub stands on. */
export interface RpcChannel extends UnaryChannel {
  /**
   * Starts one call of a streaming method. Never throws, and never calls `sink` before it returns.
   * A server that speaks revision 1 ends it with UNIMPLEMENTED.
   */
  callStream<Req, Res>(
    method: MethodDescriptor<Req, Res>,
    controller: MprpcController,
    request: Req,
    sink: StreamSink<Res>,
  ): StreamFlow;
  /**
   * Sends a request that is run and never answered: nobody learns whether it was. Never throws; what
   * is known to have gone wrong here is in the controller, if one was given.
   */
  notify<Req, Res>(
    method: MethodDescriptor<Req, Res>,
    request: Req,
    options?: MprpcController | CallOptions,
  ): void;
}
