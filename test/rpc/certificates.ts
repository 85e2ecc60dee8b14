import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ClientTlsOptions, ServerTlsOptions } from "../../rpc/index.js";

/** Why no certificate can be made here; empty when one can. */
export const noOpenssl =
  spawnSync("openssl", ["version"]).status === 0 ? "" : "openssl is not on the PATH";

export interface Identity {
  readonly certPath: string;
  readonly keyPath: string;
  readonly cert: Buffer;
  readonly key: Buffer;
}

/** An authority that lasts as long as a test, and the certificates that it issues. */
export class TestAuthority {
  readonly directory = mkdtempSync(join(tmpdir(), "mprpc-tls-"));
  readonly root: Identity;
  #issued = 0;

  constructor(name = "test authority") {
    this.root = this.#make("root", `/CN=${name}`, ["-addext", "basicConstraints=critical,CA:true"]);
  }

  /** `names` as OpenSSL wants them: `DNS:localhost,IP:127.0.0.1`. */
  issue(commonName: string, names: string): Identity {
    const { certPath, keyPath } = this.root;
    const issuer = ["-CA", certPath, "-CAkey", keyPath];
    // A configuration of its own: quotes and commas in names have no place on the command line.
    const config = join(this.directory, "names.cnf");
    writeFileSync(config, `[req]\ndistinguished_name=dn\n[dn]\n[v3]\nsubjectAltName=${names}\n`);
    const subject = `/O=Tests/CN=${commonName}`;
    const extra = [...issuer, "-config", config, "-extensions", "v3"];
    return this.#make(`issued${++this.#issued}`, subject, extra);
  }

  remove(): void {
    rmSync(this.directory, { recursive: true, force: true });
  }

  #make(file: string, subject: string, extra: readonly string[]): Identity {
    const certPath = join(this.directory, `${file}.crt`);
    const keyPath = join(this.directory, `${file}.key`);
    const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
    const out = ["-keyout", keyPath, "-out", certPath, "-days", "2", "-subj", subject];
    execFileSync("openssl", ["req", "-x509", ...key, ...out, ...extra], { stdio: "pipe" });
    return { certPath, keyPath, cert: readFileSync(certPath), key: readFileSync(keyPath) };
  }
}

/** One authority, a server and a caller that it vouches for, and the options to use them. */
export class TestPki {
  readonly authority = new TestAuthority();
  readonly server = this.authority.issue("server", "DNS:localhost,IP:127.0.0.1,DNS:kv.example");
  readonly alice = this.authority.issue("alice", "URI:spiffe://example/alice,DNS:alice.example");

  serverTls(options: Partial<ServerTlsOptions> = {}): ServerTlsOptions {
    const { cert, key } = this.server;
    return { credentials: { cert, key }, ...options };
  }

  /** Callers must show a certificate of this authority. */
  mutualTls(): ServerTlsOptions {
    const { cert, key } = this.server;
    return { credentials: { cert, key, ca: this.authority.root.cert }, requestCert: true };
  }

  clientTls(identity?: Identity, options: Partial<ClientTlsOptions> = {}): ClientTlsOptions {
    const ca = this.authority.root.cert;
    const own = identity === undefined ? {} : { cert: identity.cert, key: identity.key };
    return { credentials: { ca, ...own }, ...options };
  }

  remove(): void {
    this.authority.remove();
  }
}
