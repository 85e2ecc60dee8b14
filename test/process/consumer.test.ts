import { execFile } from "node:child_process";
import { cp, mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

/** Somebody's project that has this package alone: what mprpc-gen writes there compiles and runs. */

const execute = promisify(execFile);
const root = fileURLToPath(new URL("../..", import.meta.url));
const compiler = path.join(root, "node_modules/typescript/bin/tsc");
let dir: string;

const proto = `syntax = "proto3";
package demo;
import "google/protobuf/timestamp.proto";
message class { string delete = 1; }
message Text {
  enum Tone { PLAIN = 0; LOUD = 1; }
  message Part { repeated uint64 numbers = 1; }
  string text = 1;
  int64 count = 2;
  google.protobuf.Timestamp at = 3;
  map<int64, Part> parts = 4;
  oneof choice { int64 number = 5; bytes raw = 6; }
  optional sint64 maybe = 7;
  Tone tone = 8;
  class in = 9;
}
service Echo { rpc Say(Text) returns (Text); rpc Repeat(Text) returns (stream Text); }
service Codec { rpc delete(class) returns (class); }
`;

const sample = (integer: string, suffix: string): string => `
import { MprpcChannel, RpcError, RpcProvider, type MprpcController, type ServerStream } from "mprpc-raft/rpc";
import { Text } from "./gen/messages.js";
import { Codec_, Echo, Echo_Stub, TextCodec } from "./gen/services.js";

class EchoService extends Echo {
  override Say(request: Text, controller: MprpcController): Text.$Properties {
    const count: ${integer} = request.count;
    if (controller.isCanceled()) throw new Error("canceled");
    return { ...request, count: count + 1${suffix}, tone: Text.Tone.LOUD, at: { seconds: 5${suffix} } };
  }
  override async *Repeat({ text, count }: Text): AsyncGenerator<Text.$Properties> {
    for (let left: ${integer} = count; left > 0; left--) yield { text, count: left };
  }
}
// What a wrong type is refused for:
// @ts-expect-error
export const misuse = (stub: Echo_Stub) => stub.Say({ text: 5 });
// @ts-expect-error
export const promised = (stub: Echo_Stub): Promise<Text> => stub.Repeat({});
// @ts-expect-error
class Single extends EchoService { override Repeat(): Text.$Properties { return {}; } }
// @ts-expect-error
class Incomplete extends Codec_ {}

const provider = new RpcProvider();
provider.notifyService(new EchoService());
const { port } = await provider.run("127.0.0.1", 0);
const channel = new MprpcChannel({ host: "127.0.0.1", port });
const reply: Text = await new Echo_Stub(channel).Say({ text: "a", count: 41${suffix}, parts: { 7: { numbers: [2${suffix}] } } });
const failure: unknown = await new Echo_Stub(channel).Say({ count: 0.5 as never }).catch((e: unknown) => e);
console.log(String(reply.count), reply.text, reply.tone, String(reply.at?.seconds), Object.keys(reply.parts));
console.log(failure instanceof RpcError && failure.message, TextCodec.decode(new Uint8Array(0)).text === "");
const stream: ServerStream<Text> = new Echo_Stub(channel).Repeat({ text: "r", count: 2${suffix} });
for await (const { text, count } of stream) console.log(text, String(count));
channel.close();
await provider.close();
`;

async function linkPackage(name: string, target: string): Promise<void> {
  const link = path.join(dir, "node_modules", name);
  await mkdir(path.dirname(link), { recursive: true });
  await symlink(target, link);
}

const installed = (name: string): string =>
  path.dirname(createRequire(path.join(root, "package.json")).resolve(`${name}/package.json`));

beforeAll(async () => {
  dir = await mkdtemp(path.join(tmpdir(), "mprpc-consumer-"));
  const own = path.join(dir, "node_modules/mprpc-raft");
  for (const part of ["package.json", "dist/rpc", "dist/config"]) {
    await cp(path.join(root, part), path.join(own, part), { recursive: true });
  }
  for (const name of ["protobufjs", "protobufjs-cli", "pino"]) {
    await linkPackage(name, installed(name));
  }
  await writeFile(path.join(dir, "package.json"), '{ "type": "module" }');
  await writeFile(path.join(dir, "demo.proto"), proto);
});

afterAll(() => rm(dir, { recursive: true, force: true }));

describe.each([
  ["number", ""],
  ["bigint", "n"],
])("generated code with --int64 %s", (integer, suffix) => {
  it("passes tsc --strict, and runs", async () => {
    const generator = path.join(dir, "node_modules/mprpc-raft/dist/rpc/gen/main.js");
    await rm(path.join(dir, "gen"), { recursive: true, force: true });
    const args = ["--int64", integer, "--out", "gen", "demo.proto"];
    await execute(process.execPath, [generator, ...args], { cwd: dir });
    await writeFile(path.join(dir, "main.ts"), sample(integer, suffix));
    const options = "--strict --target es2022 --module nodenext main.ts".split(" ");
    await execute(process.execPath, [compiler, ...options, "--skipLibCheck"], { cwd: dir });
    const { stdout } = await execute(process.execPath, ["main.js"], { cwd: dir, timeout: 20_000 });
    expect(stdout).toBe("42 a 1 5 [ '7' ]\ndemo.Text.count: 0.5 is out of range true\nr 2\nr 1\n");
  });
});

it("the declarations themselves are sound, for those who check libraries too", async () => {
  await linkPackage("@types/node", installed("@types/node"));
  const options = "--noEmit --strict --target es2022 --module nodenext --types node main.ts";
  const checked = execute(process.execPath, [compiler, ...options.split(" ")], { cwd: dir });
  await expect(checked).resolves.toMatchObject({ stdout: "" });
});
