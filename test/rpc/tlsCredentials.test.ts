import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { kvServerRpc_Stub } from "../../proto/index.js";
import { RpcProvider, TlsFiles, type TlsCredentials, type TlsSource } from "../../rpc/index.js";
import { noOpenssl, TestAuthority, TestPki } from "./certificates.js";
import { closeAll, openChannel, rawClient, startProvider, until } from "./support.js";

/** What is wrong with credentials, told by its name, and what is wrong with a caller's. */

let pki: TestPki;

beforeAll(() => {
  if (noOpenssl === "") pki = new TestPki();
});
afterAll(() => pki?.remove());
afterEach(closeAll);

const start = (credentials: TlsCredentials | TlsSource) => () =>
  new RpcProvider({ tls: { credentials, requestCert: true } });

/** What gives other credentials when the test says so. */
function changing(first: TlsCredentials) {
  return {
    now: first,
    load() {
      return this.now;
    },
  };
}

describe.runIf(noOpenssl === "")("credentials", () => {
  test.each(["", "garbage", "-----BEGIN CERTIFICATE-----\n"])(
    "a list of authorities that names none is refused: %j",
    (ca) => {
      const { cert, key } = pki.server;
      expect(start({ cert, key, ca })).toThrow(
        /^credentials\.ca (holds no certificate|is cut off)/,
      );
      expect(start({ cert, key, ca: Buffer.from(ca) })).toThrow(/^credentials\.ca /);
    },
  );

  test("a bundle that was cut off after its first certificate is refused", () => {
    const { cert, key } = pki.server;
    const ca = pki.authority.root.cert.toString();
    expect(start({ cert, key, ca: `# a comment\n${ca}${ca}` })).not.toThrow();
    expect(start({ cert, key, ca: ca + ca.slice(0, 100) })).toThrow("credentials.ca is cut off");
    expect(start({ cert: cert.toString() + ca.slice(0, 100), key, ca })).toThrow(
      "credentials.cert is cut off",
    );
  });

  test("files are called by their paths", () => {
    const { certPath: cert, keyPath: key } = pki.server;
    const ca = pki.authority.root.certPath;
    const other = pki.alice.keyPath;
    const folder = join(pki.authority.directory, "folder");
    mkdirSync(folder);
    const broken = join(pki.authority.directory, "broken.pem");
    writeFileSync(broken, "-----BEGIN CERTIFICATE-----\nbm90aGluZw==\n-----END CERTIFICATE-----\n");
    const files = (paths: object) => start(new TlsFiles({ cert, key, ca, ...paths }));
    expect(files({})).not.toThrow();
    expect(files({ cert: broken })).toThrow(`${broken}: `);
    expect(files({ ca: broken })).toThrow(`${broken}: `);
    expect(files({ key: cert })).toThrow(`${cert}: `);
    expect(files({ key: other })).toThrow(`${other} is not the key of ${cert}`);
    expect(files({ ca: folder })).toThrow(`${folder} is a directory`);
    expect(files({ ca: "/dev/null" })).toThrow("/dev/null is no regular file");
    expect(files({ key: undefined })).toThrow(`${cert} is of no use without credentials.key`);
  });

  test("a channel with an empty list of authorities trusts nobody, not the whole web", async () => {
    const { port, provider } = await startProvider({ tls: pki.serverTls() });
    const stub = new kvServerRpc_Stub(openChannel(port, { tls: { credentials: { ca: "" } } }));
    await expect(stub.Get({})).rejects.toMatchObject({
      code: "UNAVAILABLE",
      message: expect.stringContaining("credentials.ca holds no certificate") as string,
    });
    expect(provider.connections).toBe(0);
  });

  test("a provider whose new authorities are no good goes on with the old ones", async () => {
    const { cert, key } = pki.server;
    const ca = pki.authority.root.cert;
    const source = changing({ cert, key, ca });
    const tls = { credentials: source, requestCert: true };
    const { port, provider, errors } = await startProvider({ tls });
    source.now = { cert, key, ca: Buffer.alloc(0) };
    expect(() => provider.reloadTls()).toThrow("credentials.ca holds no certificate");
    for (let round = 0; round < 3; round++) {
      await new kvServerRpc_Stub(openChannel(port, { tls: pki.clientTls(pki.alice) })).Get({});
    }
    expect(errors.map(({ message }) => message)).toEqual([
      "new TLS credentials: credentials.ca holds no certificate in PEM",
    ]);
  });

  test("a channel that goes on with old credentials says so where that may be why it fails", async () => {
    const strangers = new TestAuthority("strangers");
    try {
      const { port } = await startProvider({ tls: pki.serverTls() });
      const source = changing({ ca: strangers.root.cert });
      const channel = openChannel(port, { tls: { credentials: source } });
      const stub = new kvServerRpc_Stub(channel);
      await expect(stub.Get({})).rejects.toThrow(/^(?!.*new credentials)/);
      source.now = { ca: "" };
      channel.connectNow();
      await expect(stub.Get({})).rejects.toThrow(
        /certificate.* \(new credentials are not in use: credentials.ca holds no certificate/,
      );
      source.now = { ca: pki.authority.root.cert };
      channel.connectNow();
      await stub.Get({});
    } finally {
      strangers.remove();
    }
  });
});

describe.runIf(noOpenssl === "")("callers that are not let in", () => {
  test.each(["TLSv1.2", "TLSv1.3"] as const)(
    "the provider says why it refused a certificate, and whose: %s",
    async (version) => {
      const told: string[] = [];
      const { port } = await startProvider({
        tls: { ...pki.mutualTls(), minVersion: version },
        onError: (error, { peer }) => told.push(`${peer} ${error.message}`),
      });
      const strangers = new TestAuthority("strangers");
      try {
        const tls = pki.clientTls(strangers.issue("alice", "DNS:alice.example"));
        const stub = new kvServerRpc_Stub(openChannel(port, { tls }));
        await expect(stub.Get({})).rejects.toThrow(/want another certificate/);
      } finally {
        strangers.remove();
      }
      await until(() => told.length > 0, "the provider has told of it");
      expect(told[0]).toMatch(
        /^127\.0\.0\.1:\d+ the TLS handshake failed: the caller's certificate is refused: [A-Z_]+$/,
      );
    },
  );

  test("a handshake that comes a byte at a time has no longer than one that does not come", async () => {
    const { port, errors } = await startProvider({
      tls: pki.serverTls(),
      tlsHandshakeTimeoutMs: 100,
    });
    const client = await rawClient(port);
    // A record that is long enough to go on with this for a minute.
    client.send(Buffer.from("1603014000", "hex"));
    const drip = setInterval(() => client.send(Buffer.from([1])), 5);
    try {
      await client.ended();
    } finally {
      clearInterval(drip);
    }
    expect(errors).toHaveLength(1);
  });
});
