import { spawn } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { eventually } from "../eventually.js";
import { mainScript } from "./cluster.js";

interface Launched {
  readonly pid: number;
  readonly nodePids: readonly number[];
  readonly ended: Promise<number | null>;
}

/** Starts a cluster of three as a user would, and waits until it is ready. */
async function launchThree(): Promise<Launched> {
  const dir = await mkdtemp(path.join(tmpdir(), "kv-launcher-"));
  const args = [mainScript, "-n", "3", "-f", path.join(dir, "nodes.conf")];
  const child = spawn(process.execPath, [...args, "--data-dir", path.join(dir, "data")], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  let output = "";
  child.stdout.on("data", (chunk: Buffer) => (output += chunk.toString()));
  const ended = new Promise<number | null>((resolve) => child.once("exit", resolve));
  await eventually("the cluster is ready", async () => output.includes("Ctrl-C"));
  expect(await readFile(path.join(dir, "nodes.conf"), "utf8")).toContain("node2port=");
  const nodePids = [...output.matchAll(/pid ([0-9]+)/g)].map(([, pid]) => Number(pid));
  onTestFinished(async () => {
    const left = [child.pid!, ...nodePids];
    for (const pid of left.filter(isAlive)) process.kill(pid, "SIGKILL");
    await eventually("all processes are gone", async () => !left.some(isAlive));
    await rm(dir, { recursive: true });
  });
  expect(nodePids.length).toBe(3);
  return { pid: child.pid!, nodePids, ended };
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

describe("a launched cluster", () => {
  test("ends on Ctrl-C, with exit code 0", async () => {
    const launched = await launchThree();
    process.kill(launched.pid, "SIGINT");
    expect(await launched.ended).toBe(0);
    expect(launched.nodePids.filter(isAlive)).toEqual([]);
  });

  test("leaves no node behind when the launcher is killed with -9", async () => {
    const launched = await launchThree();
    process.kill(launched.pid, "SIGKILL");
    await eventually("all nodes are gone", async () => !launched.nodePids.some(isAlive));
    expect(await launched.ended).toBeNull();
  });
});
