import { connect as connectPlain } from "node:net";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { kvServerRpc_Stub } from "../../proto/index.js";
import {
  TlsFiles,
  type CallOrigin,
  type ClientTlsOptions,
  type MprpcController,
  type ServerTlsOptions,
} from "../../rpc/index.js";
import { splitAltNames } from "../../rpc/peerIdentity.js";
import { noOpenssl, TestAuthority, TestPki } from "./certificates.js";
import {
  bytes,
  closeAll,
  openChannel,
  rawClient,
  rawServer,
  startProvider,
  text,
  until,
} from "./support.js";

if (noOpenssl !== "") console.log(`the TLS tests do not run: ${noOpenssl}`);

let pki: TestPki;

beforeAll(() => {
  if (noOpenssl === "") pki = new TestPki();
});
afterAll(() => pki?.remove());
afterEach(closeAll);

async function expectRefused(tls: ServerTlsOptions, reason: RegExp): Promise<void> {
  await expect(startProvider({ tls })).rejects.toThrow(reason);
}

function openStub(port: number, tls?: ClientTlsOptions): kvServerRpc_Stub {
  return new kvServerRpc_Stub(openChannel(port, tls === undefined ? {} : { tls }));
}

describe.runIf(noOpenssl === "")("TLS", () => {
  test("calls go through, and the channel learns the revision as without", async () => {
    const { port, service } = await startProvider({ tls: pki.serverTls() });
    let origin: CallOrigin | undefined;
    service.get = (request, controller) => {
      ({ origin } = controller);
      return { Value: request.Key };
    };
    const channel = openChannel(port, { tls: pki.clientTls() });
    const stub = new kvServerRpc_Stub(channel);
    const keys = Array.from({ length: 500 }, (_, index) => `${index}`);
    const replies = await Promise.all(keys.map((key) => stub.Get({ Key: bytes(key) })));
    expect(replies.map(({ Value }) => text(Value))).toEqual(keys);
    expect(channel.revision).toBe(2);
    expect(origin?.identity).toBeUndefined();
  });

  test("a server of an authority that nobody vouches for is refused before any byte", async () => {
    const { port, provider } = await startProvider({ tls: pki.serverTls() });
    const channel = openChannel(port, { tls: {}, backoffMsMin: 60_000, backoffMsMax: 60_000 });
    await expect(new kvServerRpc_Stub(channel).Get({})).rejects.toMatchObject({
      code: "UNAVAILABLE",
      message: expect.stringMatching(/TLS handshake with 127.0.0.1:\d+: .*certificate/) as string,
    });
    expect(channel.state).toBe("backoff");
    await until(() => provider.connections === 0, "nothing is left at the provider");
  });

  test("a server with another name is refused; servername says which it is to be", async () => {
    const { port } = await startProvider({ tls: pki.serverTls() });
    const wrong = openStub(port, pki.clientTls(undefined, { servername: "other.example" }));
    await expect(wrong.Get({})).rejects.toThrow(/other.example. is not in the cert's altnames/);
    const right = openStub(port, pki.clientTls(undefined, { servername: "kv.example" }));
    await right.Get({});
  });

  test("rejectUnauthorized false takes any server", async () => {
    const { port } = await startProvider({ tls: pki.serverTls() });
    const reply = openStub(port, { rejectUnauthorized: false }).Get({ Key: bytes("k") });
    expect(text((await reply).Value)).toBe("k");
  });

  test("mTLS: handlers see who calls", async () => {
    const { port, service } = await startProvider({ tls: pki.mutualTls() });
    let controller: MprpcController | undefined;
    service.get = (_request, found) => {
      controller = found;
      return {};
    };
    await openStub(port, pki.clientTls(pki.alice)).Get({});
    const identity = controller!.origin.identity!;
    expect(identity.authorized).toBe(true);
    expect(identity.subject).toBe("O=Tests\nCN=alice");
    expect(identity.subjectAltNames).toEqual(["URI:spiffe://example/alice", "DNS:alice.example"]);
    expect(identity.fingerprint256).toMatch(/^([0-9A-F]{2}:){31}[0-9A-F]{2}$/);
    expect(identity.certificate.issuer).toBe("CN=test authority");
  });

  test("mTLS: who has no certificate, or one of another authority, gets nothing done", async () => {
    const { port, service, provider } = await startProvider({ tls: pki.mutualTls() });
    let calls = 0;
    service.get = () => {
      calls++;
      return {};
    };
    const strangers = new TestAuthority("strangers");
    try {
      const mallory = strangers.issue("alice", "URI:spiffe://example/alice");
      for (const identity of [undefined, mallory]) {
        const stub = openStub(port, pki.clientTls(identity));
        await expect(stub.Get({})).rejects.toMatchObject({ code: "UNAVAILABLE" });
      }
    } finally {
      strangers.remove();
    }
    expect(calls).toBe(0);
    await until(() => provider.connections === 0, "nothing is left at the provider");
  });

  test("mTLS without rejectUnauthorized: handlers are told that nobody vouches", async () => {
    const credentials = { cert: pki.server.cert, key: pki.server.key };
    const tls = pki.serverTls({ credentials, requestCert: true, rejectUnauthorized: false });
    const { port, service } = await startProvider({ tls });
    let origin: CallOrigin | undefined;
    service.get = (_request, controller) => {
      ({ origin } = controller);
      return {};
    };
    await openStub(port, pki.clientTls(pki.alice)).Get({});
    expect(origin?.identity).toMatchObject({ authorized: false });
    await openStub(port, pki.clientTls()).Get({});
    expect(origin?.identity).toBeUndefined();
  });

  test("credentials that can't serve are refused when the provider is made", async () => {
    const { cert, key } = pki.server;
    await expectRefused({ credentials: {} }, /need cert and key/);
    await expectRefused({ credentials: { cert } }, /credentials.cert .*without credentials.key/);
    await expectRefused({ credentials: { key } }, /credentials.key .*without credentials.cert/);
    await expectRefused(
      { credentials: { cert, key: pki.alice.key } },
      /credentials.key is not the key of credentials.cert/,
    );
    await expectRefused({ credentials: { cert, key }, requestCert: true }, /credentials.ca/);
    await expectRefused({ credentials: new TlsFiles({ cert: "/nonexistent", key: "" }) }, /ENOENT/);
  });

  test("a channel whose credentials are no good: its calls fail, and say why", async () => {
    const { port } = await startProvider({ tls: pki.serverTls() });
    const stub = openStub(port, {
      credentials: { ca: pki.server.cert, cert: pki.alice.cert, key: "none" },
    });
    await expect(stub.Get({})).rejects.toMatchObject({ code: "UNAVAILABLE" });
    const missing = openStub(port, { credentials: new TlsFiles({ ca: "/nonexistent" }) });
    await expect(missing.Get({})).rejects.toThrow(/ENOENT/);
  });
});

describe.runIf(noOpenssl === "")("peers that do not speak TLS, or not to its end", () => {
  test("a plain channel on a TLS port: UNAVAILABLE, and the provider serves on", async () => {
    const { port, errors } = await startProvider({ tls: pki.serverTls() });
    await expect(openStub(port).Get({})).rejects.toMatchObject({
      code: "UNAVAILABLE",
      message: expect.stringContaining("may speak only TLS") as string,
    });
    expect(errors.map(({ message }) => message)).toEqual([
      "the TLS handshake failed: wrong version number",
    ]);
    await openStub(port, pki.clientTls()).Get({});
  });

  test("a TLS channel on a plain port: UNAVAILABLE, and the provider serves on", async () => {
    const { port, errors } = await startProvider();
    await expect(openStub(port, pki.clientTls()).Get({})).rejects.toMatchObject({
      code: "UNAVAILABLE",
      message: expect.stringMatching(/TLS handshake .*does the server speak TLS/) as string,
    });
    await until(() => errors.length > 0, "the provider tells of it");
    expect(errors[0]!.message).toBe("a caller speaks TLS, and this port does not");
    await openStub(port).Get({});
  });

  test("a TLS server that answers a plain request with an alert is known for what it is", async () => {
    const alert = Buffer.from("15030300020246", "hex");
    const { port } = await rawServer(({ socket }) => {
      socket.once("data", () => socket.end(alert));
    });
    await expect(openStub(port).Get({})).rejects.toThrow(/speaks TLS/);
  });

  test("a handshake that never ends: the connection is let go, and it counts as one", async () => {
    const { port, errors } = await startProvider({
      tls: pki.serverTls(),
      tlsHandshakeTimeoutMs: 100,
      connectionsMax: 1,
    });
    const silent = await rawClient(port);
    silent.send(Buffer.from("160301", "hex"));
    const second = await rawClient(port);
    expect(await second.ended()).toBe("RST");
    await silent.ended();
    expect(errors.map(({ message }) => message)).toEqual([
      "the TLS handshake failed: TLS handshake timeout",
    ]);
    await openStub(port, pki.clientTls()).Get({});
  });

  test("a server whose handshake never ends: the attempt to connect ends in time", async () => {
    const { port } = await rawServer();
    const channel = openChannel(port, { tls: pki.clientTls(), connectTimeoutMs: 50 });
    await expect(new kvServerRpc_Stub(channel).Get({})).rejects.toMatchObject({
      code: "UNAVAILABLE",
      message: `TLS handshake with 127.0.0.1:${port}: no answer within 50 ms`,
    });
  });

  test("close does not wait for handshakes", async () => {
    const { port, provider } = await startProvider({ tls: pki.serverTls() });
    const client = await rawClient(port);
    client.send(Buffer.from("160301", "hex"));
    await openStub(port, pki.clientTls()).Get({});
    await provider.close(60_000);
    expect(await client.ended()).toBe("FIN");
  });
});

describe.runIf(noOpenssl === "")("output over TLS", () => {
  test("buffers that are used again never change what was sent before", async () => {
    const { port, service } = await startProvider({ tls: pki.serverTls() });
    const sizes = [1, 100, 3_000, 70_000, 1_500_000];
    service.get = (request) => {
      const size = sizes[request.RequestId % sizes.length]!;
      return { Value: new Uint8Array(size).fill(request.RequestId) };
    };
    const stub = openStub(port, pki.clientTls());
    await Promise.all(
      Array.from({ length: 60 }, async (_, id) => {
        const Key = new Uint8Array(sizes[(id * 7) % sizes.length]!).fill(id);
        const { Value } = await stub.Get({ RequestId: id, Key });
        const size = sizes[id % sizes.length]!;
        expect(Buffer.from(Value).equals(Buffer.alloc(size, id))).toBe(true);
      }),
    );
  });

  test("a caller that reads nothing is let go", async () => {
    const { port, service, provider, errors } = await startProvider({
      tls: pki.serverTls(),
      outputBytesMax: 1 << 20,
      slowReaderTimeoutMs: 200,
    });
    service.get = () => ({ Value: new Uint8Array(1 << 20) });
    // Between channel and provider something that stops passing on what the provider says.
    const proxy = await rawServer((near) => {
      const far = connectPlain({ host: "127.0.0.1", port });
      let passed = 0;
      near.socket.on("data", (chunk: Buffer) => far.write(chunk));
      near.socket.on("close", () => far.destroy());
      far.on("error", () => {});
      far.on("close", () => near.socket.destroy());
      far.on("data", (chunk: Buffer) => {
        passed += chunk.length;
        near.send(chunk);
        if (passed > 100_000) far.pause();
      });
    });
    const stub = openStub(proxy.port, pki.clientTls());
    const calls = Array.from({ length: 50 }, () => stub.Get({}).catch((error: unknown) => error));
    await until(() => provider.connections === 1, "connected");
    await until(() => provider.connections === 0, "it is let go");
    expect(errors.map(({ message }) => message)).toEqual(["the peer took nothing for 200 ms"]);
    await proxy.close();
    await Promise.all(calls);
  });
});

describe("splitAltNames", () => {
  test("a name with a comma in quotes stays one name", () => {
    expect(splitAltNames("")).toEqual([]);
    expect(splitAltNames("DNS:a.example, IP Address:127.0.0.1")).toEqual([
      "DNS:a.example",
      "IP Address:127.0.0.1",
    ]);
    expect(splitAltNames('DNS:"a, DNS:b", DNS:c')).toEqual(["DNS:a, DNS:b", "DNS:c"]);
    expect(splitAltNames(String.raw`DNS:"a\"b", URI:"x\u002cy"`)).toEqual(['DNS:a"b', "URI:x,y"]);
  });
});
