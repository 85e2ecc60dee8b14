import { connect as connectPlain, isIP, Socket } from "node:net";
import { connect as connectTls, createSecureContext, type SecureContext } from "node:tls";
import type { RpcError } from "./status.js";
import { unavailable } from "./systemError.js";
import { maybePlain, tlsErrorText } from "./tlsError.js";
import { MadeOfCredentials, tlsMinVersionDefault, type ClientTlsOptions } from "./tlsOptions.js";

/** Told how an attempt to connect ended: one of the two is called, once, and never before `dial` returns. */
export interface DialOwner {
  onConnected(socket: Socket): void;
  onConnectFailed(error: RpcError): void;
}

/** Makes connections to one address, with TLS or without. */
export class Dialer {
  readonly #host: string;
  readonly #port: number;
  readonly #timeoutMs: number;
  readonly #tls: ClientTlsOptions | undefined;
  readonly #context: MadeOfCredentials<SecureContext>;
  /** What is wrong with the credentials of now while older ones are in use; empty: nothing. */
  #stale = "";

  constructor(host: string, port: number, timeoutMs: number, tls: ClientTlsOptions | undefined) {
    this.#host = host;
    this.#port = port;
    this.#timeoutMs = timeoutMs;
    this.#tls = tls;
    const minVersion = tls?.minVersion ?? tlsMinVersionDefault;
    this.#context = new MadeOfCredentials(tls?.credentials ?? {}, (credentials) =>
      createSecureContext({ ...credentials, minVersion }),
    );
  }

  /** Begins to connect, the TLS handshake included. Destroying the socket ends the attempt. */
  dial(owner: DialOwner): Socket {
    const socket = this.#open();
    let connected = false;
    const giveUp = (): void => {
      if (!connected) socket.destroy(new Error(`no answer within ${this.#timeoutMs} ms`));
    };
    // When this process stood still for a while its timers run before its sockets tell anything: what
    // has come meanwhile is heard first.
    const timer = setTimeout(() => setImmediate(giveUp), this.#timeoutMs);
    let failure: Error | null = null;
    let reached = false;
    const onError = (error: Error): void => {
      failure ??= error;
    };
    const onClose = (): void => {
      clearTimeout(timer);
      owner.onConnectFailed(this.#failed(failure, reached));
    };
    socket.on("error", onError);
    socket.on("close", onClose);
    socket.once("connect", () => {
      reached = true;
    });
    socket.once(this.#tls === undefined ? "connect" : "secureConnect", () => {
      connected = true;
      clearTimeout(timer);
      socket.off("error", onError);
      socket.off("close", onClose);
      owner.onConnected(socket);
    });
    return socket;
  }

  #open(): Socket {
    const address = { host: this.#host, port: this.#port };
    if (this.#tls === undefined) return connectPlain(address);
    const { servername, rejectUnauthorized = true } = this.#tls;
    // What Node would do by itself, said here because it refuses an address as a name to ask for.
    const name = servername ?? (isIP(this.#host) === 0 ? this.#host : undefined);
    const named = name === undefined ? {} : { servername: name };
    try {
      const secureContext = this.#currentContext();
      return connectTls({ ...address, ...named, rejectUnauthorized, secureContext });
    } catch (error) {
      return new Socket().destroy(error instanceof Error ? error : new Error(String(error)));
    }
  }

  /** New credentials that are no good leave the old ones in use. */
  #currentContext(): SecureContext {
    this.#stale = "";
    try {
      return this.#context.refresh();
    } catch (error) {
      if (this.#context.current === null) throw error;
      this.#stale = ` (new credentials are not in use: ${error instanceof Error ? error.message : String(error)})`;
      return this.#context.current;
    }
  }

  #failed(failure: Error | null, reached: boolean): RpcError {
    const address = `${this.#host}:${this.#port}`;
    if (this.#tls === undefined || !reached || failure === null) {
      return unavailable(`connecting to ${address}`, failure ?? "closed");
    }
    const hint = maybePlain(failure)
      ? " (does the server speak TLS, or want another certificate?)"
      : "";
    const text = new Error(`${tlsErrorText(failure)}${hint}${this.#stale}`, { cause: failure });
    return unavailable(`TLS handshake with ${address}`, text);
  }
}
