import type { Socket } from "node:net";
import { TLSSocket } from "node:tls";
import { rpcLimits, type RpcOptions } from "../config/options.js";
import { CallerWatch, type CallerWatchOwner } from "./callerWatch.js";
import { Connection, type ConnectionOwner } from "./connection.js";
import { DeadlineTimer } from "./deadlineTimer.js";
import { FrameReader, type FrameSink } from "./frameReader.js";
import {
  cancelFlag,
  creditFlag,
  goAwayFlag,
  notifyFlag,
  pingFlag,
  pongFlag,
  refusedFlag,
  replyPingFlag,
  RequestHeader,
  tooLarge,
  writeReplyControl,
} from "./framing.js";
import { LegacyReplies } from "./legacyReplies.js";
import type { MethodTable, OfferedMethod } from "./methodTable.js";
import { MprpcController, type CallOrigin } from "./mprpcController.js";
import { peerIdentity } from "./peerIdentity.js";
import {
  oneWayId,
  ServerCall,
  ServerCalls,
  type CallLoad,
  type ServerCallOwner,
} from "./serverCall.js";
import { asError, isFault, overloaded, shuttingDown, undecodable } from "./serverErrors.js";
import { ServerReplies } from "./serverReplies.js";
import { overflow, ServerStreams } from "./serverStreams.js";
import { RpcError, RpcStatus } from "./status.js";
import { isSystemError } from "./systemError.js";
import { isTlsHello } from "./tlsError.js";

/** Where an error of the serving side happened; for logs. */
export interface ServerErrorContext {
  /** Address and port of the caller. */
  readonly peer: string;
  /** `service.method`; empty when it concerns the connection. */
  readonly method: string;
}

/** What a connection needs of its provider. */
export interface ServerConnectionOwner {
  readonly options: RpcOptions;
  readonly methods: MethodTable;
  readonly load: CallLoad;
  onError(error: Error, context: ServerErrorContext): void;
  onConnectionClosed(connection: ServerConnection): void;
}

/** Why a connection reads nothing at the moment. */
const pausedByCalls = 1;
const pausedByOutput = 2;

