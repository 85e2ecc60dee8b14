import type { Socket } from "node:net";
import { rpcLimits, type RpcOptions } from "../config/options.js";
import { Backoff } from "./backoff.js";
import { rpcOptionsOf } from "./checkOptions.js";
import { ClientCall, type CallKind, type ClientCallOwner } from "./clientCall.js";
import { ClientConnection, type ClientConnectionOwner } from "./clientConnection.js";
import { ClientStream } from "./clientStream.js";
import { DeadlineTimer } from "./deadlineTimer.js";
import { Dialer, type DialOwner } from "./dial.js";
import { Fifo } from "./fifo.js";
import { RequestFramer } from "./framing.js";
import { MprpcController, type CallOptions } from "./mprpcController.js";
import type { MethodDescriptor, RpcChannel, StreamFlow, StreamSink } from "./service.js";
import { RpcError, RpcStatus } from "./status.js";
import type { ClientTlsOptions } from "./tlsOptions.js";

export interface MprpcChannelOptions extends Partial<RpcOptions> {
  /** A name or an address. */
  readonly host: string;
  readonly port: number;
  /** Lets the process end while no call is running. Default: the connection keeps it alive. */
  readonly unrefWhenIdle?: boolean;
  /** Speaks TLS, and talks to no server whose certificate it can't verify. Default: plain TCP. */
  readonly tls?: ClientTlsOptions;
}

/**
 * `idle`: no connection; the next call makes one. `backoff`: the last attempt failed, and calls fail
 * at once until the wait is over.
 */
export type ChannelState = "idle" | "connecting" | "ready" | "backoff" | "closed";

/**
 * A client's connection to one server, made when it is first needed and again after it was lost:
 * `MprpcChannel` of the original. Any number of calls may be made at once.
 *
 *     idle ── call ──► connecting ── connected ──► ready
 *      ▲                  │  ▲                       │
 *      │           failed │  │ connectNow            │ lost, after it was of use
 *      └─ wait is over ─ backoff ◄── lost before ────┤
 *      ▲                                             │
 *      └─────────────────────────────────────────────┘
 */
export class MprpcChannel implements RpcChannel {
  readonly host: string;
  readonly port: number;
  /** Called when a connection was established, after the calls that waited for it were sent. */
  onConnected: () => void = () => {};
  /**
   * Called when an established connection was lost, after its calls have failed; or when the server
   * wants no more calls on it, while those that are out go on. `gaveUp`: this side closed it, for a
   * call was given up before its reply came, which only the connection's end tells to revision 1.
   */
  onConnectionLost: (error: RpcError, gaveUp: boolean) => void = () => {};
  /** Called when an attempt to connect failed, after the calls that waited for it have failed. */
  onConnectFailed: (error: RpcError) => void = () => {};

