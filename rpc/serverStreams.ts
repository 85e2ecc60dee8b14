import { rpcLimits, type RpcOptions } from "../config/options.js";
import type { Connection } from "./connection.js";
import {
  moreFlag,
  replyPingFlag,
  streamCreditMax,
  streamWindowBytesDefault,
  writeReplyControl,
  type FrameLimits,
} from "./framing.js";
import type { OfferedMethod } from "./methodTable.js";
import { noMetadata } from "./mprpcController.js";
import { oneWayId, type ServerCall } from "./serverCall.js";
import { RpcError, RpcStatus } from "./status.js";
import { StreamSender, type StreamSenderOwner } from "./streamSender.js";

/** What the streams need of the connection that they belong to. */
export interface ServerStreamsOwner {
  readonly options: RpcOptions;
  readonly replyLimits: FrameLimits;
  /** A message can't be sent: its stream ends with `error`. */
  onBrokenMessage(call: ServerCall, error: unknown): void;
}

/** The streaming calls of one caller. */
export class ServerStreams implements StreamSenderOwner {
  readonly #connection: Connection;
  readonly #owner: ServerStreamsOwner;
  readonly #outputBytes: number;
  readonly #calls = new Map<number, ServerCall>();
  #count = 0;
  #greeted = false;

  constructor(connection: Connection, owner: ServerStreamsOwner) {
    this.#connection = connection;
    this.#owner = owner;
    this.#outputBytes = Math.min(rpcLimits.streamOutputBytesMax, owner.options.outputBytesMax / 2);
  }

  get count(): number {
    return this.#count;
  }

  /** Why a stream can't be started, or null. `credit` is what its request grants, as it came. */
  refusal(offered: OfferedMethod, callId: number, credit: number): RpcError | null {
    const { serviceName, name } = offered.method;
    const method = `${serviceName}.${name}`;
    if (callId === 0) return streamError("UNIMPLEMENTED", `${method} needs revision 2`);
    if (callId === oneWayId) return streamError("INVALID_ARGUMENT", `${method} is never one-way`);
    if (credit > streamCreditMax) return overflow();
    if (offered.service.callStream === undefined) {
      return streamError("UNIMPLEMENTED", `${method} is not implemented`);
    }
    const { streamsMax } = this.#owner.options;
    if (this.#count < streamsMax) return null;
    return streamError("RESOURCE_EXHAUSTED", `${streamsMax} streams are open on this connection`);
  }

  /** `run` of what this returns starts the handler. */
  add(call: ServerCall, credit: number): StreamSender {
    this.#count++;
    this.#calls.set(call.callId, call);
    this.#greet();
    return new StreamSender(this, call, credit === 0 ? streamWindowBytesDefault : credit);
  }

  remove(call: ServerCall): void {
    this.#count--;
    // A caller that gives two streams one id has itself to blame, but nothing may be left over.
    if (this.#calls.get(call.callId) === call) this.#calls.delete(call.callId);
  }

  /** The running stream `callId`, or null. */
  find(callId: number): ServerCall | null {
    return this.#calls.get(callId) ?? null;
  }

  streamMaySend(): boolean {
    if (this.#connection.outputBytes <= this.#outputBytes) return true;
    this.#connection.whenRoom(this.#outputBytes, this.#onRoom);
    return false;
  }

  sendMessage(call: ServerCall, message: unknown): number {
    const { stream, offered, callId, controller } = call;
    const metadata = stream?.begun === true ? noMetadata : controller.replyMetadata;
    const { replyLimits } = this.#owner;
    try {
      const writer = this.#connection.open();
      return offered.framer.write(writer, callId, metadata, message, replyLimits, moreFlag);
    } catch (error) {
      this.#owner.onBrokenMessage(call, error);
      return -1;
    }
  }

  readonly #onRoom = (): void => {
    for (const { stream } of this.#calls.values()) stream?.wake();
  };

  /**
   * A stream may be silent for long, and until the first frame its caller does not know which
   * revision is spoken here, and sends nothing else: so there is one at once.
   */
  #greet(): void {
    if (this.#greeted) return;
    this.#greeted = true;
    writeReplyControl(this.#connection.open(), 0, replyPingFlag);
  }
}

/** What becomes of a stream that was granted more than can be counted. */
export function overflow(): RpcError {
  return streamError("INVALID_ARGUMENT", `a stream's credit is beyond ${streamCreditMax} bytes`);
}

function streamError(status: keyof typeof RpcStatus, text: string): RpcError {
  return new RpcError(RpcStatus[status], text);
}
