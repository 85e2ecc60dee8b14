import { TLSSocket } from "node:tls";
import type { RpcOptions } from "../config/options.js";
import type { Connection } from "./connection.js";
import { DeadlineTimer } from "./deadlineTimer.js";
import { notifyFlag, refusedFlag, type RequestHeader } from "./framing.js";
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
import {
  asError,
  isFault,
  overloaded,
  undecodable,
  type ServerErrorContext,
} from "./serverErrors.js";
import { ServerReplies } from "./serverReplies.js";
import { overflow, ServerStreams } from "./serverStreams.js";
import { decodePart } from "./service.js";
import { RpcError, RpcStatus } from "./status.js";

/** What all connections of a provider have in common. */
export interface ProviderContext {
  readonly options: RpcOptions;
  readonly methods: MethodTable;
  readonly load: CallLoad;
  onError(error: Error, context: ServerErrorContext): void;
}

/** What a dispatch needs of the connection that its caller is at the other end of. */
export interface ServerDispatchOwner {
  /** No request may be passed on until one has ended (true), or they may again (false). */
  onCallsFull(full: boolean): void;
  /** A request of revision 1 gets no answer but the end of the connection: no other is read. */
  onUnanswerable(): void;
  /** A call has ended; its reply, if it gets one, is in the output. */
  onCallEnded(): void;
}

/**
 * The calls of one caller, from the arrival of a request to its answer: within the limits, in
 * whichever revision of the wire it came, until its handler, its deadline or its caller ends it.
 *
 *     request ── limits, decode ──► running ── handler is done ──► answer ─► released
 *        │           └─ one too many: parked ─┘     │ deadline, cancel: answered at once,
 *        └──────────── refused ─────────────        └── and released when the handler is done
 */
export class ServerDispatch implements ServerCallOwner {
  readonly #context: ProviderContext;
  readonly #owner: ServerDispatchOwner;
  readonly #peer: string;
  readonly #origins: Readonly<Record<1 | 2, CallOrigin>>;
  readonly #calls = new ServerCalls();
  readonly #streams: ServerStreams;
  readonly #replies: ServerReplies;
  readonly #legacyReplies: LegacyReplies;
  readonly #deadlines = new DeadlineTimer((now) => this.#expireCalls(now));
  /** A call beyond the limit, which begins when another ends. */
  #parked: { readonly call: ServerCall; readonly request: unknown } | null = null;
  /** When the chunk that is being read arrived; 0 while nobody has asked. */
  #now = 0;