/** One caller's connection, in whichever revision of the wire it speaks. */
export class ServerConnection
  implements ConnectionOwner, FrameSink<RequestHeader>, ServerCallOwner, CallerWatchOwner
{
  readonly #owner: ServerConnectionOwner;
  readonly #connection: Connection;
  readonly #reader: FrameReader<RequestHeader>;
  readonly #legacyReplies: LegacyReplies;
  readonly #calls = new ServerCalls();
  readonly #streams: ServerStreams;
  readonly #deadlines = new DeadlineTimer((now) => this.#expireCalls(now));
  readonly #replies: ServerReplies;
  readonly #peer: string;
  readonly #origins: Readonly<Record<1 | 2, CallOrigin>>;
  /** What the caller has shown to speak; one of revision 2 can take a FIN. 0: nothing came yet. */
  #revision: 0 | 1 | 2 = 0;
  /** Something has arrived. */
  #heard = false;
  #pauses = 0;
  #ending = false;
  #lingerTimer: NodeJS.Timeout | null = null;
  /** A call beyond the limit, which begins when another ends. */
  #parked: { readonly call: ServerCall; readonly request: unknown } | null = null;
  readonly #watch: CallerWatch;
  /** When the chunk that is being read arrived; 0 while nobody has asked. */
  #now = 0;

  constructor(socket: Socket, owner: ServerConnectionOwner) {
    this.#owner = owner;
    const { options } = owner;
    this.#peer = `${socket.remoteAddress ?? "?"}:${socket.remotePort ?? 0}`;
    const identity = socket instanceof TLSSocket ? peerIdentity(socket) : undefined;
    this.#origins = {
      1: { revision: 1, peer: this.#peer, identity },
      2: { revision: 2, peer: this.#peer, identity },
    };
    const { headerBytesMax } = options;
    const requestLimits = { headerBytesMax, bodyBytesMax: options.requestBytesMax };
    const replyLimits = { headerBytesMax, bodyBytesMax: options.replyBytesMax };
    this.#reader = new FrameReader(new RequestHeader(), false, requestLimits, this);
    this.#connection = new Connection(socket, this, options);
    this.#watch = new CallerWatch(this, this.#reader, options);
    this.#replies = new ServerReplies(this.#connection, replyLimits, (call, error) => {
      this.#report(call, error);
    });
    this.#legacyReplies = new LegacyReplies(this.#connection, (call) => this.#onLegacySent(call));
    this.#streams = new ServerStreams(this.#connection, {
      options,
      replyLimits,
      onBrokenMessage: (call, error) => {
        this.#replies.setBroken(call, error);
        this.#endEarly(call);
      },
    });
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
    return this.#calls.count;
  }

  get callsBegun(): number {
    return this.#calls.begun;
  }

  /** No call for so long that the connection is taken for forgotten. */
  onIdle(): void {
    if (this.#revision === 2) this.end();
    else this.#connection.reset();
  }

  onData(chunk: Buffer): void {
    this.#now = 0;
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
    this.#watch.ended();
    this.end();
  }

  onOverstayed(): void {
    this.#connection.reset();
  }

  onClosed(error: Error | null): void {
    this.#reader.stop();
    this.#stopTimers();
    // Peers come and go; only what one did wrong is worth a word.
    if (error !== null && !isSystemError(error)) {
      this.#owner.onError(error, { peer: this.#peer, method: "" });
    }
    this.#calls.forEach((call) => {
      // Those of whose end the caller knows have been canceled; of one-way calls it never wanted to.
      if (call.answered) return;
      call.answered = true;
      this.#cancel(call);
    });
    if (this.#parked !== null) this.#startParked();
    this.#owner.onConnectionClosed(this);
  }

  #stopTimers(): void {
    this.#deadlines.clear();
    this.#watch.stop();
    if (this.#lingerTimer !== null) clearTimeout(this.#lingerTimer);
  }

  onOutputFull(full: boolean): void {
    this.#setPaused(pausedByOutput, full);
  }

  onGarbage(reason: string): void {
    this.#fail(new RpcError(RpcStatus.INVALID_ARGUMENT, reason));
  }

  onOversized(header: RequestHeader): void {
    if (this.#revision !== 2) this.#learnRevision(header.callId);
    const error = tooLarge("request", header.bodySize, this.#owner.options.requestBytesMax);
    // A caller of revision 1 can't be told, and would take the next reply for this one's.
    if (header.callId === 0) this.#fail(error);
    else this.#refuse(answerIdOf(header), error);
  }

  onFrame(header: RequestHeader, body: Buffer): void {
    if (this.#revision !== 2) this.#learnRevision(header.callId);
    if (header.flags !== 0 && this.#onControl(header)) return;
    const callId = answerIdOf(header);
    const offered = this.#owner.methods.find(header);
    if (this.#ending) this.#refuse(callId, shuttingDown(), refusedFlag);
    else if (offered === null) this.#refuse(callId, this.#unknownMethod(header));
    else this.#start(offered, callId, header, body);
  }

  /** A frame that is no request; false for one that is. */
  #onControl({ flags, callId, credit }: RequestHeader): boolean {
    if ((flags & cancelFlag) !== 0) this.#onCancel(callId);
    else if ((flags & creditFlag) !== 0) this.#onCredit(callId, credit);
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

  #unknownMethod(header: RequestHeader): RpcError {
    const { serviceName, methodName } = header;
    const text = this.#owner.methods.hasService(serviceName)
      ? `service ${serviceName} has no method ${methodName}`
      : `there is no service ${serviceName}`;
    return new RpcError(RpcStatus.UNIMPLEMENTED, text);
  }

  #start(offered: OfferedMethod, callId: number, header: RequestHeader, body: Buffer): void {
    const refusal = offered.streams ? this.#streams.refusal(offered, callId, header.credit) : null;
    if (refusal !== null) {
      this.#refuse(callId, refusal);
      return;
    }
    if (this.#owner.load.full) {
      this.#refuse(callId, overloaded(this.#owner.load.callsMax), refusedFlag);
      return;
    }
    let request: unknown;
    try {
      request = offered.method.request.decode(body);
    } catch (error) {
      this.#refuse(callId, undecodable(error));
      return;
    }
    const controller = new MprpcController();
    controller.metadata = header.metadata;
    controller.origin = this.#origins[callId === 0 ? 1 : 2];
    if (header.timeoutMs > 0 && callId !== 0) this.#setDeadline(controller, header.timeoutMs);
    const call = new ServerCall(this, offered, callId, controller);
    this.#calls.add(call);
    this.#owner.load.calls++;
    if (callId === 0) this.#legacyReplies.expect(call);
    else if (callId === oneWayId) call.answered = true;
    if (offered.streams) {
      call.stream = this.#streams.add(call, header.credit);
      void call.stream.run(request);
      return;
    }
    // Streams have a limit of their own: for them there must be reading, of what is granted.
    const running = this.#calls.count - this.#streams.count;
    if (running > this.#owner.options.callsInFlightMax) this.#park(call, request);
    else this.#run(call, request);
  }

  /** Until it begins nothing more is read; with a window of like size its caller never comes here. */
  #park(call: ServerCall, request: unknown): void {
    this.#parked = { call, request };
    this.#setPaused(pausedByCalls, true);
  }

  #startParked(): void {
    const parked = this.#parked;
    if (parked === null) return;
    this.#parked = null;
    if (parked.call.answered) this.#release(parked.call);
    else this.#run(parked.call, parked.request);
    if (this.#parked === null) this.#setPaused(pausedByCalls, false);
  }

  #run(call: ServerCall, request: unknown): void {
    const { service, method } = call.offered;
    try {
      service.callMethod(method, call.controller, request, call.done);
    } catch (error) {
      call.controller.setThrown(error);
      call.done(null);
    }
  }

  #setDeadline(controller: MprpcController, timeoutMs: number): void {
    if (this.#now === 0) this.#now = performance.now();
    controller.deadline = this.#now + timeoutMs;
    this.#deadlines.watch(controller.deadline, this.#now);
  }

  /** The handler is done. The call counts as in flight until here, whenever its caller left. */
  onDone(call: ServerCall, response: unknown): void {
    const { controller } = call;
    if (controller.failed() && isFault(controller)) this.#report(call, controller.cause);
    if (call.callId === 0) {
      this.#answerLegacy(call, response);
      return;
    }
    if (!call.answered) {
      call.answered = true;
      this.#replies.answer(call, response, this.#calls.count === 1);
    }
    this.#release(call);
  }

  #answerLegacy(call: ServerCall, response: unknown): void {
    if (call.answered) {
      this.#release(call);
      return;
    }
    const failed = call.controller.failed();
    this.#legacyReplies.answer(call, failed ? null : this.#replies.encodeLegacy(call, response));
  }

  /** Answers a request that no handler will see. */
  #refuse(callId: number, error: RpcError, flags = 0): void {
    if (callId === 0) {
      // The connection ends with this answer: what comes after it is of no use.
      this.#reader.stop();
      this.#legacyReplies.refuse();
      return;
    }
    if (callId === oneWayId) {
      this.#owner.onError(error, { peer: this.#peer, method: "" });
      return;
    }
    this.#replies.refuse(callId, error, flags);
  }

  #onLegacySent(call: ServerCall | null): void {
    if (call !== null) this.#release(call);
  }

  #release(call: ServerCall): void {
    this.#calls.remove(call);
    if (call.stream !== null) this.#streams.remove(call);
    this.#owner.load.calls--;
    if (call.stream === null) this.#startParked();
    this.#closeIfDone();
  }

  #onCancel(callId: number): void {
    const call = callId === 0 ? null : this.#calls.find(callId);
    if (call === null || call.answered) return;
    call.answered = true;
    this.#cancel(call);
  }

  /** Ends what is overdue; returns the earliest deadline left. */
  #expireCalls(now: number): number {
    let earliest = Infinity;
    this.#calls.forEach((call) => {
      const { deadline } = call.controller;
      if (call.controller.isCanceled()) return;
      if (deadline > now) earliest = Math.min(earliest, deadline);
      else this.#expire(call);
    });
    return earliest;
  }

  #expire(call: ServerCall): void {
    call.controller.setFailed("the deadline passed", RpcStatus.DEADLINE_EXCEEDED);
    this.#endEarly(call);
  }

  #onCredit(callId: number, credit: number): void {
    const call = this.#streams.find(callId);
    // A stream that has just ended may still be granted more.
    if (call === null || call.answered || call.stream?.grant(credit) !== false) return;
    call.controller.setThrown(overflow());
    this.#endEarly(call);
  }

  /** The caller learns at once how the call ended, as its controller says; the handler is told. */
  #endEarly(call: ServerCall): void {
    call.answered = true;
    if (call.callId > 0) this.#replies.writeStatus(call);
    this.#cancel(call);
  }

  #cancel(call: ServerCall): void {
    try {
      call.controller.startCancel();
    } catch (error) {
      this.#report(call, error);
    }
    call.stream?.stop();
  }

  /** Frames stop at once; the socket only when it brings more, which it seldom does in time. */
  #setPaused(reason: number, paused: boolean): void {
    this.#pauses = paused ? this.#pauses | reason : this.#pauses & ~reason;
    if (this.#pauses !== 0) {
      this.#reader.pause();
      return;
    }
    if (this.#connection.socket.isPaused()) this.#connection.socket.resume();
    this.#reader.resume();
  }

  /** The stream can't be trusted any more. */
  #fail(error: RpcError): void {
    this.#reader.stop();
    this.#connection.reset(error);
  }

  #closeIfDone(): void {
    if (!this.#ending || this.#connection.closed) return;
    if (this.#calls.count > 0 || !this.#legacyReplies.empty) return;
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

  #report(call: ServerCall, error: unknown): void {
    const { method } = call.offered;
    this.#owner.onError(asError(error), {
      peer: this.#peer,
      method: `${method.serviceName}.${method.name}`,
    });
  }
}

/** Where an answer goes: 0 to a caller of revision 1, `oneWayId` nowhere. */
function answerIdOf({ callId, flags }: RequestHeader): number {
  return callId !== 0 && (flags & notifyFlag) !== 0 ? oneWayId : callId;
}
