import { readFileSync, statSync } from "node:fs";
import { rpcLimits } from "../config/options.js";

/** PEM texts: who this side is, and whom it believes. */
export interface TlsCredentials {
  /** The certificate, and behind it those between it and its authority. */
  readonly cert?: string | Buffer | undefined;
  readonly key?: string | Buffer | undefined;
  /** The authorities that a peer's certificate may come from. Default: those that Node trusts. */
  readonly ca?: string | Buffer | undefined;
}

/** Where credentials come from when they may change. */
export interface TlsSource {
  /** Where they come from, for error texts. */
  readonly paths?: TlsFilePaths;
  /**
   * The credentials of now: the same object for as long as nothing has changed. It is asked before
   * every handshake, and so must be quick.
   * @throws Error when they can't be had.
   */
  load(): TlsCredentials;
}

export interface TlsFilePaths {
  readonly cert?: string | undefined;
  readonly key?: string | undefined;
  readonly ca?: string | undefined;
}

/**
 * Credentials in PEM files, read again once one of them has changed. Replacing a file, writing over
 * it and turning a symbolic link elsewhere are all seen; between two such steps certificate and key
 * may not match, and the side that uses them then goes on with what it had.
 */
export class TlsFiles implements TlsSource {
  readonly paths: TlsFilePaths;
  #credentials: TlsCredentials = {};
  /** What the system said of the files when they were read; empty before that. */
  #version = "";

  constructor(paths: TlsFilePaths) {
    this.paths = paths;
  }

  /** @throws Error when a file can't be read or is larger than any certificate. */
  load(): TlsCredentials {
    const { cert, key, ca } = this.paths;
    const version = [cert, key, ca].map(versionOf).join(" ");
    if (version === this.#version) return this.#credentials;
    this.#credentials = { cert: read(cert), key: read(key), ca: read(ca) };
    this.#version = version;
    return this.#credentials;
  }
}

function versionOf(path: string | undefined): string {
  if (path === undefined) return "-";
  const found = statSync(path, { bigint: true });
  // Said here because the error of reading one does not say which it was; and from a pipe it would be
  // waited for, with everything else.
  if (!found.isFile())
    throw new Error(`${path} is ${found.isDirectory() ? "a directory" : "no regular file"}`);
  const { ino, size, mtimeNs, ctimeNs } = found;
  if (size > rpcLimits.tlsFileBytesMax) {
    throw new RangeError(`${path} is larger than ${rpcLimits.tlsFileBytesMax} bytes`);
  }
  return `${ino}:${size}:${mtimeNs}:${ctimeNs}`;
}

function read(path: string | undefined): Buffer | undefined {
  return path === undefined ? undefined : readFileSync(path);
}
