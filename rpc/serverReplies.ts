import { ByteWriter } from "./byteWriter.js";
import type { Connection } from "./connection.js";
import { tooLarge, writeStatus, type FrameLimits } from "./framing.js";
import { noMetadata, type Metadata } from "./mprpcController.js";
import type { ServerCall } from "./serverCall.js";
import { RpcError, RpcStatus } from "./status.js";

/** Writes how the calls of one connection end. */
export class ServerReplies {
  readonly #connection: Connection;
  readonly #limits: FrameLimits;
  readonly #onBroken: (call: ServerCall, error: unknown) => void;

  /** `onBroken` is told of replies that can't be sent. */
  constructor(
    connection: Connection,
    limits: FrameLimits,
    onBroken: (call: ServerCall, error: unknown) => void,
  ) {
    this.#connection = connection;
    this.#limits = limits;
    this.#onBroken = onBroken;
  }

  /** Answers a call of revision 2 as its handler wants it. `alone`: no other is running. */
  answer(call: ServerCall, response: unknown, alone: boolean): void {
    const { controller, callId, stream } = call;
    if (controller.failed() || stream !== null) {
      this.writeStatus(call);
      return;
    }
    try {
      const writer = this.#connection.open(alone);
      const { framer } = call.offered;
      framer.write(writer, callId, controller.replyMetadata, response, this.#limits);
    } catch (error) {
      this.setBroken(call, error);
      this.#append(call, noMetadata);
    }
  }

  /** The bare reply of revision 1; null when there is none to send, as the controller then says. */
  encodeLegacy(call: ServerCall, response: unknown): Uint8Array | null {
    try {
      const writer = new ByteWriter();
      call.offered.method.response.encode(response, writer);
      const { bodyBytesMax } = this.#limits;
      if (writer.length > bodyBytesMax) throw tooLarge("reply", writer.length, bodyBytesMax);
      return writer.view();
    } catch (error) {
      this.setBroken(call, error);
      return null;
    }
  }

  /** A reply that is too large is the caller's to know; one that can't be encoded is our fault. */
  setBroken(call: ServerCall, error: unknown): void {
    const large = error instanceof RpcError && error.status === RpcStatus.RESOURCE_EXHAUSTED;
    if (large) call.controller.setThrown(error);
    else call.controller.setFailed("the reply can't be encoded", RpcStatus.INTERNAL, error);
    this.#onBroken(call, error);
  }

  /** How a call failed, or how a stream ended. */
  writeStatus(call: ServerCall): void {
    try {
      this.#append(call, lastOf(call));
    } catch (error) {
      // Nothing of what the handler wanted to say with it is left: neither metadata nor details.
      this.setBroken(call, error);
      this.#append(call, noMetadata);
    }
  }

  #append(call: ServerCall, metadata: Metadata): void {
    const { controller } = call;
    const { status, details } = controller;
    const outcome = { status, errorText: controller.errorText(), metadata, details };
    writeStatus(this.#connection.open(), call.callId, outcome, this.#limits);
  }

  /** Answers a request of revision 2 that no handler will see. */
  refuse(callId: number, error: RpcError, flags: number): void {
    const outcome = { status: error.status, errorText: error.message, flags };
    writeStatus(this.#connection.open(), callId, outcome, this.#limits);
  }
}

/** The metadata of a call's last frame; of a stream without messages that is the first one, too. */
function lastOf({ controller, stream }: ServerCall): Metadata {
  const { replyMetadata, trailingMetadata } = controller;
  if (stream === null) return replyMetadata;
  return stream.begun ? trailingMetadata : [...replyMetadata, ...trailingMetadata];
}
