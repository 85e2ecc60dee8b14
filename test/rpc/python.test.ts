import { execFile, spawnSync } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { promisify } from "node:util";
import { afterEach, describe, expect, test } from "vitest";
import type { GetReply } from "../../proto/index.js";
import { RpcError, RpcStatus, type MprpcController } from "../../rpc/index.js";
import { closeAll, closeLater, text, until } from "./support.js";
import { endless, startFeed, texts } from "./streamSupport.js";

/** The second language: a client that knows docs/wire.md alone, against a provider. */

const noPython = spawnSync("python3", ["--version"]).status === 0 ? "" : "no python3 on the PATH";
if (noPython !== "") console.log(`skipped: the client in Python: ${noPython}`);

const execute = promisify(execFile);
const detail = { type: "shop.v1.Gone", value: Uint8Array.of(8, 7) };

afterEach(closeAll);

/** Runs the scenario, without leaving compiled modules in the tree. */
async function runScenario(port: number): Promise<unknown> {
  const cache = await mkdtemp(path.join(tmpdir(), "mprpc-python-"));
  closeLater(() => rm(cache, { recursive: true, force: true }));
  const { stdout } = await execute("python3", ["test/rpc/python/scenario.py", String(port)], {
    env: { ...process.env, PYTHONPYCACHEPREFIX: cache },
    timeout: 20_000,
  });
  return JSON.parse(stdout);
}

const metadata = (key: string, value: string) => ({ key, value: Buffer.from(value) });

describe.runIf(noPython === "")("a client in Python", () => {
  test("calls, cancels, streams and drains as docs/wire.md says", async () => {
    const { provider, feed, port, errors } = await startFeed();
    const canceled: MprpcController[] = [];
    let oneWay = 0;
    const drained: Promise<void>[] = [];
    const commands: Record<string, (c: MprpcController) => Promise<GetReply.$Properties> | null> = {
      fail: () => {
        throw new RpcError(RpcStatus.FAILED_PRECONDITION, "gone", { details: [detail] });
      },
      wait: () => new Promise(() => {}),
      "wait until canceled": (controller) => {
        canceled.push(controller);
        return new Promise(() => {});
      },
      "one-way": () => {
        oneWay++;
        return null;
      },
      drain: () => {
        drained.push(provider.close(500));
        return null;
      },
    };
    feed.get = ({ Key }, controller) => {
      controller.replyMetadata = controller.metadata;
      return commands[text(Key)]?.(controller) ?? { Value: Key };
    };
    const flood = endless(100);
    feed.watch = ({ Key }, controller) => {
      if (text(Key) === "endless") return flood.iterable;
      if (text(Key) === "fail") throw new RpcError(RpcStatus.ABORTED, "no stream");
      controller.replyMetadata = [metadata("begin", "1")];
      controller.trailingMetadata = [metadata("end", "2")];
      return texts(...Array.from({ length: 50 }, (_, n) => `message ${n}`));
    };

    expect(await runScenario(port)).toEqual({
      unary: ["one", [["token", "t1"]]],
      many: true,
      large: 1_000_000,
      detail: ["FAILED_PRECONDITION", "gone", [["shop.v1.Gone", "0807"]], false],
      unknown: "UNIMPLEMENTED",
      deadline: "DEADLINE_EXCEEDED",
      stream: Array.from({ length: 50 }, (_, n) => `message ${n}`),
      initial: [["begin", "1"]],
      trailing: [null, [["end", "2"]]],
      streamFailed: "ABORTED",
      pingsAnswered: 1,
      refused: ["UNAVAILABLE", true],
    });
    expect(oneWay).toBe(1);
    expect(canceled.map((controller) => controller.isCanceled())).toEqual([true]);
    await until(() => flood.closed === 1, "the end of the stream that was left");
    // The server went ahead of what was taken by no more than a window of messages.
    expect(flood.made).toBeLessThan(10_000 + 65_536 / 100);
    await Promise.all(drained);
    expect(errors).toEqual([]);
  });
});
