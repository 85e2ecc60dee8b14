import type { Socket } from "node:net";
import { rpcLimits } from "../config/options.js";
import { CallerWatch, type CallerWatchOwner } from "./callerWatch.js";
import { Connection, type ConnectionOwner } from "./connection.js";
import { FrameReader, type FrameSink } from "./frameReader.js";
import {
  cancelFlag,
  creditFlag,
  goAwayFlag,
  pingFlag,
  pongFlag,
  refusedFlag,
  replyPingFlag,
  RequestHeader,
  tooLarge,
  writeReplyControl,
} from "./framing.js";
import {
  ServerDispatch,
  type ProviderContext,
  type ServerDispatchOwner,
} from "./serverDispatch.js";
import { shuttingDown } from "./serverErrors.js";
import { RpcError, RpcStatus } from "./status.js";
import { isSystemError } from "./systemError.js";
import { isTlsHello } from "./tlsError.js";
import { turn } from "./turn.js";

/** What a connection needs of its provider. */
export interface ServerConnectionOwner extends ProviderContext {
  /** It was one too many, and called an essential service. */
  onEssential(connection: ServerConnection): void;
  onConnectionClosed(connection: ServerConnection): void;
}

/** Why a connection reads nothing at the moment. */
const pausedByCalls = 1;
const pausedByOutput = 2;
const pausedUntilNextTurn = 4;

/**
 * One caller's connection, in whichever revision of the wire it speaks: when it is read, when it is
 * trusted, and how it ends. What becomes of the requests is the business of its `ServerDispatch`.
 *
 *     open ── end() ──► ending ── the last call has ended ──► lingers (revision 2) ──► closed
 *       │                                      └──────────── is reset (revision 1) ─────►│
 *       └── garbage, silence, a slow reader, FIN of revision 2 ─────────────────────────►│
 */
