import { createServer, type Server, type Socket } from "node:net";
import { rpcDefaults, rpcLimits, type RpcOptions } from "../config/options.js";
import { MethodTable } from "./methodTable.js";
import {
  ServerConnection,
  type ServerConnectionOwner,
  type ServerErrorContext,
} from "./serverConnection.js";
import type { RpcService } from "./service.js";
import { unavailable } from "./systemError.js";

export interface RpcProviderOptions extends Partial<RpcOptions> {
  /** Told of handlers that failed, and of callers that broke the rules. Never of ordinary calls. */
  readonly onError?: (error: Error, context: ServerErrorContext) => void;
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
  readonly #methods = new MethodTable();
  readonly #connections = new Set<ServerConnection>();
  #server: Server | null = null;
  #closing: Promise<void> | null = null;
  #onEmpty: () => void = () => {};

  constructor(options: RpcProviderOptions = {}) {
    const { onError = () => {}, ...limits } = options;
    this.#options = { ...rpcDefaults, ...limits };
    this.#onError = onError;
  }

  /** How many callers are connected. */
  get connections(): number {
    return this.#connections.size;
  }

  /**
   * Offers a service.
   * @throws Error when one of the same name is offered already.
   */
  notifyService(service: RpcService): void {
    this.#methods.add(service);
  }

  /**
   * Listens; resolves with the address, in which a port 0 has become the real one.
   * @throws RpcError with UNAVAILABLE when the address can't be had: in use, or not this machine's.
   */
  async run(host: string, port: number): Promise<Address> {
    if (this.#server !== null || this.#closing !== null) throw new Error("run was called before");
    const server = createServer({ allowHalfOpen: true });
    this.#server = server;
    server.on("connection", (socket) => this.#accept(socket));
    try {
      await listening(server, host, port);
    } catch (error) {
      this.#server = null;
      throw unavailable(`listening on ${host}:${port}`, error);
    }
    server.on("error", (error) => this.#onError(error, { peer: "", method: "" }));
    const address = server.address();
    if (address === null || typeof address === "string") throw new Error("not a TCP server");
    return { host: address.address, port: address.port };
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
    const closed = server?.listening === true ? closing(server) : Promise.resolve();
    const empty = new Promise<void>((resolve) => {
      this.#onEmpty = resolve;
    });
    for (const connection of this.#connections) connection.end();
    const timer = setTimeout(() => {
      for (const connection of this.#connections) connection.reset();
    }, graceMs);
    if (this.#connections.size > 0) await empty;
    clearTimeout(timer);
    await closed;
  }

  #accept(socket: Socket): void {
    if (this.#closing !== null || this.#connections.size >= this.#options.connectionsMax) {
      // Without a listener an error of the dying socket would end the process.
      socket.on("error", () => {});
      socket.resetAndDestroy();
      return;
    }
    this.#connections.add(new ServerConnection(socket, this.#connectionOwner));
  }

  get #connectionOwner(): ServerConnectionOwner {
    return {
      options: this.#options,
      methods: this.#methods,
      onError: this.#onError,
      onConnectionClosed: (connection) => {
        this.#connections.delete(connection);
        if (this.#connections.size === 0) this.#onEmpty();
      },
    };
  }
}

function listening(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen({ host, port }, () => {
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