  /** `peer`: address and port of the caller. */
  constructor(
    connection: Connection,
    peer: string,
    context: ProviderContext,
    owner: ServerDispatchOwner,
  ) {
    this.#context = context;
    this.#owner = owner;
    this.#peer = peer;
    const { socket } = connection;
    const identity = socket instanceof TLSSocket ? peerIdentity(socket) : undefined;
    this.#origins = { 1: { revision: 1, peer, identity }, 2: { revision: 2, peer, identity } };
    const { options } = context;
    const replyLimits = {
      headerBytesMax: options.headerBytesMax,
      bodyBytesMax: options.replyBytesMax,
    };
    this.#replies = new ServerReplies(connection, replyLimits, (call, error) => {
      this.#report(call, error);
    });
    this.#legacyReplies = new LegacyReplies(connection, (call) => this.#release(call));
    this.#streams = new ServerStreams(connection, {
      options,
      replyLimits,
      onBrokenMessage: (call, error) => {
        this.#replies.setBroken(call, error);
        this.#endEarly(call);
      },
    });
  }

  get callsRunning(): number {
    return this.#calls.count;
  }

  get callsBegun(): number {
    return this.#calls.begun;
  }

  /** Nothing runs, and nothing is to be answered. */
  get quiet(): boolean {
    return this.#calls.count === 0 && this.#legacyReplies.empty;
  }

  /** The requests to come lie in a chunk that has just arrived. */
  chunkArrived(): void {
    this.#now = 0;
  }

  /** All of it is valid during the call, as a `FrameSink` gets it. */
  request(header: RequestHeader, bytes: Buffer, start: number, end: number): void {
    const callId = answerIdOf(header);
    const offered = this.#context.methods.find(header);
    if (offered === null) this.#refuse(callId, this.#unknownMethod(header));
    else this.#start(offered, callId, header, bytes, start, end);
  }

  /** Answers a request that no handler will see. */
  refuse(header: RequestHeader, error: RpcError, flags = 0): void {
    this.#refuse(answerIdOf(header), error, flags);
  }

  /** The caller gave a call up; it may have ended meanwhile. */
  cancel(callId: number): void {
    const call = callId === 0 ? null : this.#calls.find(callId);
    if (call === null || call.answered) return;
    call.answered = true;
    this.#cancel(call);
  }

  /** The caller takes `credit` bytes more of a stream. */
  grant(callId: number, credit: number): void {
    const call = this.#streams.find(callId);
    // A stream that has just ended may still be granted more.
    if (call === null || call.answered || call.stream?.grant(credit) !== false) return;
    call.controller.setThrown(overflow());
    this.#endEarly(call);
  }

  /**
   * The caller is gone: what runs is canceled, and what waits is let go. `finished`: it went in good
   * order, with everything answered.
   */
  abandonAll(finished: boolean): void {
    this.#deadlines.clear();
    this.#calls.forEach((call) => {
      // Those of whose end the caller knows have been canceled; of one-way calls it never wanted to.
      if (call.answered) return;
      call.answered = true;
      this.#cancel(call);
    });
    if (this.#parked !== null) this.#startParked();
    this.#origins[1].onEnded?.(finished);
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

  #unknownMethod(header: RequestHeader): RpcError {
    const { serviceName, methodName } = header;
    const text = this.#context.methods.hasService(serviceName)
      ? `service ${serviceName} has no method ${methodName}`
      : `there is no service ${serviceName}`;
    return new RpcError(RpcStatus.UNIMPLEMENTED, text);
  }

  #start(
    offered: OfferedMethod,
    callId: number,
    header: RequestHeader,
    bytes: Buffer,
    start: number,
    end: number,
  ): void {
    const refusal = offered.streams ? this.#streams.refusal(offered, callId, header.credit) : null;
    if (refusal !== null) {
      this.#refuse(callId, refusal);
      return;
    }
    const { load, options } = this.#context;
    if (load.full) {
      this.#refuse(callId, overloaded(load.callsMax), refusedFlag);
      return;
    }
    let request: unknown;
    try {
      request = decodePart(offered.method.request, bytes, start, end);
    } catch (error) {
      this.#refuse(callId, undecodable(error));
      return;
    }
    const call = this.#begin(offered, callId, header);
    if (offered.streams) {
      call.stream = this.#streams.add(call, header.credit);
      void call.stream.run(request);
      return;
    }
    // Streams have a limit of their own: for them there must be reading, of what is granted.
    const running = this.#calls.count - this.#streams.count;
    if (running > options.callsInFlightMax) this.#park(call, request);
    else this.#run(call, request);
  }

  /** From here on the call counts. */
  #begin(offered: OfferedMethod, callId: number, header: RequestHeader): ServerCall {
    const controller = new MprpcController();
    controller.metadata = header.metadata;
    controller.origin = this.#origins[callId === 0 ? 1 : 2];
    if (header.timeoutMs > 0 && callId !== 0) this.#setDeadline(controller, header.timeoutMs);
    const call = new ServerCall(this, offered, callId, controller);
    this.#calls.add(call);
    this.#context.load.calls++;
    if (callId === 0) this.#legacyReplies.expect(call);
    else if (callId === oneWayId) call.answered = true;
    return call;
  }

  /** Until it begins nothing more is read; with a window of like size its caller never comes here. */
  #park(call: ServerCall, request: unknown): void {
    this.#parked = { call, request };
    this.#owner.onCallsFull(true);
  }

  #startParked(): void {
    const parked = this.#parked;
    if (parked === null) return;
    this.#parked = null;
    // A one-way call counts as answered from the start; only its deadline ends it before it begins.
    const { callId, answered, controller } = parked.call;
    if (callId === oneWayId ? controller.isCanceled() : answered) this.#release(parked.call);
    else this.#run(parked.call, parked.request);
    if (this.#parked === null) this.#owner.onCallsFull(false);
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

  #answerLegacy(call: ServerCall, response: unknown): void {
    if (call.answered) {
      this.#release(call);
      return;
    }
    const failed = call.controller.failed();
    this.#legacyReplies.answer(call, failed ? null : this.#replies.encodeLegacy(call, response));
  }

  #refuse(callId: number, error: RpcError, flags = 0): void {
    if (callId === 0) {
      this.#owner.onUnanswerable();
      this.#legacyReplies.refuse();
    } else if (callId === oneWayId) {
      this.#context.onError(error, { peer: this.#peer, method: "" });
    } else {
      this.#replies.refuse(callId, error, flags);
    }
  }

  #release(call: ServerCall): void {
    this.#calls.remove(call);
    if (call.stream !== null) this.#streams.remove(call);
    this.#context.load.calls--;
    if (call.stream === null) this.#startParked();
    this.#owner.onCallEnded();
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

  #report(call: ServerCall, error: unknown): void {
    const { method } = call.offered;
    this.#context.onError(asError(error), {
      peer: this.#peer,
      method: `${method.serviceName}.${method.name}`,
    });
  }
}

/** Where an answer goes: 0 to a caller of revision 1, `oneWayId` nowhere. */
function answerIdOf({ callId, flags }: RequestHeader): number {
  return callId !== 0 && (flags & notifyFlag) !== 0 ? oneWayId : callId;
}
