import { spawn } from "node:child_process";
import { once } from "node:events";
import { rmSync } from "node:fs";
import { resolve } from "node:path";
// Before the runtime, as main.ts does.
import { restoreLongs } from "../../rpc/call/longs.js";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  RpcError,
  RpcProvider,
  RpcStatus,
  type MethodDescriptor,
  type MprpcController,
  type RpcProviderOptions,
  type RpcService,
  type ServiceDescriptor,
} from "../../rpc/index.js";
import { runCall } from "../../rpc/call/cli.js";
import { ReflectionService } from "../../rpc/services/index.js";
import { codecOf, encode, Protos, type AnyMessage } from "./gen/support.js";
import { noOpenssl, TestPki } from "./certificates.js";

/** mprpc-call against a service that it does not know. */

const proto = `syntax = "proto3";
package shop.v1;
enum Kind { NONE = 0; GIFT = 1; }
message Order {
  message Line { string item = 1; int64 count = 2; }
  repeated Line lines = 1;
  map<string, Kind> kinds = 2;
  oneof payer { string name = 3; int64 account_id = 4; }
  optional bytes note = 5;
}
message Receipt { int64 total_count = 1; string seen = 2; bytes note = 3; }
message OutOfStock { string item = 1; }
service Shop {
  rpc Buy(Order) returns (Receipt);
  rpc Follow(Order) returns (stream Receipt);
  rpc Wait(Order) returns (Receipt);
}
`;

const protos = new Protos("call-test");
let codecs: Record<string, unknown>;
let shop: Running;

class Shop implements RpcService {
  readonly descriptor: ServiceDescriptor = codecs["ShopDescriptor"] as ServiceDescriptor;

  callMethod(
    method: MethodDescriptor,
    controller: MprpcController,
    request: unknown,
    done: (response: unknown) => void,
  ): void {
    if (method.name === "Wait") return;
    const { lines, note } = request as { lines: { item: string; count: bigint }[]; note: unknown };
    const [line] = lines;
    if (line?.item === "gone") {
      const value = encode(codecOf(codecs, "OutOfStock"), { item: line.item });
      const details = [
        { type: "shop.v1.OutOfStock", value },
        { type: "shop.v1.Unheard", value: Uint8Array.of(1, 2) },
      ];
      throw new RpcError(RpcStatus.FAILED_PRECONDITION, "sold out", { details });
    }
    const seen = controller.metadata.map(({ key, value }) => `${key}=${value.toString()}`).join();
    controller.replyMetadata = [{ key: "served-by", value: Buffer.from("one") }];
    done({ total_count: line?.count ?? 0n, seen, note });
  }

  async *callStream(): AsyncGenerator<AnyMessage> {
    yield { total_count: 1n };
    yield { total_count: 2n };
    throw new RpcError(RpcStatus.ABORTED, "no more");
  }
}

interface Running {
  readonly provider: RpcProvider;
  /** `HOST:PORT` */
  readonly address: string;
}

async function start(options: RpcProviderOptions = {}, reflection = true): Promise<Running> {
  const started = new RpcProvider(options);
  started.notifyService(new Shop());
  if (reflection) started.notifyService(new ReflectionService(started));
  const { host, port } = await started.run("127.0.0.1", 0);
  return { provider: started, address: `${host}:${port}` };
}

async function run(args: readonly string[], input = "") {
  let stdout = "";
  let stderr = "";
  const code = await runCall(args, {
    stdout: async (text) => void (stdout += text),
    stderr: (text) => (stderr += text),
    stdin: async () => input,
  });
  return { code, stdout, stderr };
}

/** As its users run it. */
async function runApart(args: readonly string[], input: string) {
  const child = spawn(process.execPath, [resolve("dist/rpc/call/main.js"), ...args]);
  let stdout = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => (stdout += text));
  child.stdin.end(input);
  const [code] = (await once(child, "close")) as [number | null];
  return { code, stdout };
}

const call = (...args: string[]) => run([shop.address, ...args]);

beforeAll(async () => {
  protos.write({ "shop.proto": proto });
  // In a process of its own: bigints are set up while the runtime is loaded.
  await protos.generateApart("gen", "--int64", "bigint", protos.path("shop.proto"));
  codecs = await protos.import("gen");
  restoreLongs();
  shop = await start();
});

afterAll(async () => {
  await shop.provider.close(0);
  rmSync(protos.folder, { recursive: true, force: true });
});

