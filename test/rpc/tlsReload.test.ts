import { copyFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { connect as connectTls } from "node:tls";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { kvServerRpc_Stub } from "../../proto/index.js";
import { TlsFiles } from "../../rpc/index.js";
import { noOpenssl, TestPki, type Identity } from "./certificates.js";
import { bytes, closeAll, deferred, openChannel, startProvider, text, until } from "./support.js";

let pki: TestPki;

beforeAll(() => {
  if (noOpenssl === "") pki = new TestPki();
});
afterAll(() => pki?.remove());
afterEach(closeAll);

/** Files that the test can replace. */
function files(identity: Identity) {
  const cert = join(pki.authority.directory, "current.crt");
  const key = join(pki.authority.directory, "current.key");
  const use = ({ certPath, keyPath }: Identity): void => {
    copyFileSync(certPath, cert);
    copyFileSync(keyPath, key);
  };
  use(identity);
  return { use, cert, key, source: new TlsFiles({ cert, key, ca: pki.authority.root.certPath }) };
}

/** The serial number of the certificate that the server shows to a new connection. */
function shown(port: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const ca = pki.authority.root.cert;
    const socket = connectTls({ host: "127.0.0.1", port, ca }, () => {
      resolve(socket.getPeerX509Certificate()!.serialNumber);
      socket.destroy();
    });
    socket.on("error", reject);
  });
}

describe.runIf(noOpenssl === "")("certificates that change while it runs", () => {
  test("the provider shows the new one, and what is in flight goes on", async () => {
    const next = pki.authority.issue("next", "DNS:localhost,IP:127.0.0.1");
    const { source, use } = files(pki.server);
    const { port, provider, service } = await startProvider({ tls: { credentials: source } });
    const before = await shown(port);
    const gate = deferred();
    let running = false;
    service.get = async (request) => {
      running = true;
      await gate.promise;
      return { Value: request.Key };
    };
    const channel = openChannel(port, { tls: pki.clientTls() });
    let lost = 0;
    channel.onConnectionLost = () => lost++;
    const inFlight = new kvServerRpc_Stub(channel).Get({ Key: bytes("k") });
    await until(() => running, "the call is running");
    use(next);
    provider.reloadTls();
    const after = await shown(port);
    expect(after).not.toBe(before);
    gate.resolve();
    expect(text((await inFlight).Value)).toBe("k");
    expect(lost).toBe(0);
  });

  test("changed files are seen at the next connection, without being told", async () => {
    const next = pki.authority.issue("next", "DNS:localhost,IP:127.0.0.1");
    const { source, use } = files(pki.server);
    const { port } = await startProvider({ tls: { credentials: source } });
    const before = await shown(port);
    expect(await shown(port)).toBe(before);
    use(next);
    expect(await shown(port)).not.toBe(before);
  });

  test("new ones that are no good leave the old ones in use, and are told of once", async () => {
    const { source, cert, use } = files(pki.server);
    const { port, provider, errors } = await startProvider({ tls: { credentials: source } });
    const before = await shown(port);
    writeFileSync(cert, "half a certificate");
    for (let round = 0; round < 3; round++) expect(await shown(port)).toBe(before);
    expect(errors.map(({ message }) => message)).toEqual([
      expect.stringContaining("new TLS credentials: "),
    ]);
    expect(() => provider.reloadTls()).toThrow(/PEM|no start line/);
    use(pki.authority.issue("next", "DNS:localhost,IP:127.0.0.1"));
    provider.reloadTls();
    expect(await shown(port)).not.toBe(before);
  });

  test("a channel reads its own again at each connect", async () => {
    const { port, service, provider } = await startProvider({ tls: pki.mutualTls() });
    const subjects: string[] = [];
    service.get = (_request, { origin }) => {
      subjects.push(origin.identity!.subject);
      return {};
    };
    const { source, use } = files(pki.alice);
    const channel = openChannel(port, { tls: { credentials: source } });
    const stub = new kvServerRpc_Stub(channel);
    await stub.Get({});
    use(pki.authority.issue("alice the second", "DNS:alice.example"));
    await stub.Get({});
    await provider.close(0);
    await until(() => channel.state !== "ready", "the connection is gone");
    const again = await startProvider({ tls: pki.mutualTls() }, port);
    again.service.get = service.get;
    await stub.Get({});
    expect(subjects).toEqual(
      ["alice", "alice", "alice the second"].map((cn) => `O=Tests\nCN=${cn}`),
    );
  });
});
