import type { Socket } from "node:net";
import { TLSSocket } from "node:tls";
import type { RpcOptions } from "../config/options.js";
import { CallWindow } from "./callWindow.js";
import type { CallCarrier, ClientCall } from "./clientCall.js";
import type { ClientStreamOwner } from "./clientStream.js";
import { Connection, type ConnectionOwner } from "./connection.js";
import { FrameReader, type FrameSink } from "./frameReader.js";
import {
  goAwayFlag,
  moreFlag,
  notifyFlag,
  pingFlag,
  pongFlag,
  refusedFlag,
  ReplyHeader,
  replyMark,
  replyPingFlag,
  tooLarge,
  writeCancel,
  writeControl,
  writeCredit,
  type FrameLimits,
  type RequestFramer,
} from "./framing.js";
import { IdleTimer, type IdleTimerOwner } from "./idleTimer.js";
import { Keepalive, type KeepaliveOwner } from "./keepalive.js";
import { LegacyReplyReader } from "./legacyReplyReader.js";
import type { MprpcController } from "./mprpcController.js";
import { RpcError, RpcStatus, statusFromNumber } from "./status.js";
import { unavailable } from "./systemError.js";
import { isTlsAlert } from "./tlsError.js";

/** What a connection needs of its channel. */
export interface ClientConnectionOwner {
  readonly options: RpcOptions;
  /** `host:port`, for error texts. */
  readonly address: string;
  /** More calls may be sent. */
  onRoom(): void;
  /**
   * It takes no more calls, and ends when those that are out have ended. `error` says that the
   * server wants it so; null: nobody has needed it for long.
   */
  onRetired(connection: ClientConnection, error: RpcError | null): void;
  /** The server refused a call without running it. True: it is being made elsewhere. */
  onRefused(call: ClientCall): boolean;
  /** Gone; its calls have failed. `everReplied`: it was of use before. */
  onLost(connection: ClientConnection, error: RpcError, everReplied: boolean): void;
}

/** Longest deadline that fits into a header, in ms; longer ones are cut to it. */
const timeoutMsMax = 0xffff_ffff;
/** The `call_id` of one-way calls. No server looks for it: nothing else ever names such a call. */
const notifyId = 1;

/** Of our pings: an id that no window reaches, so that nobody waits for the answer. */
const pingCallId = Number.MAX_SAFE_INTEGER;

/**
 * One established connection to a server. Which revision it speaks shows in the first byte of its
 * first reply; until then one call is out at a time, as it stays with revision 1.
 *
 *     unknown ── 0x00 ──► revision 2: a window of calls, answered in any order
 *        └── other byte ► revision 1: one call out; when it ends without a reply, so does all this
 */