  readonly #options: RpcOptions;
  readonly #unrefWhenIdle: boolean;
  readonly #backoff: Backoff;
  readonly #kinds = new WeakMap<object, CallKind>();
  readonly #waiting = new Fifo<ClientCall>();
  #abandonedWaiting = 0;
  readonly #deadlines = new DeadlineTimer((now) => this.#expireCalls(now));
  readonly #connectionOwner: ClientConnectionOwner;
  readonly #dialer: Dialer;
  readonly #dialOwner: DialOwner = {
    onConnected: (socket) => this.#onConnected(socket),
    onConnectFailed: (error) => this.#onConnectFailed(error),
  };
  readonly #callOwner: ClientCallOwner = { onAbandoned: (call) => this.#onAbandoned(call) };
  #connection: ClientConnection | null = null;
  /** Connections that only finish what is out on them. */
  readonly #retired = new Set<ClientConnection>();
  /** A socket on its way to being a connection. */
  #socket: Socket | null = null;
  #retryAt = 0;
  #lastError: RpcError | null = null;
  #closed = false;

  /** @throws RangeError for a port that is none, or an option that is out of range. */
  constructor(options: MprpcChannelOptions) {
    const { host, port, unrefWhenIdle = false, tls, ...limits } = options;
    // Later it would be thrown by the first call, and a call never throws.
    if (!Number.isInteger(port) || port < 1 || port > 65_535) {
      throw new RangeError(`${port} is no port`);
    }
    this.host = host;
    this.port = port;
    this.#unrefWhenIdle = unrefWhenIdle;
    this.#options = rpcOptionsOf(limits);
    this.#backoff = new Backoff(this.#options.backoffMsMin, this.#options.backoffMsMax);
    this.#dialer = new Dialer(host, port, this.#options.connectTimeoutMs, tls);
    this.#connectionOwner = {
      options: this.#options,
      address: this.#address,
      onRoom: () => this.#sendWaiting(),
      onRetired: (connection, error) => this.#onRetired(connection, error),
      onRefused: (call) => this.#onRefused(call),
      onLost: (connection, error, everReplied) => this.#onLost(connection, error, everReplied),
    };
  }

  /** Of the wire, as the server of the current connection speaks it; undefined until it replied. */
  get revision(): 1 | 2 | undefined {
    return this.#connection?.revision;
  }

  get state(): ChannelState {
    if (this.#closed) return "closed";
    if (this.#connection !== null) return "ready";
    if (this.#socket !== null) return "connecting";
    return performance.now() < this.#retryAt ? "backoff" : "idle";
  }

  /**
   * Starts one call. `request` must not be changed before `done` is called: while the window is
   * full or the connection not yet there, it is only kept. The reply's `bytes` fields may be views
   * into memory that they share with other replies: whoever keeps one for long copies it.
   */
  callMethod<Req, Res>(
    method: MethodDescriptor<Req, Res>,
    controller: MprpcController,
    request: Req,
    done: (response: Res | null) => void,
  ): void {
    const now = performance.now();
    const timeoutMs = controller.timeoutMs > 0 ? controller.timeoutMs : this.#options.callTimeoutMs;
    const kind = this.#kindOf(method);
    const deadline = now + timeoutMs;
    const call = new ClientCall(this.#callOwner, kind, controller, request, done, deadline);
    if (!call.ended) this.#place(call, now);
  }

  callStream<Req, Res>(
    method: MethodDescriptor<Req, Res>,
    controller: MprpcController,
    request: Req,
    sink: StreamSink<Res>,
  ): StreamFlow {
    const now = performance.now();
    const { callTimeoutMs, streamWindowBytes } = this.#options;
    const given = controller.timeoutMs > 0;
    // Without a deadline it must begin in time all the same: a server that is silent from the start
    // may be one of revision 1, and holds up everything behind this call.
    const beginBy = now + (given ? controller.timeoutMs : callTimeoutMs);
    const stream = new ClientStream(sink, streamWindowBytes, given ? beginBy : Infinity);
    const kind = this.#kindOf(method);
    const call = new ClientCall(
      this.#callOwner,
      kind,
      controller,
      request,
      stream.end,
      beginBy,
      stream,
    );
    if (!call.ended) this.#place(call, now);
    return stream;
  }

  notify<Req, Res>(
    method: MethodDescriptor<Req, Res>,
    request: Req,
    options?: MprpcController | CallOptions,
  ): void {
    const controller = options instanceof MprpcController ? options : new MprpcController(options);
    const connection = this.#connection;
    // A server of revision 1, or one not known yet, takes it for a call like any other.
    if (connection?.revision !== 2 || !connection.hasRoom || this.#waiting.length > 0) {
      this.callMethod(method, controller, request, () => {});
    } else if (controller.isCanceled() || controller.signal?.aborted === true) {
      controller.setFailed("the caller canceled", RpcStatus.CANCELLED);
      controller.notSent = true;
    } else {
      sendOneWay(connection, this.#kindOf(method), controller, request);
    }
  }

  /** Begins to connect, whatever `backoff` says; does nothing while connecting or connected. */
  connectNow(): void {
    if (this.#closed || this.#connection !== null || this.#socket !== null) return;
    this.#connect();
  }

  /** Ends everything: calls that are running fail with CANCELLED, later ones with UNAVAILABLE. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#deadlines.clear();
    const error = new RpcError(RpcStatus.CANCELLED, "the channel was closed");
    this.#failWaiting(error);
    this.#connection?.destroy(error);
    for (const connection of this.#retired) connection.destroy(error);
    this.#socket?.destroy();
  }

  get #address(): string {
    return `${this.host}:${this.port}`;
  }

  #kindOf(method: MethodDescriptor): CallKind {
    let kind = this.#kinds.get(method);
    if (kind === undefined) {
      kind = { framer: new RequestFramer(method), response: method.response };
      this.#kinds.set(method, kind);
    }
    return kind;
  }

  #place(call: ClientCall, now: number): void {
    if (this.#waiting.length === 0 && this.#connection?.hasRoom === true) {
      this.#send(this.#connection, call, now);
    } else {
      this.#admit(call, now);
    }
  }

  #send(connection: ClientConnection, call: ClientCall, now: number): void {
    if (this.#unrefWhenIdle && connection.callsOut === 0) connection.setRef(true);
    connection.send(call, now);
    if (!call.ended) this.#deadlines.watch(call.deadline, now);
  }

  /** A call that can't be sent now: it waits if there is something to wait for. */
  #admit(call: ClientCall, now: number): void {
    if (this.#closed) {
      call.fail("the channel is closed", RpcStatus.UNAVAILABLE, true);
    } else if (this.state === "backoff") {
      const text = this.#lastError?.message ?? `${this.#address} can't be reached`;
      call.fail(text, RpcStatus.UNAVAILABLE, true, this.#lastError ?? undefined);
    } else if (this.#waiting.length >= this.#options.callsQueuedMax) {
      const text = `${this.#options.callsQueuedMax} calls wait for ${this.#address} already`;
      call.fail(text, RpcStatus.RESOURCE_EXHAUSTED, true);
    } else {
      this.#waiting.push(call);
      this.#deadlines.watch(call.deadline, now);
      this.connectNow();
    }
  }

  #sendWaiting(): void {
    const connection = this.#connection;
    if (connection === null) return;
    if (this.#waiting.length > 0) {
      const now = performance.now();
      while (connection.hasRoom) {
        const call = this.#waiting.shift();
        if (call === undefined) break;
        if (!call.ended) this.#send(connection, call, now);
      }
    }
    if (this.#unrefWhenIdle && connection.callsOut === 0) connection.setRef(false);
  }

  #onAbandoned(call: ClientCall): void {
    if (call.carrier === null) this.#forgetAbandoned();
    else call.carrier.abandon(call, true);
    if (this.#connection?.hasRoom === true) this.#sendWaiting();
  }

  /** Abandoned calls leave the queue when they are most of it, which costs little for each. */
  #forgetAbandoned(): void {
    this.#abandonedWaiting++;
    if (this.#abandonedWaiting * 2 <= this.#waiting.length) return;
    this.#waiting.filter((call) => !call.ended);
    this.#abandonedWaiting = 0;
  }

  /** Ends what is overdue; returns the earliest deadline left. */
  #expireCalls(now: number): number {
    let earliest = Infinity;
    const expire = (call: ClientCall): void => {
      if (call.ended) return;
      if (call.deadline > now) earliest = Math.min(earliest, call.deadline);
      else this.#expire(call);
    };
    this.#connection?.forEachCall(expire);
    for (const connection of this.#retired) connection.forEachCall(expire);
    this.#waiting.filter((call) => {
      expire(call);
      return !call.ended;
    });
    if (this.#connection?.hasRoom === true) this.#sendWaiting();
    return earliest;
  }

  #expire(call: ClientCall): void {
    const { carrier } = call;
    const text = `no reply from ${this.#address} in time`;
    call.fail(text, RpcStatus.DEADLINE_EXCEEDED, carrier === null);
    // Without a cancel: the server has the deadline, too.
    carrier?.abandon(call, false);
  }

  #connect(): void {
    this.#socket = this.#dialer.dial(this.#dialOwner);
  }

  #onConnected(socket: Socket): void {
    this.#socket = null;
    this.#connection = new ClientConnection(socket, this.#connectionOwner);
    this.#sendWaiting();
    this.onConnected();
  }

  #onConnectFailed(error: RpcError): void {
    this.#socket = null;
    if (this.#closed) return;
    this.#backOff(error);
    this.#failWaiting(error);
    this.onConnectFailed(error);
  }

  #onRetired(connection: ClientConnection, error: RpcError | null): void {
    this.#retired.add(connection);
    this.#dropOldestRetired();
    if (this.#connection !== connection) return;
    this.#connection = null;
    this.#backoff.reset();
    if (this.#waiting.length > 0) this.connectNow();
    if (error !== null) this.onConnectionLost(error, false);
  }

  /** A server that sends its callers away and never answers what it owes must not gather sockets. */
  #dropOldestRetired(): void {
    if (this.#retired.size <= rpcLimits.retiredConnectionsMax) return;
    const [oldest] = this.#retired;
    const text = `${this.#address} has left ${rpcLimits.retiredConnectionsMax} connections unfinished`;
    oldest?.destroy(new RpcError(RpcStatus.UNAVAILABLE, text));
  }

  #onRefused(call: ClientCall): boolean {
    if (this.#closed) return false;
    call.recall();
    this.#place(call, performance.now());
    return true;
  }

  #onLost(connection: ClientConnection, error: RpcError, everReplied: boolean): void {
    this.#retired.delete(connection);
    if (this.#connection !== connection) return;
    this.#connection = null;
    if (this.#closed) return;
    if (everReplied) this.#backoff.reset();
    else this.#backOff(error);
    // What was never sent may go over the next connection, unless this one was good for nothing.
    if (!everReplied) this.#failWaiting(error);
    else if (this.#waiting.length > 0) this.#connect();
    this.onConnectionLost(error, connection.gaveUp);
  }

  #backOff(error: RpcError): void {
    this.#lastError = error;
    this.#retryAt = performance.now() + this.#backoff.next();
  }

  #failWaiting(error: RpcError): void {
    for (let call = this.#waiting.shift(); call !== undefined; call = this.#waiting.shift()) {
      call.fail(error.message, error.status, true, error);
    }
  }
}

function sendOneWay(
  connection: ClientConnection,
  kind: CallKind,
  controller: MprpcController,
  request: unknown,
): void {
  try {
    connection.notify(kind.framer, controller, request);
  } catch (error) {
    controller.setThrown(error);
    controller.notSent = true;
  }
}
