import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, it } from "vitest";
import { Cluster, freePorts } from "./cluster.js";

/** What README.md and docs/rpc.md show is run as it stands, but for ports and paths. */

const execute = promisify(execFile);
const root = fileURLToPath(new URL("../..", import.meta.url));
let dir: string;
let readme: string;

beforeAll(async () => {
  readme = await readFile(path.join(root, "README.md"), "utf8");
  // Below the package, so that `mprpc-raft/...` is found as from a project that depends on it.
  await mkdir(path.join(root, "dist"), { recursive: true });
  dir = await mkdtemp(path.join(root, "dist", "readme-"));
});

afterAll(() => rm(dir, { recursive: true, force: true }));

/** The code block of `language` after the heading. */
function snippet(heading: string, language: string): string {
  const section = readme.slice(readme.indexOf(`## ${heading}`));
  const start = section.indexOf(`\`\`\`${language}\n`) + language.length + 4;
  return section.slice(start, section.indexOf("```", start));
}

/** All code blocks of `language` in a page, one after the other. */
function blocks(page: string, language: string): string {
  const found = page.matchAll(new RegExp(`^\`\`\`${language}\n(.*?)^\`\`\`$`, "gms"));
  return [...found].map(([, block]) => block).join("");
}

async function generate(name: string, proto: string): Promise<void> {
  await writeFile(path.join(dir, name), proto);
  const generator = path.join(root, "dist/rpc/gen/main.js");
  await execute(process.execPath, [generator, "--out", "gen", name], { cwd: dir });
}

async function run(code: string): Promise<string> {
  const file = path.join(dir, "snippet.mjs");
  await writeFile(file, code);
  return (await execute(process.execPath, [file], { cwd: dir, timeout: 20_000 })).stdout;
}

it("the Clerk", async () => {
  const cluster = await Cluster.create(1);
  cluster.start(0);
  const code = snippet("The Clerk", "ts").replace("config/nodes.conf", cluster.nodesFile);
  expect(await run(code)).toBe("12\n");
  await cluster.destroy();
});

it("a service of your own", async () => {
  const start = readme.indexOf("## A service of your own");
  const section = readme.slice(start, readme.indexOf("\n## ", start + 1));
  const [port] = await freePorts(1);
  const [server, client] = [...section.matchAll(/^```ts\n(.*?)^```$/gms)].map(([, code]) =>
    code!.replace("7788", `${port}`),
  );
  await generate("echo.proto", blocks(section, "proto"));
  await writeFile(path.join(dir, "server.ts"), server!);
  await writeFile(path.join(dir, "client.ts"), client!);
  const [, options] = /^npx tsc (.*)$/m.exec(section)!;
  const compiler = path.join(root, "node_modules/typescript/bin/tsc");
  // The folder of a reader has no tsconfig.json; above this one is the package's.
  const args = [compiler, "--ignoreConfig", ...options!.split(" ")];
  await execute(process.execPath, args, { cwd: dir });

  const running = spawn(process.execPath, ["server.js"], { cwd: dir });
  const [line] = (await once(createInterface(running.stdout), "line")) as [string];
  expect(line).toBe(`listening on 127.0.0.1:${port}`);
  const called = await execute(process.execPath, ["client.js"], { cwd: dir, timeout: 20_000 });
  expect(called).toEqual({ stdout: "hello!\na\nb\nc\n", stderr: "" });
  const commands = [...section.matchAll(/^npx mprpc-call 127.0.0.1:7788 (.*)$/gm)];
  const outputs = commands.map(([, words]) => callByHand(port!, words!));
  expect(await Promise.all(outputs)).toEqual([
    expect.stringContaining("demo.Echo\n"),
    expect.stringContaining("rpc Spell(demo.Text) returns (stream demo.Text);\n"),
    '{"text":"hello!"}\n',
  ]);
  running.kill("SIGINT");
  expect(await once(running, "exit")).toEqual([0, null]);
});

async function callByHand(port: number, words: string): Promise<string> {
  const script = path.join(root, "dist/rpc/call/main.js");
  const args = words.split(" ").map((word) => word.replaceAll("'", ""));
  const address = `127.0.0.1:${port}`;
  return (await execute(process.execPath, [script, address, ...args], { timeout: 20_000 })).stdout;
}

it("Raft under a state machine of your own", async () => {
  const [port] = await freePorts(1);
  const code = snippet("Raft under a state machine of your own", "ts").replace("7101", `${port}`);
  expect(await run(code)).toBe("entry 2: 42\n");
});

it("docs/rpc.md is a program that prints what it says", async () => {
  const page = await readFile(path.join(root, "docs/rpc.md"), "utf8");
  await generate("shop.proto", blocks(page, "proto"));
  expect(await run(blocks(page, "ts"))).toBe(blocks(page, "text"));
});
