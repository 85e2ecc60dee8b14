import { createServer, type Server, type Socket } from "node:net";
import { rpcLimits, type RpcOptions } from "../config/options.js";
import { rpcOptionsOf } from "./checkOptions.js";
import type { Interceptor } from "./interceptor.js";
import { interceptService } from "./interceptService.js";
import { MethodTable } from "./methodTable.js";
import { CallLoad } from "./serverCall.js";
import { ServerConnection, type ServerConnectionOwner } from "./serverConnection.js";
import type { ServerErrorContext } from "./serverErrors.js";
import type { RpcService, ServiceDescriptor } from "./service.js";
import { unavailable } from "./systemError.js";
import { TlsAcceptor } from "./tlsAcceptor.js";
import type { ServerTlsOptions } from "./tlsOptions.js";

export interface RpcProviderOptions extends Partial<RpcOptions> {
  /** Told of handlers that failed, and of callers that broke the rules. Never of ordinary calls. */
  readonly onError?: (error: Error, context: ServerErrorContext) => void;
  /** Speaks TLS, and only that. Default: plain TCP. */
  readonly tls?: ServerTlsOptions;
  /** What all calls of all services go through, the first one first. */
  readonly interceptors?: readonly Interceptor[];
}

export interface Address {
  readonly host: string;
  readonly port: number;
}

/**
 * Offers services on a port, to callers of both revisions of the wire: `RpcProvider` of the
 * original.
 */
export class RpcProvider {
  readonly #options: RpcOptions;
  readonly #onError: (error: Error, context: ServerErrorContext) => void;
  readonly #interceptors: readonly Interceptor[];
  readonly #methods = new MethodTable();
  readonly #connections = new Set<ServerConnection>();
  /** Those beyond the limit that have not called an essential service yet, the oldest first. */
  readonly #surplus = new Set<ServerConnection>();
  readonly #load: CallLoad;
  readonly #tls: TlsAcceptor | null;
  #server: Server | null = null;
  /** Settles when the attempt to listen is over, however it ended. */
  #listenEnded: Promise<unknown> = Promise.resolve();
  #closing: Promise<void> | null = null;
  #onEmpty: () => void = () => {};

  /**
   * @throws RangeError for an option that is out of range; Error for TLS credentials that can't be
   * read or don't fit together.
   */
  constructor(options: RpcProviderOptions = {}) {
    const { onError = () => {}, tls, interceptors = [], ...limits } = options;
    this.#options = rpcOptionsOf(limits);
    this.#onError = onError;
    this.#load = new CallLoad(this.#options.callsInFlightTotalMax);
    this.#interceptors = interceptors;
    this.#tls = tls === undefined ? null : this.#tlsAcceptor(tls);
  }

  /** How many callers are connected. */
  get connections(): number {
    return this.#connections.size;
  }

  /** What is offered, in the order of `notifyService`. */
  get services(): readonly ServiceDescriptor[] {
    return this.#methods.services;
  }

