import { spawn, spawnSync } from "node:child_process";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";

/** Namespaces want root, and the three commands; where they can't be had there is a reason to print. */

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "../../..");
const config = path.join(root, "vitest.netns.config.ts");
const vitest = path.join(root, "node_modules/vitest/vitest.mjs");
/** Whatever a namespace needs, on interfaces that end with it. */
const attempt =
  "ip link add br0 type bridge && ip link add v0 type veth peer name v1 && " +
  "nsenter --net --target $$ true";
const { status, stderr } = spawnSync("unshare", ["--net", "bash", "-c", attempt]);
const isPossible = status === 0;
if (!isPossible) {
  const why = stderr?.toString().trim().split("\n").at(-1) ?? "";
  console.log(`skipped: no network namespaces here: ${why === "" ? "no unshare" : why}`);
}

it.runIf(isPossible)(
  "real nodes keep their promises in a network that loses them",
  async () => {
    const args = ["--net", process.execPath, vitest, "run", "--root", root, "--config", config];
    const child = spawn("unshare", args, { stdio: ["ignore", "pipe", "pipe"] });
    let output = "";
    const keep = (chunk: Buffer): void => void (output += chunk.toString());
    child.stdout.on("data", keep);
    child.stderr.on("data", keep);
    const code = await new Promise((resolve) => child.once("close", resolve));
    expect({ code, output }).toMatchObject({ code: 0 });
  },
  300_000,
);