describe("mprpc-call", () => {
  it("lists services and methods", async () => {
    expect(await call("list")).toEqual({
      code: 0,
      stdout: "shop.v1.Shop\nmprpc.reflection.v1.Reflection\n",
      stderr: "",
    });
    const { stdout } = await call("list", "Shop");
    expect(stdout).toContain(
      "shop.v1.Shop.Follow(shop.v1.Order) returns (stream shop.v1.Receipt)\n",
    );
  });

  it("describes what a service takes and gives, down to its messages", async () => {
    const service = await call("describe", "shop.v1.Shop");
    expect(service.stdout).toBe(`// shop.v1.Shop
service Shop {
  rpc Buy(shop.v1.Order) returns (shop.v1.Receipt);
  rpc Follow(shop.v1.Order) returns (stream shop.v1.Receipt);
  rpc Wait(shop.v1.Order) returns (shop.v1.Receipt);
}
`);
    const message = await call("describe", "shop.v1.Order");
    expect(message.stdout).toBe(`// shop.v1.Order
message Order {
  message Line {
    string item = 1;
    int64 count = 2;
  }
  repeated shop.v1.Order.Line lines = 1;
  map<string, shop.v1.Kind> kinds = 2;
  oneof payer {
    string name = 3;
    int64 account_id = 4;
  }
  optional bytes note = 5;
}
`);
    const kind = await call("describe", "shop.v1.Kind");
    expect(kind.stdout).toBe("// shop.v1.Kind\nenum Kind {\n  NONE = 0;\n  GIFT = 1;\n}\n");
  });

  it("calls with JSON, exact for 64-bit integers, with metadata both ways", async () => {
    const request = JSON.stringify({
      lines: [{ item: "tea", count: "9007199254740993" }],
      kinds: { tea: "GIFT" },
      accountId: "1",
      note: "AP8=",
    });
    const flags = ["--metadata", "token=a=b", "-v"];
    expect(await call("Shop.Buy", request, ...flags)).toEqual({
      code: 0,
      stdout: '{"totalCount":"9007199254740993","seen":"token=a=b","note":"AP8="}\n',
      stderr: 'mprpc-call: metadata: served-by="one"\n',
    });
    // The names of the .proto file will do, too; and the request may come from a pipe.
    const piped = await run([shop.address, "shop.v1.Shop/Buy", "-"], '{"account_id":1}');
    expect(piped).toMatchObject({ code: 0, stdout: "{}\n" });
  });

  it("does the same in a process of its own", async () => {
    const request = '{"lines":[{"count":"9007199254740993"}]}';
    expect(await runApart([shop.address, "Shop.Buy", "-"], request)).toEqual({
      code: 0,
      stdout: '{"totalCount":"9007199254740993"}\n',
    });
  });

  it("prints a stream as it comes, and the status that it ends with", async () => {
    expect(await call("Shop.Follow")).toEqual({
      code: 64 + RpcStatus.ABORTED,
      stdout: '{"totalCount":"1"}\n{"totalCount":"2"}\n',
      stderr: "mprpc-call: ABORTED: no more\n",
    });
  });

  it("shows error details: as JSON where their type is known", async () => {
    expect(await call("Shop.Buy", '{"lines":[{"item":"gone"}]}')).toEqual({
      code: 64 + RpcStatus.FAILED_PRECONDITION,
      stdout: "",
      stderr:
        "mprpc-call: FAILED_PRECONDITION: sold out\n" +
        'mprpc-call: detail: shop.v1.OutOfStock {"item":"gone"}\n' +
        'mprpc-call: detail: shop.v1.Unheard "AQI="\n',
    });
  });

  it.each([
    ["a deadline that passes", ["--timeout-ms", "300", "Shop.Wait"], 68, "DEADLINE_EXCEEDED"],
    ["a field that no message has", ["Shop.Buy", '{"price":1}'], 67, "INVALID_ARGUMENT"],
    ["a method that is not there", ["Shop.Sell"], 1, "shop.v1.Shop has no method Sell"],
    ["a service that is not there", ["Bank.Pay"], 1, "Bank"],
    ["what no schema declares", ["describe", "shop.v1.Bank"], 1, "declares shop.v1.Bank"],
    ["no JSON", ["Shop.Buy", "{"], 2, "the request is no JSON"],
    ["no method", [], 2, "usage: mprpc-call"],
    ["bad metadata", ["Shop.Buy", "--metadata", "A=b"], 2, "--metadata is KEY=VALUE"],
    ["half an identity", ["Shop.Buy", "--cert", "x"], 2, "--cert and --key belong together"],
  ])("tells by its exit code: %s", async (_name, args, code, text) => {
    const result = await call(...args);
    expect(result.stderr).toContain(text);
    expect(result).toMatchObject({ code, stdout: "" });
  });

  it("a server that is not there is UNAVAILABLE", async () => {
    const gone = await start();
    await gone.provider.close(0);
    expect(await run([gone.address, "list"])).toMatchObject({ code: 64 + RpcStatus.UNAVAILABLE });
  });

  it("takes .proto files where the server says nothing of itself", async () => {
    const silent = await start({}, false);
    const file = ["--proto", protos.path("shop.proto")];
    const refused = await run([silent.address, "list"]);
    expect(refused).toMatchObject({ code: 64 + RpcStatus.UNIMPLEMENTED });
    expect(refused.stderr).toContain("give its .proto file with --proto");
    expect(await run([silent.address, ...file, "list"])).toMatchObject({
      code: 0,
      stdout: "shop.v1.Shop\n",
    });
    const request = '{"lines":[{"count":-5}]}';
    const bought = await run([silent.address, ...file, "Shop.Buy", request]);
    expect(bought).toMatchObject({ code: 0, stdout: '{"totalCount":"-5"}\n' });
    await silent.provider.close(0);
  });
});

if (noOpenssl !== "") console.log(`skipped: mprpc-call over TLS: ${noOpenssl}`);

describe.runIf(noOpenssl === "")("mprpc-call over TLS", () => {
  it("believes the given authority alone, and shows its own certificate", async () => {
    const pki = new TestPki();
    const secure = await start({ tls: pki.mutualTls() });
    const own = ["--cert", pki.alice.certPath, "--key", pki.alice.keyPath];
    const ca = ["--ca", pki.authority.root.certPath];
    expect(await run([secure.address, ...ca, ...own, "Shop.Buy"])).toMatchObject({
      code: 0,
      stdout: "{}\n",
    });
    const unknown = await run([secure.address, "--tls", ...own, "Shop.Buy"]);
    expect(unknown).toMatchObject({ code: 64 + RpcStatus.UNAVAILABLE });
    expect(await run([secure.address, "--insecure", ...own, "Shop.Buy"])).toMatchObject({
      code: 0,
    });
    await secure.provider.close(0);
    pki.remove();
  });
});
