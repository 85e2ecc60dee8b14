import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";
import { noOpenssl, TestPki } from "../rpc/certificates.js";

/** Whoever owns a web site has a certificate that Node's own list of authorities vouches for. */

const run = promisify(execFile);
const dist = new URL("../../dist/", import.meta.url);

let pki: TestPki;
beforeAll(() => {
  if (noOpenssl === "") pki = new TestPki();
});
afterAll(() => pki?.remove());

/** Calls itself with a certificate of its own, and prints what the handler thinks of the caller. */
const script = `
  import { readFileSync } from "node:fs";
  const { RpcProvider, MprpcChannel } = await import(process.argv[1] + "rpc/index.js");
  const { Health_Stub, HealthService } = await import(process.argv[1] + "rpc/services/index.js");
  const [cert, key] = process.argv.slice(2).map((path) => readFileSync(path));
  const tls = { credentials: { cert, key }, requestCert: true, rejectUnauthorized: false };
  const seen = (next) => (call) => {
    console.log(call.controller.origin.identity?.authorized);
    return next(call);
  };
  const provider = new RpcProvider({ tls, interceptors: [seen] });
  provider.notifyService(new HealthService());
  const { port } = await provider.run("127.0.0.1", 0);
  const channel = new MprpcChannel({ host: "127.0.0.1", port, tls: { credentials: { cert, key } } });
  await new Health_Stub(channel).Check({});
  channel.close();
  await provider.close();
`;

test.runIf(noOpenssl === "")(
  "a provider without authorities of its own takes nobody's word for a caller",
  { timeout: 20_000 },
  async () => {
    const { certPath, keyPath } = pki.server;
    const args = ["--input-type=module", "-e", script, dist.href, certPath, keyPath];
    // In this process our authority is one of the web's.
    const env = { ...process.env, NODE_EXTRA_CA_CERTS: pki.authority.root.certPath };
    const cwd = fileURLToPath(new URL("../..", import.meta.url));
    const { stdout } = await run(process.execPath, args, { env, cwd });
    expect(stdout).toBe("false\n");
  },
);
