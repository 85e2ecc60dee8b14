import { connect, createServer, type Socket } from "node:net";
import { once } from "node:events";
import { afterEach, expect, test } from "vitest";
import { kvServerRpcMethods, type GetReply } from "../../proto/index.js";
import { MprpcController, RpcStatus, type MprpcChannel } from "../../rpc/index.js";
import { Prng } from "../sim/prng.js";
import { bytes, closeAll, closeLater, openChannel, startProvider, text, until } from "./support.js";

afterEach(closeAll);

/** `npm run soak:rpc` sets it. */
const seconds = Number(process.env["SOAK_SECONDS"] ?? 2);
const seed = Number(process.env["SOAK_SEED"] ?? 1);
const lanes = 32;

/** A relay that cuts connections: all of them, one, or one after a part of what it carries. */
async function startRelay(port: number, prng: Prng) {
  const pairs = new Set<readonly [Socket, Socket]>();
  let cuts = 0;
  const server = createServer((near) => {
    const far = connect({ host: "127.0.0.1", port });
    const pair = [near, far] as const;
    pairs.add(pair);
    const end = (): void => {
      pairs.delete(pair);
      for (const socket of pair) socket.destroy();
    };
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      from.on("error", () => undefined);
      from.on("close", end);
      from.on("data", (chunk: Buffer) => {
        if (!prng.chance(0.002)) {
          to.write(chunk);
          return;
        }
        cuts++;
        to.write(chunk.subarray(0, prng.int(0, chunk.length)), end);
      });
    }
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  closeLater(() => server.close());
  const cutAll = (): void => {
    for (const pair of pairs) {
      cuts++;
      for (const socket of pair) socket.resetAndDestroy();
    }
  };
  return { port: (server.address() as { port: number }).port, cutAll, cuts: () => cuts };
}

interface Outcome {
  dones: number;
  status: RpcStatus;
  notSent: boolean;
  value: string;
}

function call(channel: MprpcChannel, key: string, outcome: Outcome, prng: Prng): Promise<void> {
  const controller = new MprpcController({ timeoutMs: prng.pick([5, 50, 5_000]) });
  return new Promise((resolve) => {
    const done = (reply: GetReply | null): void => {
      outcome.dones++;
      outcome.status = controller.status;
      outcome.notSent = controller.notSent;
      if (reply !== null) outcome.value = text(reply.Value);
      resolve();
    };
    channel.callMethod(kvServerRpcMethods.Get, controller, { Key: bytes(key) }, done);
    if (prng.chance(0.05)) setTimeout(() => controller.startCancel(), prng.int(0, 20));
  });
}

test(
  `connections are cut for ${seconds} s: every call ends once, with its own reply or none (seed ${seed})`,
  async () => {
    const prng = new Prng(seed);
    const { port, provider, service } = await startProvider();
    const ran = new Set<string>();
    let twice = 0;
    service.get = async ({ Key }) => {
      const key = text(Key);
      if (ran.has(key)) twice++;
      ran.add(key);
      if (prng.chance(0.2)) await new Promise((resolve) => setTimeout(resolve, prng.int(0, 30)));
      return { Value: Key };
    };
    const relay = await startRelay(port, prng);
    const channels = [1, 2, 3].map(() =>
      openChannel(relay.port, { backoffMsMin: 1, backoffMsMax: 5 }),
    );
    const outcomes = new Map<string, Outcome>();
    const endsAt = performance.now() + seconds * 1000;
    const lane = async (): Promise<void> => {
      while (performance.now() < endsAt) {
        const key = `call ${outcomes.size}`;
        const outcome = { dones: 0, status: RpcStatus.OK, notSent: false, value: "" };
        outcomes.set(key, outcome);
        await call(prng.pick(channels), key, outcome, prng);
      }
    };
    const cutting = setInterval(relay.cutAll, 100);
    await Promise.all(Array.from({ length: lanes }, lane));
    clearInterval(cutting);
    // What was canceled or timed out may have a reply under way: it must change nothing any more.
    for (const channel of channels) channel.close();
    await until(() => provider.connections === 0, "all callers are gone");

    const all = [...outcomes];
    expect(all.filter(([, { dones }]) => dones !== 1)).toEqual([]);
    const answered = all.filter(([, { status }]) => status === RpcStatus.OK);
    expect(answered.filter(([key, { value }]) => value !== key)).toEqual([]);
    expect(all.filter(([key, { notSent }]) => notSent && ran.has(key))).toEqual([]);
    expect(twice).toBe(0);
    const kinds = new Set(all.map(([, { status }]) => status));
    const { OK, CANCELLED, DEADLINE_EXCEEDED, UNAVAILABLE } = RpcStatus;
    expect([...kinds].toSorted((a, b) => a - b)).toEqual(
      [OK, CANCELLED, DEADLINE_EXCEEDED, UNAVAILABLE].filter((status) => kinds.has(status)),
    );
    expect(relay.cuts()).toBeGreaterThan(0);
    expect(answered.length).toBeGreaterThan(all.length / 10);
    console.log(
      `${all.length} calls, ${answered.length} answered, ${ran.size} run, ${relay.cuts()} connections cut`,
    );
  },
  (seconds + 30) * 1000,
);
