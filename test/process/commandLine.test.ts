import { spawn, type ChildProcess } from "node:child_process";
import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { eventually } from "../eventually.js";
import { cliScript, freePorts, mainScript } from "./cluster.js";

/** The commands as a user types them. */

let dir: string;
const children = new Set<ChildProcess>();

beforeEach(async () => {
  dir = await mkdtemp(path.join(tmpdir(), "kv-cli-"));
});

afterEach(async () => {
  for (const child of children) child.kill("SIGKILL");
  await rm(dir, { recursive: true, force: true, maxRetries: 10 });
});

interface Run {
  readonly child: ChildProcess;
  readonly exit: Promise<number | null>;
  out: string;
  err: string;
}

function run(script: string, ...args: string[]): Run {
  const child = spawn(process.execPath, [script, ...args], { cwd: dir });
  children.add(child);
  const exit = new Promise<number | null>((resolve) =>
    child.once("close", (code) => {
      children.delete(child);
      resolve(code);
    }),
  );
  const result: Run = { child, exit, out: "", err: "" };
  child.stdout.on("data", (chunk: Buffer) => (result.out += chunk.toString()));
  child.stderr.on("data", (chunk: Buffer) => (result.err += chunk.toString()));
  return result;
}

async function ends(started: Run): Promise<{ code: number | null; out: string; err: string }> {
  const code = await started.exit;
  return { code, out: started.out, err: started.err };
}

function clerk(...args: string[]): Promise<{ code: number | null; out: string; err: string }> {
  return ends(run(cliScript, "-f", "nodes.conf", ...args));
}

async function ready(started: Run): Promise<void> {
  await eventually("the cluster to be ready", async () => started.out.includes("leads"));
}

describe("every node of a list", () => {
  it("starts, serves, stops on Ctrl-C, and finds its data again", async () => {
    const first = run(mainScript, "-n", "3", "-f", "nodes.conf");
    await ready(first);
    expect(first.out).toMatch(/node 2 {2}127\.0\.0\.1:\d+ {2}pid \d+/);
    expect(first.out).toContain("./data");
    await eventually("the hints below it", async () => first.out.includes("put x 1"));
    expect(await clerk("put", "x", "1")).toMatchObject({ code: 0 });
    expect(await clerk("append", "x", "2")).toMatchObject({ code: 0 });
    expect(await clerk("get", "x")).toMatchObject({ code: 0, out: "12\n" });
    const missing = await clerk("get", "nope");
    expect(missing).toMatchObject({ code: 1, out: "" });
    expect(missing.err.trim().split("\n")).toHaveLength(1);
    first.child.kill("SIGINT");
    expect(await first.exit).toBe(0);

    const second = run(mainScript, "-f", "nodes.conf");
    await ready(second);
    expect(await clerk("get", "x")).toMatchObject({ code: 0, out: "12\n" });
    second.child.kill("SIGTERM");
    expect(await second.exit).toBe(0);
    expect(
      (await readdir(path.join(dir, "data"))).filter((name) => /^node\d$/.test(name)),
    ).toHaveLength(3);
  });

  it("says so when one dies, and does not start it again", async () => {
    const all = run(mainScript, "-n", "3", "-f", "nodes.conf");
    await ready(all);
    const pid = Number(/node 1 .*pid (\d+)/.exec(all.out)![1]);
    process.kill(pid, "SIGKILL");
    await eventually("the report", async () =>
      all.err.includes("Node 1 ended with signal SIGKILL"),
    );
    expect(await clerk("put", "x", "1")).toMatchObject({ code: 0 });
    all.child.kill("SIGINT");
    expect(await all.exit).toBe(0);
  });

  it("leaves no node behind when it is killed itself", async () => {
    const all = run(mainScript, "-n", "1", "-f", "nodes.conf");
    await ready(all);
    const pid = Number(/pid (\d+)/.exec(all.out)![1]);
    all.child.kill("SIGKILL");
    await eventually("the node to end", async () => !alive(pid));
    expect(alive(pid)).toBe(false);
  });
});

function alive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

async function expectRefusal(code: number, words: string, ...args: string[]): Promise<void> {
  const result = await ends(run(mainScript, ...args));
  expect(result).toMatchObject({ code, out: "" });
  expect(result.err).toContain(words);
  expect(result.err.trim().split("\n")).toHaveLength(1);
}

describe("what can't be run", () => {
  it("is told in one line that names the thing", async () => {
    await writeFile(path.join(dir, "gap.conf"), "node0ip=a\nnode0port=1\nnode2ip=b\nnode2port=2\n");
    await writeFile(path.join(dir, "one.conf"), "node0ip=127.0.0.1\nnode0port=1\n");
    await expectRefusal(2, "-f FILE");
    await expectRefusal(2, "--bogus", "-f", "one.conf", "--bogus");
    await expectRefusal(1, "missing.conf", "-f", "missing.conf");
    await expectRefusal(1, "gap.conf:3", "-f", "gap.conf");
    await expectRefusal(1, "no node 5", "-f", "one.conf", "-i", "5");
    await expectRefusal(1, "one.conf", "-n", "3", "-f", "one.conf");
    await expectRefusal(77, "one.conf", "-f", "one.conf", "-i", "0", "--data-dir", "one.conf");
  });

  it("a port in use and a locked data directory among it", async () => {
    const [port] = await freePorts(1);
    await writeFile(path.join(dir, "one.conf"), `node0ip=127.0.0.1\nnode0port=${port}\n`);
    const first = run(mainScript, "-f", "one.conf", "-i", "0");
    await eventually("the node to serve", async () => first.out.includes("serves"));
    await expectRefusal(1, `${port}`, "-f", "one.conf", "-i", "0", "--data-dir", "other");
    await expectRefusal(77, "in use", "-f", "one.conf", "-i", "0");
    const launched = await ends(run(mainScript, "-f", "one.conf"));
    expect(launched.code).toBe(1);
    expect(launched.err).toContain("in use");
    first.child.kill("SIGTERM");
    expect(await first.exit).toBe(0);
  });

  it("answers --help and --version", async () => {
    expect((await ends(run(mainScript, "--help"))).out).toContain("--data-dir");
    expect((await ends(run(mainScript, "--version"))).out).toMatch(/^\d+\.\d+\.\d+\n$/);
  });
});
