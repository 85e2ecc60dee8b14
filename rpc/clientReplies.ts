import type { RpcOptions } from "../config/options.js";
import type { CallWindow } from "./callWindow.js";
import type { ClientCall } from "./clientCall.js";
import type { Connection } from "./connection.js";
import { FrameReader, type FrameSink } from "./frameReader.js";
import { FrameWatch } from "./frameWatch.js";
import {
  goAwayFlag,
  moreFlag,
  pongFlag,
  refusedFlag,
  ReplyHeader,
  replyMark,
  replyPingFlag,
  tooLarge,
  writeCancel,
  writeControl,
} from "./framing.js";
import { LegacyReplyReader } from "./legacyReplyReader.js";
import { decodePart } from "./service.js";
import { RpcError, RpcStatus, statusFromNumber } from "./status.js";
import { isTlsAlert } from "./tlsError.js";

/** What the replies of a connection need of it. */
export interface ClientRepliesOwner {
  readonly options: RpcOptions;
  /** `host:port`, for error texts. */
  readonly address: string;
  /** The server takes no more calls on this connection. */
  onGoAway(): void;
  /** The server refused a call without running it. True: it is being made elsewhere. */
  onRefused(call: ClientCall): boolean;
  /** What the server sends can't be trusted; nothing further may be read. */
  onUntrusted(error: RpcError): void;
}

/**
 * What a server says on one connection, and what becomes of the calls that are out on it. Which
 * revision it speaks shows in the first byte of its first reply.
 *
 *     unknown ── 0x00 ──► revision 2: frames, each for the call that it names
 *        └── other byte ► revision 1: bare messages, each for the one call that is out
 */
export class ClientReplies implements FrameSink<ReplyHeader> {
  readonly #connection: Connection;
  readonly #window: CallWindow;
  readonly #owner: ClientRepliesOwner;
  readonly #frames: FrameReader<ReplyHeader>;
  readonly #watch: FrameWatch;
  readonly #legacy = new LegacyReplyReader();
  #revision: 1 | 2 | undefined = undefined;
  #everReplied = false;
  /** `Connection.flushes` when the last pong was put into the output. */
  #pongedInFlush = -1;

