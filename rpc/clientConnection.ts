import type { Socket } from "node:net";
import { TLSSocket } from "node:tls";
import type { RpcOptions } from "../config/options.js";
import { CallWindow } from "./callWindow.js";
import type { CallCarrier, ClientCall } from "./clientCall.js";
import type { ClientStreamOwner } from "./clientStream.js";
import { ClientReplies, noStreams, type ClientRepliesOwner } from "./clientReplies.js";
import { Connection, type ConnectionOwner } from "./connection.js";
import {
  notifyFlag,
  pingFlag,
  writeCancel,
  writeControl,
  writeCredit,
  type FrameLimits,
  type RequestFramer,
} from "./framing.js";
import { IdleTimer, type IdleTimerOwner } from "./idleTimer.js";
import { Keepalive, type KeepaliveOwner } from "./keepalive.js";
import type { MprpcController } from "./mprpcController.js";
import { RpcError, RpcStatus } from "./status.js";
import { unavailable } from "./systemError.js";

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
 * One established connection to a server: what is sent on it, and how it ends. Until the first reply
 * has shown that the server speaks revision 2 one call is out at a time; with revision 1 that stays
 * so, and when such a call ends without a reply, so does the connection.
 */
export class ClientConnection
  implements
    ConnectionOwner,
    ClientRepliesOwner,
    ClientStreamOwner,
    CallCarrier,
    KeepaliveOwner,
    IdleTimerOwner
{
  readonly #owner: ClientConnectionOwner;
  readonly #connection: Connection;
  readonly #window: CallWindow;
  readonly #replies: ClientReplies;
  readonly #requestLimits: FrameLimits;
  #lost: RpcError | null = null;
  /** It was closed by this side, for a call on it was given up and its reply can't be told apart. */
  gaveUp = false;
  /** No new calls; it ends when those that are out have ended. */
  #retired = false;
  readonly #keepalive: Keepalive;
  readonly #idle: IdleTimer;

  constructor(socket: Socket, owner: ClientConnectionOwner) {
    this.#owner = owner;
    const { options } = owner;
    this.#window = new CallWindow(options.callsInFlightMax);
    const { headerBytesMax, requestBytesMax: bodyBytesMax } = options;
    this.#requestLimits = { headerBytesMax, bodyBytesMax };
    this.#connection = new Connection(socket, this, options);
    this.#replies = new ClientReplies(this.#connection, this.#window, this);
    this.#keepalive = new Keepalive(this, options.keepaliveMs, options.keepaliveTimeoutMs);
    this.#keepalive.start();
    this.#idle = new IdleTimer(this);
    this.#idle.start(options.idleTimeoutMs);
  }

  get options(): RpcOptions {
    return this.#owner.options;
  }

  get address(): string {
    return this.#owner.address;
  }

  get revision(): 1 | 2 | undefined {
    return this.#replies.revision;
  }

  get callsOut(): number {
    return this.#window.count;
  }

  /** Whether a call may be sent now. */
  get hasRoom(): boolean {
    if (this.#lost !== null || this.#retired || this.#connection.outputFull) return false;
    return this.revision === 2 ? !this.#window.full : this.#window.count === 0;
  }

  /** Keeps the process alive, or not. */
  setRef(alive: boolean): void {
    if (alive) this.#connection.socket.ref();
    else this.#connection.socket.unref();
  }

  /** Sends a call; only when `hasRoom`. A request that can't be written fails its call. */
  send(call: ClientCall, now: number): void {
    const { controller, stream } = call;
    const legacy = this.revision === 1;
    if (stream !== null) {
      const refusal = this.#streamRefusal();
      if (refusal !== null) {
        call.failWith(refusal, true);
        return;
      }
      stream.begin(call, this);
      if (this.revision === 2) call.deadline = stream.deadline;
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
      this.#window.remove(call);
      call.failWith(error, true);
    }
  }

  /** Why no stream can be started, or null. */
  #streamRefusal(): RpcError | null {
    if (this.revision === 1) return noStreams();
    const { streamsMax } = this.#owner.options;
    if (this.#window.streams < streamsMax) return null;
    const text = `${streamsMax} streams are open to ${this.address} already`;
    return new RpcError(RpcStatus.RESOURCE_EXHAUSTED, text);
  }

  /** Sends a one-way call. Only when the server is known to speak revision 2 and `hasRoom`. */
  notify(framer: RequestFramer<unknown>, controller: MprpcController, request: unknown): void {
    const writer = this.#connection.open();
    const { metadata } = controller;
    const timeoutMs = controller.timeoutMs > 0 ? wireTimeout(controller.timeoutMs, 0) : 0;
    framer.write(writer, request, notifyId, timeoutMs, metadata, this.#requestLimits, notifyFlag);
  }

  grant(call: ClientCall, bytes: number): void {
    if (this.#window.find(call.id) === call) writeCredit(this.#connection.open(), call.id, bytes);
  }

  /** The call ended before its reply came. */
  abandon(call: ClientCall, cancel: boolean): void {
    if (this.#window.find(call.id) !== call) return;
    this.#window.remove(call);
    if (this.revision === 2) {
      if (cancel) writeCancel(this.#connection.open(), call.id);
      this.#closeIfRetired();
      return;
    }
    // The next reply would be taken for this call's, or this call's for the next one's.
    this.gaveUp = true;
    const text = `the connection to ${this.address} was given up with a call that ended before its reply came`;
    this.destroy(new RpcError(RpcStatus.UNAVAILABLE, text));
  }

  forEachCall(visit: (call: ClientCall) => void): void {
    this.#window.forEach(visit);
  }

  destroy(error: RpcError): void {
    this.#connection.destroy(error);
    this.#lose(error);
  }

  get canPing(): boolean {
    return this.revision === 2 && this.#lost === null;
  }

  get canJudge(): boolean {
    return this.#connection.outputBytes === 0;
  }

  ping(): void {
    writeControl(this.#connection.open(), pingCallId, pingFlag);
  }

  onDead(silentMs: number): void {
    const text = `${this.address} is gone: nothing came for ${Math.round(silentMs)} ms, not even the answer to a ping`;
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
    this.#replies.push(chunk);
    if (this.hasRoom) this.#owner.onRoom();
    this.#closeIfRetired();
  }

  onEnd(): void {
    this.destroy(this.#closedError());
  }

  onClosed(error: Error | null): void {
    this.#lose(
      error === null ? this.#closedError() : unavailable(`connection to ${this.address}`, error),
    );
  }

  onOutputFull(full: boolean): void {
    if (!full && this.hasRoom) this.#owner.onRoom();
  }

  onGoAway(): void {
    const text = `${this.address} takes no more calls on this connection`;
    this.#retire(new RpcError(RpcStatus.UNAVAILABLE, text));
  }

  /** Only a server that drains is worth leaving: another connection leads to the same one. */
  onRefused(call: ClientCall): boolean {
    return this.#retired && this.#owner.onRefused(call);
  }

  onUntrusted(error: RpcError): void {
    this.destroy(error);
  }

  #retire(error: RpcError | null): void {
    if (this.#retired) return;
    this.#retired = true;
    this.#owner.onRetired(this, error);
  }

  #closeIfRetired(): void {
    if (this.#retired && this.#window.count === 0) this.#connection.closeAfterOutput();
  }

  #closedError(): RpcError {
    const hint = this.#replies.everReplied ? "" : this.#unheardHint();
    return new RpcError(RpcStatus.UNAVAILABLE, `${this.address} closed the connection${hint}`);
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
    this.#replies.stop();
    this.#keepalive.stop();
    this.#idle.stop();
    const { flushes } = this.#connection;
    this.#window.forEach((call) => {
      this.#window.remove(call);
      const notSent = call.sentInFlush === flushes;
      call.fail(error.message, error.status, notSent, error);
    });
    this.#owner.onLost(this, error, this.#replies.everReplied);
  }
}

function wireTimeout(deadline: number, now: number): number {
  return deadline === Infinity ? 0 : Math.min(Math.max(1, Math.ceil(deadline - now)), timeoutMsMax);
}
