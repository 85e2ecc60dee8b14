import type { SecureVersion } from "node:tls";
import { checkCredentials } from "./tlsCheck.js";
import type { TlsCredentials, TlsSource } from "./tlsFiles.js";

interface TlsOptions {
  /** PEM texts, or what gives them anew when they change: a `TlsFiles`, for one. */
  readonly credentials: TlsCredentials | TlsSource;
  /** Default: TLSv1.2. */
  readonly minVersion?: SecureVersion;
}

/** TLS on an `RpcProvider`. Its credentials need `cert` and `key`. */
export interface ServerTlsOptions extends TlsOptions {
  /** Asks callers for a certificate (mTLS), which handlers see in `controller.origin`. */
  readonly requestCert?: boolean;
  /**
   * With `requestCert`: lets nobody in without a certificate that `credentials.ca` vouches for.
   * Default: true. Where it is false a handler must look at `PeerIdentity.authorized`.
   */
  readonly rejectUnauthorized?: boolean;
}

/** TLS on an `MprpcChannel`. `cert` and `key` of its credentials are for servers that ask for them. */
export interface ClientTlsOptions extends Partial<TlsOptions> {
  /** The name that the server's certificate must bear. Default: the channel's host. */
  readonly servername?: string;
  /** False lets any server pass for the right one: for experiments only. Default: true. */
  readonly rejectUnauthorized?: boolean;
}

export const tlsMinVersionDefault: SecureVersion = "TLSv1.2";

/**
 * What was made of credentials, and is made again when they have changed; in between it is kept,
 * since making it takes milliseconds.
 */
export class MadeOfCredentials<T> {
  readonly #source: TlsSource;
  readonly #make: (credentials: TlsCredentials) => T;
  #credentials: TlsCredentials | null = null;
  #made: T | null = null;
  /** What is wrong with `#credentials`, so that it need not be found again at every connection. */
  #problem: unknown = null;

  constructor(credentials: TlsCredentials | TlsSource, make: (credentials: TlsCredentials) => T) {
    this.#source = "load" in credentials ? credentials : { load: () => credentials };
    this.#make = make;
  }

  /** What is in use; null before the first success. */
  get current(): T | null {
    return this.#made;
  }

  /** @throws Error when the credentials of now are no good; what is in use then stays so. */
  refresh(): T {
    const credentials = this.#source.load();
    if (credentials !== this.#credentials) this.#take(credentials);
    if (this.#problem !== null) throw this.#problem;
    return this.#made!;
  }

  #take(credentials: TlsCredentials): void {
    this.#credentials = credentials;
    this.#problem = null;
    try {
      checkCredentials(credentials, this.#source.paths);
      this.#made = this.#make(credentials);
    } catch (error) {
      this.#problem = error;
    }
  }
}
