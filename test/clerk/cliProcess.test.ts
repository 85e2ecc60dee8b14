import { spawn } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { formatNodeList } from "../../config/mprpcConfig.js";
import { ExactlyOnceModel } from "./exactlyOnceModel.js";
import { ServiceCluster } from "./kvServices.js";

/** Built by `npm run build`, as users have it. */
const script = path.resolve("dist/clerk/cli.js");

interface Ran {
  readonly code: number | null;
  readonly out: Buffer;
  readonly err: string;
}

describe("the command line as a process", () => {
  const model = new ExactlyOnceModel();
  let cluster: ServiceCluster;
  let folder: string;

  beforeAll(async () => {
    cluster = await ServiceCluster.start(2, model);
    folder = await mkdtemp(path.join(tmpdir(), "clerk-cli-"));
    await writeFile(path.join(folder, "nodes.conf"), formatNodeList(cluster.nodes));
  });

  afterAll(async () => {
    await cluster.stop();
    await rm(folder, { recursive: true });
  });

  function run(args: readonly string[], stdin: Uint8Array = Buffer.alloc(0)): Promise<Ran> {
    const list = path.join(folder, "nodes.conf");
    const child = spawn(process.execPath, [script, "-f", list, ...args]);
    const out: Buffer[] = [];
    const err: Buffer[] = [];
    child.stdout.on("data", (chunk: Buffer) => out.push(chunk));
    child.stderr.on("data", (chunk: Buffer) => err.push(chunk));
    child.stdin.end(stdin);
    return new Promise((resolve, reject) => {
      child.on("error", reject);
      child.on("close", (code) =>
        resolve({ code, out: Buffer.concat(out), err: Buffer.concat(err).toString() }),
      );
    });
  }

  it("puts what stdin has, gets it, and ends by itself", async () => {
    const value = "line\n".repeat(100_000);
    expect(await run(["put", "x", "-"], Buffer.from(value))).toMatchObject({ code: 0, err: "" });
    const got = await run(["get", "x"]);
    expect(got).toMatchObject({ code: 0, err: "" });
    expect(got.out.toString()).toBe(`${value}\n`);
  });

  it("has a version and an exit code for each kind of failure", async () => {
    expect((await run(["--version"])).out.toString()).toMatch(/^[0-9]+\.[0-9]+\.[0-9]+\n$/);
    expect(await run(["get", "missing"])).toMatchObject({ code: 1 });
    expect(await run(["nonsense"])).toMatchObject({ code: 2 });
  });

  it("ends quietly when nobody reads its output", async () => {
    await run(["put", "large", "-"], Buffer.alloc(3_000_000, "v"));
    const list = path.join(folder, "nodes.conf");
    const child = spawn(process.execPath, [script, "-f", list, "get", "large"]);
    let err = "";
    child.stderr.on("data", (chunk: Buffer) => (err += chunk.toString()));
    child.stdout.once("data", () => child.stdout.destroy());
    const code = await new Promise((resolve) => child.on("close", resolve));
    expect({ code, err }).toEqual({ code: 1, err: "" });
  });
});