export class ClientConnection
  implements
    ConnectionOwner,
    FrameSink<ReplyHeader>,
    ClientStreamOwner,
    CallCarrier,
    KeepaliveOwner,
    IdleTimerOwner
{
  readonly #owner: ClientConnectionOwner;
  readonly #connection: Connection;
  readonly #window: CallWindow;
  readonly #frames: FrameReader<ReplyHeader>;
  readonly #legacy = new LegacyReplyReader();
  readonly #requestLimits: FrameLimits;
  #revision: 1 | 2 | undefined = undefined;
  #everReplied = false;
  /** How many of the calls in the window are streams. */
  #streams = 0;
  #lost: RpcError | null = null;
  /** No new calls; it ends when those that are out have ended. */
  #retired = false;
  readonly #keepalive: Keepalive;
  readonly #idle: IdleTimer;

  constructor(socket: Socket, owner: ClientConnectionOwner) {
    this.#owner = owner;
    const { options } = owner;
    this.#window = new CallWindow(options.callsInFlightMax);
    const headerBytesMax = options.headerBytesMax;
    this.#requestLimits = { headerBytesMax, bodyBytesMax: options.requestBytesMax };
    const replyLimits = { headerBytesMax, bodyBytesMax: options.replyBytesMax };
    this.#frames = new FrameReader(new ReplyHeader(), true, replyLimits, this);
    this.#connection = new Connection(socket, this, options);
    this.#keepalive = new Keepalive(this, options.keepaliveMs, options.keepaliveTimeoutMs);
    this.#keepalive.start();
    this.#idle = new IdleTimer(this);
    this.#idle.start(options.idleTimeoutMs);
  }

  get revision(): 1 | 2 | undefined {
    return this.#revision;
  }

  get callsOut(): number {
    return this.#window.count;
  }

  /** Whether a call may be sent now. */
  get hasRoom(): boolean {
    if (this.#lost !== null || this.#retired || this.#connection.outputFull) return false;
    return this.#revision === 2 ? !this.#window.full : this.#window.count === 0;
  }

  /** Keeps the process alive, or not. */
  setRef(alive: boolean): void {
    if (alive) this.#connection.socket.ref();
    else this.#connection.socket.unref();
  }

  /** Sends a call; only when `hasRoom`. A request that can't be written fails its call. */
  send(call: ClientCall, now: number): void {
    const { controller, stream } = call;
    const legacy = this.#revision === 1;
    if (stream !== null) {
      const refusal = this.#streamRefusal();
      if (refusal !== null) {
        failWithError(call, refusal);
        return;
      }
      stream.begin(call, this);
      this.#streams++;
      if (this.#revision === 2) call.deadline = stream.deadline;
    }
    const timeoutMs = wireTimeout(stream === null ? call.deadline : stream.deadline, now);
    const alone = this.#window.count === 0;
    this.#window.add(call);
    call.carrier = this;
    try {
      call.kind.framer.write(
        this.#connection.open(alone),
        call.request,
        legacy ? 0 : call.id,
        legacy ? 0 : timeoutMs,
        legacy ? [] : controller.metadata,
        this.#requestLimits,
        0,
        stream === null ? 0 : stream.window,
      );
      call.sentInFlush = this.#connection.flushes;
    } catch (error) {
      this.#remove(call);
      failWithError(call, error);
    }
  }

  /** Why no stream can be started, or null. */
  #streamRefusal(): RpcError | null {
    if (this.#revision === 1) return noStreams();
    const { streamsMax } = this.#owner.options;
    if (this.#streams < streamsMax) return null;
    const text = `${streamsMax} streams are open to ${this.#address} already`;
    return new RpcError(RpcStatus.RESOURCE_EXHAUSTED, text);
  }

  /** The call is no longer out. */
  #remove(call: ClientCall): void {
    this.#window.remove(call);
    if (call.stream !== null) this.#streams--;
  }

  /** Sends a one-way call. Only when the server is known to speak revision 2 and `hasRoom`. */
  notify(framer: RequestFramer<unknown>, controller: MprpcController, request: unknown): void {
    const writer = this.#connection.open();
    const { metadata } = controller;
    const timeoutMs = Math.min(Math.ceil(controller.timeoutMs), timeoutMsMax);
    framer.write(writer, request, notifyId, timeoutMs, metadata, this.#requestLimits, notifyFlag);
  }

  grant(call: ClientCall, bytes: number): void {
    if (this.#window.find(call.id) === call) writeCredit(this.#connection.open(), call.id, bytes);
  }

  /** The call ended before its reply came. */
  abandon(call: ClientCall, cancel: boolean): void {
    if (this.#window.find(call.id) !== call) return;
    this.#remove(call);
    if (this.#revision === 2) {
      if (cancel) writeCancel(this.#connection.open(), call.id);
      this.#closeIfRetired();
      return;
    }
    // The next reply would be taken for this call's, or this call's for the next one's.
    this.destroy(new RpcError(RpcStatus.UNAVAILABLE, "a call ended before its reply came"));
  }

  forEachCall(visit: (call: ClientCall) => void): void {
    this.#window.forEach(visit);
  }

  destroy(error: RpcError): void {
    this.#connection.destroy(error);
    this.#lose(error);
  }

  get canPing(): boolean {
    return this.#revision === 2 && this.#lost === null;
  }

  get canJudge(): boolean {
    return this.#connection.outputBytes === 0;
  }

  ping(): void {
    writeControl(this.#connection.open(), pingCallId, pingFlag);
  }

  onDead(silentMs: number): void {
    const text = `${this.#address} is gone: nothing came for ${Math.round(silentMs)} ms, not even the answer to a ping`;
    this.destroy(new RpcError(RpcStatus.UNAVAILABLE, text));
  }

  get callsRunning(): number {
    return this.#window.count;
  }

  get callsBegun(): number {
    return this.#window.begun;
  }

  onIdle(): void {
    this.#retire(null);
    this.#closeIfRetired();
  }

  onData(chunk: Buffer): void {
    if (this.#lost !== null || chunk.length === 0) return;
    this.#keepalive.heard();
    if (this.#revision === undefined) this.#onRevision(this.#revisionOf(chunk));
    if (this.#lost !== null) return;
    if (this.#revision === 2) this.#frames.push(chunk);
    else this.#onLegacyData(chunk);
    if (this.hasRoom) this.#owner.onRoom();
    this.#closeIfRetired();
  }

  onEnd(): void {
    this.destroy(this.#closedError());
  }

  onClosed(error: Error | null): void {
    this.#lose(
      error === null ? this.#closedError() : unavailable(`connection to ${this.#address}`, error),
    );
  }

  onOutputFull(full: boolean): void {
    if (!full && this.hasRoom) this.#owner.onRoom();
  }

  onFrame(header: ReplyHeader, body: Buffer): void {
    this.#everReplied = true;
    const call = this.#window.find(header.callId);
    if (call === null) {
      // Otherwise the reply to a call that ended, by its deadline or its caller.
      if (header.callId === 0) this.#onControl(header);
      return;
    }
    if (call.stream !== null || (header.flags & moreFlag) !== 0) {
      this.#onStreamFrame(call, header, body);
      return;
    }
    this.#remove(call);
    call.controller.replyMetadata = header.metadata;
    if (header.status === RpcStatus.OK) complete(call, body);
    else this.#onFailure(call, header);
  }

  /** Ends the call with the status that its server gave it, or makes it anew where it was not run. */
  #onFailure(call: ClientCall, header: ReplyHeader): void {
    const refused = (header.flags & refusedFlag) !== 0;
    // Only one that drains is worth leaving: another connection leads to the same server.
    if (refused && this.#retired && !call.repeated && this.#owner.onRefused(call)) return;
    call.stream?.finish(call, header);
    const { status, errorText, details } = header;
    call.fail(errorText, statusFromNumber(status), refused, undefined, details);
  }

  /** A frame that concerns the connection. */
  #onControl({ flags }: ReplyHeader): void {
    if ((flags & replyPingFlag) !== 0) writeControl(this.#connection.open(), 0, pongFlag);
    if ((flags & goAwayFlag) === 0) return;
    const text = `${this.#address} takes no more calls on this connection`;
    this.#retire(new RpcError(RpcStatus.UNAVAILABLE, text));
  }

  #retire(error: RpcError | null): void {
    if (this.#retired) return;
    this.#retired = true;
    this.#owner.onRetired(this, error);
  }

  #closeIfRetired(): void {
    if (this.#retired && this.#window.count === 0) this.#connection.closeAfterOutput();
  }

  #onStreamFrame(call: ClientCall, header: ReplyHeader, body: Buffer): void {
    const { stream } = call;
    if ((header.flags & moreFlag) !== 0) {
      const problem = stream === null ? manyReplies() : stream.receive(call, header, body);
      if (problem !== null) this.#giveUp(call, problem);
      return;
    }
    this.#remove(call);
    if (header.status !== RpcStatus.OK) {
      this.#onFailure(call, header);
      return;
    }
    stream?.finish(call, header);
    if (body.length > 0) failWithError(call, noStream(), false);
    else call.succeed(null);
  }

  /** The server does with this call what it may not: let it stop. */
  #giveUp(call: ClientCall, error: RpcError): void {
    if (call.ended) return;
    this.#remove(call);
    writeCancel(this.#connection.open(), call.id);
    failWithError(call, error, false);
  }

  #onRevision(revision: 1 | 2): void {
    this.#revision = revision;
    if (revision === 1) return;
    // A stream that named no deadline had one until here: a server of the original may be silent.
    this.#window.forEach((call) => {
      if (call.stream !== null) call.deadline = call.stream.deadline;
    });
  }

  onOversized(header: ReplyHeader): void {
    const call = this.#window.find(header.callId);
    if (call === null) return;
    const error = tooLarge("reply", header.bodySize, this.#owner.options.replyBytesMax);
    if ((header.flags & moreFlag) !== 0) {
      this.#giveUp(call, error);
      return;
    }
    this.#remove(call);
    failWithError(call, error, false);
  }

  onGarbage(reason: string): void {
    this.destroy(new RpcError(RpcStatus.UNAVAILABLE, `${this.#address} sent garbage: ${reason}`));
  }

  /** What the first bytes of the first reply tell. */
  #revisionOf(chunk: Buffer): 1 | 2 {
    if (chunk[0] === replyMark) return 2;
    if (isTlsAlert(chunk)) {
      const text = `${this.#address} speaks TLS, and this channel does not`;
      this.destroy(new RpcError(RpcStatus.UNAVAILABLE, text));
    }
    return 1;
  }

  #onLegacyData(chunk: Buffer): void {
    if (this.#window.count === 0) {
      this.onGarbage("a reply that nobody asked for");
      return;
    }
    const reply = this.#legacy.push(chunk);
    if (reply === undefined) this.onGarbage("a reply that is no message");
    else if (reply !== null) this.#onLegacyReply(reply);
    else if (this.#legacy.length > this.#owner.options.replyBytesMax) {
      this.onGarbage("a reply beyond the limit");
    }
  }

  #onLegacyReply(reply: Buffer): void {
    this.#everReplied = true;
    this.#window.forEach((call) => {
      this.#remove(call);
      if (call.stream === null) complete(call, reply);
      else failWithError(call, noStreams(), false);
    });
  }

  get #address(): string {
    return this.#owner.address;
  }

  #closedError(): RpcError {
    const hint = this.#everReplied ? "" : this.#unheardHint();
    return new RpcError(RpcStatus.UNAVAILABLE, `${this.#address} closed the connection${hint}`);
  }

  /** Why a server may hang up before it has said anything. */
  #unheardHint(): string {
    return this.#connection.socket instanceof TLSSocket
      ? " without a reply: it may want another certificate"
      : " without a reply: it may speak only TLS";
  }

  #lose(error: RpcError): void {
    if (this.#lost !== null) return;
    this.#lost = error;
    this.#frames.stop();
    this.#keepalive.stop();
    this.#idle.stop();
    const { flushes } = this.#connection;
    this.#window.forEach((call) => {
      this.#remove(call);
      const notSent = call.sentInFlush === flushes;
      call.fail(error.message, error.status, notSent, error);
    });
    this.#owner.onLost(this, error, this.#everReplied);
  }
}

function complete(call: ClientCall, body: Buffer): void {
  let response: unknown;
  try {
    response = call.kind.response.decode(body);
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error);
    call.fail(`the reply can't be decoded: ${text}`, RpcStatus.INTERNAL, false, error);
    return;
  }
  call.succeed(response);
}

function wireTimeout(deadline: number, now: number): number {
  return deadline === Infinity ? 0 : Math.min(Math.max(1, Math.ceil(deadline - now)), timeoutMsMax);
}

function noStreams(): RpcError {
  return new RpcError(RpcStatus.UNIMPLEMENTED, "the server speaks revision 1, without streams");
}

function manyReplies(): RpcError {
  return new RpcError(RpcStatus.INTERNAL, "the server answered a unary call with a stream");
}

function noStream(): RpcError {
  return new RpcError(RpcStatus.INTERNAL, "the server answered a streaming call with one message");
}

function failWithError(call: ClientCall, error: unknown, notSent = true): void {
  if (error instanceof RpcError) call.fail(error.message, error.status, notSent, error);
  else call.fail(String(error), RpcStatus.INTERNAL, notSent, error);
}
