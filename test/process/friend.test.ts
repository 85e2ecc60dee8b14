import { execFile, spawn, spawnSync, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import path from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterEach, beforeEach, expect, it } from "vitest";

/** examples/friend, as its README says to run it. */

const execute = promisify(execFile);
const root = fileURLToPath(new URL("../..", import.meta.url));
let callee: ChildProcess;
let port: string;

/** What `npm run` would run, without npm between. */
async function script(name: string): Promise<string> {
  const { scripts } = JSON.parse(await readFile(path.join(root, "package.json"), "utf8")) as {
    scripts: Record<string, string>;
  };
  return scripts[name]!.replace(/^node /, "");
}

async function call(user: string, at = port) {
  const run = execute(process.execPath, [await script("example:friend:caller"), user, at], {
    cwd: root,
    timeout: 20_000,
  });
  return run.then(
    ({ stdout, stderr }) => ({ code: 0, stdout, stderr }),
    (error: { code: number; stdout: string; stderr: string }) => error,
  );
}

beforeEach(async () => {
  callee = spawn(process.execPath, [await script("example:friend:callee"), "0"], {
    cwd: root,
    stdio: ["ignore", "pipe", "inherit"],
  });
  const [line] = (await once(createInterface(callee.stdout!), "line")) as [string];
  port = /^FriendService on 127\.0\.0\.1:(\d+)$/.exec(line)![1]!;
});

afterEach(() => callee.kill("SIGKILL"));

it("the caller prints the friends that the callee knows", async () => {
  expect(await call("1000")).toMatchObject({
    code: 0,
    stdout: "1. Ada\n2. Barbara\n3. Grace\n",
    stderr: "",
  });
  expect(await call("7")).toMatchObject({ code: 1, stderr: "refused: there is no user 7\n" });
});

it("the callee stops when it is told to, and then the caller says so", async () => {
  callee.kill("SIGTERM");
  expect(await once(callee, "exit")).toEqual([0, null]);
  const { code, stderr } = await call("1000");
  expect(code).toBe(2);
  expect(stderr).toMatch(/^UNAVAILABLE: .*ECONNREFUSED/);
});

const hasPython = spawnSync("python3", ["--version"]).status === 0;
if (!hasPython) console.log("skipped: the caller in Python: no python3 on the PATH");

it.runIf(hasPython)("a caller in Python gets the same", async () => {
  const { stdout } = await execute("python3", ["-B", "friends.py", "1000", port], {
    cwd: path.join(root, "examples/python"),
    timeout: 20_000,
  });
  expect(stdout).toBe("1. Ada\n2. Barbara\n3. Grace\n");
});