  /**
   * Offers a service.
   * @throws Error when one of the same name is offered already.
   */
  notifyService(service: RpcService): void {
    const interceptors = this.#interceptors;
    this.#methods.add(
      interceptors.length === 0 ? service : interceptService(service, interceptors),
    );
  }

  /**
   * Listens; resolves with the address, in which a port 0 has become the real one.
   * @throws RpcError with UNAVAILABLE when the address can't be had: in use, or not this machine's;
   * or when `close` was called meanwhile.
   */
  async run(host: string, port: number): Promise<Address> {
    if (this.#closing !== null) throw new Error("the provider was closed");
    if (this.#server !== null) throw new Error("run was called before");
    const server = createServer({ allowHalfOpen: true });
    this.#server = server;
    server.on("connection", (socket) => this.#accept(socket));
    const listened = listening(server, host, port);
    this.#listenEnded = listened.catch(() => {});
    try {
      await listened;
    } catch (error) {
      this.#server = null;
      throw unavailable(`listening on ${host}:${port}`, error);
    }
    if (this.#closing !== null) throw unavailable(`listening on ${host}:${port}`, "closed");
    server.on("error", (error) => this.#onError(error, { peer: "", method: "" }));
    const address = server.address();
    if (address === null || typeof address === "string") throw new Error("not a TCP server");
    return { host: address.address, port: address.port };
  }

  /**
   * Takes the TLS credentials of now for connections to come; those that are there stay. Without it
   * files that have changed are seen at the next connection; with it, what is wrong with them.
   * @throws Error when they are no good; the old ones then stay in use.
   */
  reloadTls(): void {
    this.#tls?.reload();
  }

  /**
   * Accepts no more connections and calls, waits up to `graceMs` for those in flight to be answered
   * and closes. Repeating it changes nothing.
   */
  close(graceMs: number = rpcLimits.closeGraceMs): Promise<void> {
    this.#closing ??= this.#close(graceMs);
    return this.#closing;
  }

  async #close(graceMs: number): Promise<void> {
    const server = this.#server;
    const closed = server === null ? Promise.resolve() : this.#stopListening(server);
    const empty = new Promise<void>((resolve) => {
      this.#onEmpty = resolve;
    });
    this.#tls?.destroyHandshakes();
    for (const connection of this.#connections) connection.end();
    const timer = setTimeout(() => {
      for (const connection of this.#connections) connection.reset();
    }, graceMs);
    if (this.#connections.size > 0) await empty;
    clearTimeout(timer);
    await closed;
  }

  /** One that still looks up its host can't be stopped: it would listen once it has. */
  async #stopListening(server: Server): Promise<void> {
    await this.#listenEnded;
    if (server.listening) await closing(server);
  }

  #accept(socket: Socket): void {
    const connections = this.#connections.size + (this.#tls?.handshakes ?? 0);
    const full = connections >= this.#options.connectionsMax;
    if (this.#closing !== null || (full && !this.#hasRoomForSurplus(connections))) {
      // Without a listener an error of the dying socket would end the process.
      socket.on("error", () => {});
      socket.resetAndDestroy();
    } else if (this.#tls === null) {
      this.#serve(socket, full);
    } else {
      this.#tls.accept(socket);
    }
  }

  /** If need be, the one makes way that has had the longest time to show what it wants. */
  #hasRoomForSurplus(connections: number): boolean {
    if (!this.#methods.hasEssential || this.#tls !== null) return false;
    const { connectionsMax } = this.#options;
    if (connections < connectionsMax + rpcLimits.essentialConnectionsMax) return true;
    const [oldest] = this.#surplus;
    if (oldest === undefined) return false;
    oldest.reset();
    this.#forget(oldest);
    return true;
  }

  #serve(socket: Socket, surplus = false): void {
    const connection = new ServerConnection(socket, this.#connectionOwner, surplus);
    this.#connections.add(connection);
    if (surplus) this.#surplus.add(connection);
  }

  #forget(connection: ServerConnection): void {
    this.#surplus.delete(connection);
    if (this.#connections.delete(connection) && this.#connections.size === 0) this.#onEmpty();
  }

  #tlsAcceptor(tls: ServerTlsOptions): TlsAcceptor {
    return new TlsAcceptor(tls, this.#options.tlsHandshakeTimeoutMs, {
      onSecure: (socket) => {
        if (this.#closing === null) this.#serve(socket);
        else socket.destroy();
      },
      onError: (error, peer) => this.#onError(error, { peer, method: "" }),
    });
  }

  get #connectionOwner(): ServerConnectionOwner {
    return {
      options: this.#options,
      methods: this.#methods,
      load: this.#load,
      onError: this.#onError,
      onEssential: (connection) => void this.#surplus.delete(connection),
      onConnectionClosed: (connection) => this.#forget(connection),
    };
  }
}

function listening(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen({ host, port, backlog: rpcLimits.backlogConnectionsMax }, () => {
      server.off("error", reject);
      resolve();
    });
  });
}

function closing(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
  });
}
