import { Socket } from "node:net";
import { createServer, type Server, type TLSSocket } from "node:tls";
import { isSystemError } from "./systemError.js";
import { tlsErrorText } from "./tlsError.js";
import type { TlsCredentials } from "./tlsFiles.js";
import { MadeOfCredentials, tlsMinVersionDefault, type ServerTlsOptions } from "./tlsOptions.js";

/** Whom an acceptor works for. */
export interface TlsAcceptorOwner {
  onSecure(socket: TLSSocket): void;
  /** A handshake failed, with the `peer` named, or new credentials are no good. */
  onError(error: Error, peer: string): void;
}

/**
 * The serving side of TLS handshakes. Each goes by the credentials of the moment at which its
 * connection arrived; what was established before is not touched by new ones.
 */
export class TlsAcceptor {
  readonly #owner: TlsAcceptorOwner;
  readonly #server: MadeOfCredentials<Server>;
  /** Connections whose handshake is under way, by the two ends of each. */
  readonly #handshakes = new Map<string, Socket>();
  /** So that credentials that stay bad are not told of with every connection. */
  #lastReloadError = "";

  /** @throws Error when the options or the credentials are no good. */
  constructor(options: ServerTlsOptions, handshakeTimeoutMs: number, owner: TlsAcceptorOwner) {
    this.#owner = owner;
    this.#server = new MadeOfCredentials(options.credentials, (credentials) =>
      this.#makeServer(options, credentials, handshakeTimeoutMs),
    );
    this.#server.refresh();
  }

  /** How many handshakes are under way. */
  get handshakes(): number {
    return this.#handshakes.size;
  }

  accept(socket: Socket): void {
    const ends = endsOf(socket);
    socket.on("error", () => {});
    if (ends === null) {
      socket.destroy();
      return;
    }
    this.#handshakes.set(ends, socket);
    socket.on("close", () => this.#forget(ends, socket));
    // A server that does not listen: connections are handed to it, after the provider's limits.
    this.#refreshed().emit("connection", socket);
  }

  /** @throws Error when the credentials of now are no good; the old ones then stay in use. */
  reload(): void {
    this.#server.refresh();
    this.#lastReloadError = "";
  }

  destroyHandshakes(): void {
    for (const socket of this.#handshakes.values()) socket.destroy();
  }

  #refreshed(): Server {
    try {
      this.reload();
    } catch (error) {
      const text = error instanceof Error ? tlsErrorText(error) : String(error);
      if (text !== this.#lastReloadError) {
        this.#lastReloadError = text;
        this.#owner.onError(new Error(`new TLS credentials: ${text}`, { cause: error }), "");
      }
    }
    return this.#server.current!;
  }

  #makeServer(options: ServerTlsOptions, credentials: TlsCredentials, timeoutMs: number): Server {
    const { requestCert = false, rejectUnauthorized = true } = options;
    if (credentials.cert === undefined) {
      throw new Error("the TLS credentials of a provider need cert and key");
    }
    // With Node's own list of authorities whoever owns a web site could come in.
    if (requestCert && rejectUnauthorized && credentials.ca === undefined) {
      throw new Error("requestCert needs credentials.ca, the authority of the callers");
    }
    const server = createServer({
      ...credentials,
      // Without authorities of ours nobody vouches for a caller: least of all Node's own list.
      ca: credentials.ca ?? [],
      requestCert,
      rejectUnauthorized,
      minVersion: options.minVersion ?? tlsMinVersionDefault,
      handshakeTimeout: timeoutMs,
    });
    server.on("secureConnection", (socket) => this.#onSecure(socket));
    server.on("tlsClientError", (error, socket) => this.#onFailed(error, socket));
    return server;
  }

  #onSecure(socket: TLSSocket): void {
    const ends = endsOf(socket);
    if (ends !== null) this.#handshakes.delete(ends);
    this.#owner.onSecure(socket);
  }

  #onFailed(error: Error, socket: TLSSocket): void {
    const peer = peerOf(socket);
    const reason = reasonOf(error, socket);
    // After a timeout Node leaves it open.
    socket.destroy();
    if (reason === null) return;
    this.#owner.onError(new Error(`the TLS handshake failed: ${reason}`, { cause: error }), peer);
  }

  #forget(ends: string, socket: Socket): void {
    if (this.#handshakes.get(ends) === socket) this.#handshakes.delete(ends);
  }
}

/** What the caller did wrong; null when it has only gone. */
function reasonOf(error: Error, socket: TLSSocket): string | null {
  // Node hangs up on a certificate that it does not accept, and calls that a reset.
  const refusal: unknown = socket.authorizationError;
  if (typeof refusal === "string") return `the caller's certificate is refused: ${refusal}`;
  if (isSystemError(error) || Reflect.get(error, "code") === "ECONNRESET") return null;
  return tlsErrorText(error);
}

/** Address and port of the caller, as far as they are known. */
function peerOf(socket: TLSSocket): string {
  // A TLS socket that is closed has forgotten them; the one below it, which only Node's own name
  // leads to, has not.
  const below: unknown = Reflect.get(socket, "_parent");
  const { remoteAddress, remotePort } =
    socket.remoteAddress === undefined && below instanceof Socket ? below : socket;
  return `${remoteAddress ?? "?"}:${remotePort ?? 0}`;
}

/** Both ends of a connection, which no two of the same time share; null when it is gone already. */
function endsOf(socket: Socket): string | null {
  const { localAddress, localPort, remoteAddress, remotePort } = socket;
  if (remoteAddress === undefined || localAddress === undefined) return null;
  return `${localAddress} ${localPort} ${remoteAddress} ${remotePort}`;
}