export class ServerConnection
  implements ConnectionOwner, FrameSink<RequestHeader>, ServerDispatchOwner, CallerWatchOwner
{
  readonly #owner: ServerConnectionOwner;
  readonly #connection: Connection;
  readonly #reader: FrameReader<RequestHeader>;
  readonly #dispatch: ServerDispatch;
  readonly #watch: CallerWatch;
  readonly #peer: string;
  /** What the caller has shown to speak; one of revision 2 can take a FIN. 0: nothing came yet. */
  #revision: 0 | 1 | 2 = 0;
  /** Something has arrived. */
  #heard = false;
  #pauses = 0;
  /** The turn of the event loop in which a request came last, and how many more it may bring. */
  #turn = 0;
  #requestsLeft: number = rpcLimits.requestsPerTurnMax;
  #ending = false;
  /** A caller of revision 1 closed it when nothing that it had asked was unanswered. */
  #finished = false;
  #lingerTimer: NodeJS.Timeout | null = null;
  /** One too many: it may stay only if what it calls first is essential. */
  #surplus: boolean;

  constructor(socket: Socket, owner: ServerConnectionOwner, surplus = false) {
    this.#owner = owner;
    this.#surplus = surplus;
    const { options } = owner;
    this.#peer = `${socket.remoteAddress ?? "?"}:${socket.remotePort ?? 0}`;
    const { headerBytesMax, requestBytesMax: bodyBytesMax } = options;
    this.#reader = new FrameReader(
      new RequestHeader(),
      false,
      { headerBytesMax, bodyBytesMax },
      this,
    );
    this.#connection = new Connection(socket, this, options);
    this.#dispatch = new ServerDispatch(this.#connection, this.#peer, owner, this);
    this.#watch = new CallerWatch(this, this.#reader, options);
  }

  /** Takes no more calls, says so to whoever can be told, and closes when those in flight are answered. */
  end(): void {
    if (this.#ending) return;
    this.#ending = true;
    if (this.#revision === 2) this.#goAway();
    this.#closeIfDone();
  }

  /** Closes at once, whatever is in flight. */
  reset(): void {
    this.#connection.reset();
  }

  get canPing(): boolean {
    return this.#revision === 2 && !this.#connection.closed;
  }

  get canJudge(): boolean {
    return this.#pauses === 0 && this.#connection.outputBytes === 0;
  }

  ping(): void {
    writeReplyControl(this.#connection.open(), 0, replyPingFlag);
  }

  onStuck(): void {
    this.#fail(new RpcError(RpcStatus.DEADLINE_EXCEEDED, "a request never became whole"));
  }

  onDead(silentMs: number): void {
    this.#fail(new RpcError(RpcStatus.UNAVAILABLE, `nothing came for ${Math.round(silentMs)} ms`));
  }

  get callsRunning(): number {
    return this.#dispatch.callsRunning;
  }

  get callsBegun(): number {
    return this.#dispatch.callsBegun;
  }

  /** No call for so long that the connection is taken for forgotten. */
  onIdle(): void {
    if (this.#revision === 2) this.end();
    else this.#connection.reset();
  }

  onData(chunk: Buffer): void {
    this.#dispatch.chunkArrived();
    this.#watch.heard();
    if (!this.#heard) this.#onFirstData(chunk);
    this.#reader.push(chunk);
    if (this.#pauses !== 0) this.#connection.socket.pause();
    this.#watch.chunkRead();
  }

  #onFirstData(chunk: Buffer): void {
    this.#heard = true;
    if (isTlsHello(chunk)) this.onGarbage("a caller speaks TLS, and this port does not");
  }

  /**
   * The caller will send no more. Of revision 2 it is gone: nobody there closes one half only. Of
   * revision 1 it may still read, and gets the replies to what it has sent, for a while.
   */
  onEnd(): void {
    if (this.#revision === 2) {
      this.#connection.destroy(null);
      return;
    }
    this.#finished = this.#dispatch.quiet && this.#connection.outputBytes === 0;
    this.#watch.ended();
    this.end();
  }

  onOverstayed(): void {
    this.#connection.reset();
  }

  onClosed(error: Error | null): void {
    this.#reader.stop();
    this.#watch.stop();
    if (this.#lingerTimer !== null) clearTimeout(this.#lingerTimer);
    // Peers come and go; only what one did wrong is worth a word.
    if (error !== null && !isSystemError(error)) {
      this.#owner.onError(error, { peer: this.#peer, method: "" });
    }
    this.#dispatch.abandonAll(this.#finished && error === null);
    this.#owner.onConnectionClosed(this);
  }

  onOutputFull(full: boolean): void {
    this.#setPaused(pausedByOutput, full);
  }

  onCallsFull(full: boolean): void {
    this.#setPaused(pausedByCalls, full);
  }

  onUnanswerable(): void {
    this.#reader.stop();
  }

  onCallEnded(): void {
    if (this.#ending) this.#closeIfDone();
  }

  onGarbage(reason: string): void {
    this.#fail(new RpcError(RpcStatus.INVALID_ARGUMENT, reason));
  }

  onOversized(header: RequestHeader): void {
    if (this.#revision !== 2) this.#learnRevision(header.callId);
    const error = tooLarge("request", header.bodySize, this.#owner.options.requestBytesMax);
    // A caller of revision 1 can't be told, and would take the next reply for this one's.
    if (header.callId === 0) this.#fail(error);
    else this.#dispatch.refuse(header, error);
  }

  onFrame(header: RequestHeader, bytes: Buffer, start: number, end: number): void {
    if (this.#surplus && !this.#mayStay(header)) return;
    if (this.#revision !== 2) this.#learnRevision(header.callId);
    this.#countRequest();
    if (header.flags !== 0 && this.#onControl(header)) return;
    if (this.#ending) this.#dispatch.refuse(header, shuttingDown(), refusedFlag);
    else this.#dispatch.request(header, bytes, start, end);
  }

  /** A caller that sends without an end must not keep the loop from everything else. */
  #countRequest(): void {
    if (this.#turn !== turn.count) this.#beginTurn();
    if (--this.#requestsLeft > 0) return;
    this.#setPaused(pausedUntilNextTurn, true);
    setImmediate(() => {
      this.#beginTurn();
      this.#setPaused(pausedUntilNextTurn, false);
    });
  }

  #beginTurn(): void {
    this.#turn = turn.count;
    this.#requestsLeft = rpcLimits.requestsPerTurnMax;
  }

  #mayStay(header: RequestHeader): boolean {
    this.#surplus = this.#owner.methods.find(header)?.service.essential !== true;
    if (!this.#surplus) this.#owner.onEssential(this);
    else {
      this.#reader.stop();
      this.#connection.reset();
    }
    return !this.#surplus;
  }

  /** A frame that is no request; false for one that is. */
  #onControl({ flags, callId, credit }: RequestHeader): boolean {
    if ((flags & cancelFlag) !== 0) this.#dispatch.cancel(callId);
    else if ((flags & creditFlag) !== 0) this.#dispatch.grant(callId, credit);
    else if ((flags & pingFlag) !== 0) {
      if (callId !== 0) writeReplyControl(this.#connection.open(), callId, 0);
    } else return (flags & pongFlag) !== 0;
    return true;
  }

  #learnRevision(callId: number): void {
    const revision = callId === 0 ? 1 : 2;
    if (revision === this.#revision) return;
    this.#revision = revision;
    this.#watch.learnRevision(revision);
    if (revision === 2 && this.#ending) this.#goAway();
  }

  /** Frames stop at once; the socket only when it brings more, which it seldom does in time. */
  #setPaused(reason: number, paused: boolean): void {
    this.#pauses = paused ? this.#pauses | reason : this.#pauses & ~reason;
    if (this.#pauses !== 0) {
      this.#reader.pause();
      return;
    }
    this.#reader.resume();
    // More only when nothing is left of what came before: it would pile up.
    const { socket } = this.#connection;
    if (this.#pauses === 0 && socket.isPaused()) socket.resume();
  }

  /** The stream can't be trusted any more. */
  #fail(error: RpcError): void {
    this.#reader.stop();
    this.#connection.reset(error);
  }

  #closeIfDone(): void {
    if (this.#connection.closed || !this.#dispatch.quiet) return;
    // The original's clerks take a FIN for an empty reply, and die of the next request they send.
    if (this.#revision === 2) this.#linger();
    else this.#connection.reset();
  }

  #goAway(): void {
    writeReplyControl(this.#connection.open(), 0, goAwayFlag);
  }

  /**
   * Leaves it to the caller to hang up: a request that it sent before it knew is then refused, and
   * not lost with its fate unknown.
   */
  #linger(): void {
    if (this.#lingerTimer !== null) return;
    this.#lingerTimer = setTimeout(() => {
      this.#reader.stop();
      this.#connection.closeAfterOutput();
    }, rpcLimits.goAwayLingerMs);
  }
}