  constructor(connection: Connection, window: CallWindow, owner: ClientRepliesOwner) {
    this.#connection = connection;
    this.#window = window;
    this.#owner = owner;
    const { headerBytesMax, replyBytesMax: bodyBytesMax, frameTimeoutMs } = owner.options;
    this.#frames = new FrameReader(new ReplyHeader(), true, { headerBytesMax, bodyBytesMax }, this);
    this.#watch = new FrameWatch(this.#frames, frameTimeoutMs, () => {
      this.#distrust(`${owner.address} began a reply that never became whole`);
    });
  }

  get revision(): 1 | 2 | undefined {
    return this.#revision;
  }

  /** At least one whole reply has come. */
  get everReplied(): boolean {
    return this.#everReplied;
  }

  push(chunk: Buffer): void {
    if (this.#revision === undefined && !this.#learnRevision(chunk)) return;
    if (this.#revision === 1) {
      this.#onLegacyData(chunk);
      return;
    }
    this.#frames.push(chunk);
    this.#watch.onChunk();
  }

  /** Ends it all, in the middle of a chunk if need be. */
  stop(): void {
    this.#frames.stop();
    this.#watch.stop();
  }

  onFrame(header: ReplyHeader, bytes: Buffer, start: number, end: number): void {
    this.#everReplied = true;
    const call = this.#window.find(header.callId);
    if (call === null) {
      // Otherwise the reply to a call that ended, by its deadline or its caller.
      if (header.callId === 0) this.#onControl(header);
      return;
    }
    if (call.stream !== null || (header.flags & moreFlag) !== 0) {
      this.#onStreamFrame(call, header, bytes.subarray(start, end));
      return;
    }
    this.#window.remove(call);
    call.controller.replyMetadata = header.metadata;
    if (header.status === RpcStatus.OK) complete(call, bytes, start, end);
    else this.#onFailure(call, header);
  }

  onOversized(header: ReplyHeader): void {
    const call = this.#window.find(header.callId);
    if (call === null) return;
    const error = tooLarge("reply", header.bodySize, this.#owner.options.replyBytesMax);
    if ((header.flags & moreFlag) !== 0) {
      this.#giveUp(call, error);
      return;
    }
    this.#window.remove(call);
    call.failWith(error, false);
  }

  onGarbage(reason: string): void {
    this.#distrust(`${this.#owner.address} sent garbage: ${reason}`);
  }

  /** What the first bytes of the first reply tell; false when they are no reply. */
  #learnRevision(chunk: Buffer): boolean {
    if (isTlsAlert(chunk)) {
      this.#distrust(`${this.#owner.address} speaks TLS, and this channel does not`);
      return false;
    }
    this.#revision = chunk[0] === replyMark ? 2 : 1;
    if (this.#revision === 1) return true;
    // A stream that named no deadline had one until here: a server of the original may be silent.
    this.#window.forEach((call) => {
      if (call.stream !== null) call.deadline = call.stream.deadline;
    });
    return true;
  }

  #distrust(text: string): void {
    this.#owner.onUntrusted(new RpcError(RpcStatus.UNAVAILABLE, text));
  }

  /** Ends the call with the status that its server gave it, or makes it anew where it was not run. */
  #onFailure(call: ClientCall, header: ReplyHeader): void {
    const refused = (header.flags & refusedFlag) !== 0;
    if (refused && !call.repeated && this.#owner.onRefused(call)) return;
    call.stream?.finish(call, header);
    const { status, errorText, details } = header;
    call.fail(errorText, statusFromNumber(status), refused, undefined, details);
  }

  /** A frame that concerns the connection. */
  #onControl({ flags }: ReplyHeader): void {
    if ((flags & replyPingFlag) !== 0) this.#pong();
    if ((flags & goAwayFlag) !== 0) this.#owner.onGoAway();
  }

  /** One a flush answers all pings: a server that reads none of them must not fill our memory. */
  #pong(): void {
    const { flushes } = this.#connection;
    if (this.#pongedInFlush === flushes) return;
    this.#pongedInFlush = flushes;
    writeControl(this.#connection.open(), 0, pongFlag);
  }

  #onStreamFrame(call: ClientCall, header: ReplyHeader, body: Buffer): void {
    const { stream } = call;
    if ((header.flags & moreFlag) !== 0) {
      const problem = stream === null ? manyReplies() : stream.receive(call, header, body);
      if (problem !== null) this.#giveUp(call, problem);
      return;
    }
    this.#window.remove(call);
    if (header.status !== RpcStatus.OK) {
      this.#onFailure(call, header);
      return;
    }
    stream?.finish(call, header);
    if (body.length > 0) call.failWith(oneReply(), false);
    else call.succeed(null);
  }

  /** The server does with this call what it may not: let it stop. */
  #giveUp(call: ClientCall, error: RpcError): void {
    if (call.ended) return;
    this.#window.remove(call);
    writeCancel(this.#connection.open(), call.id);
    call.failWith(error, false);
  }

  #onLegacyData(chunk: Buffer): void {
    if (this.#window.count === 0) {
      this.onGarbage("a reply that nobody asked for");
      return;
    }
    const reply = this.#legacy.push(chunk);
    const { replyBytesMax } = this.#owner.options;
    if (reply === undefined) this.onGarbage("a reply that is no message");
    else if (this.#legacy.bytesMin > replyBytesMax) this.#onLegacyOversized(replyBytesMax);
    else if (reply !== null) this.#onLegacyReply(reply);
  }

  /** Its end can't be waited for: what follows it on this connection could not be told from it. */
  #onLegacyOversized(bytesMax: number): void {
    this.#everReplied = true;
    const error = tooLarge("reply", this.#legacy.bytesMin, bytesMax);
    this.#window.forEach((call) => {
      this.#window.remove(call);
      call.failWith(error, false);
    });
    this.#owner.onUntrusted(error);
  }

  #onLegacyReply(reply: Buffer): void {
    this.#everReplied = true;
    this.#window.forEach((call) => {
      this.#window.remove(call);
      if (call.stream === null) complete(call, reply, 0, reply.length);
      else call.failWith(noStreams(), false);
    });
  }
}

/** Why a stream can't run on a connection of revision 1. */
export function noStreams(): RpcError {
  return new RpcError(RpcStatus.UNIMPLEMENTED, "the server speaks revision 1, without streams");
}

function complete(call: ClientCall, bytes: Buffer, start: number, end: number): void {
  let response: unknown;
  try {
    response = decodePart(call.kind.response, bytes, start, end);
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error);
    call.fail(`the reply can't be decoded: ${text}`, RpcStatus.INTERNAL, false, error);
    return;
  }
  call.succeed(response);
}

function manyReplies(): RpcError {
  return new RpcError(RpcStatus.INTERNAL, "the server answered a unary call with a stream");
}

function oneReply(): RpcError {
  return new RpcError(RpcStatus.INTERNAL, "the server answered a streaming call with one message");
}
