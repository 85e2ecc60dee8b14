import { spawn, type ChildProcess } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { createInterface } from "node:readline";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { MprpcChannel } from "../../rpc/index.js";
import { Health_Stub } from "../../rpc/services/index.js";
import { frame } from "../rpc/support.js";
import { eventually } from "../eventually.js";

/** What a provider suffers from its callers: each is let go, and costs it little memory. */

const MiB = 1 << 20;
const dist = new URL("../../dist/", import.meta.url).href;
const closers: (() => unknown)[] = [];

/** One for all: what such callers leave behind would be felt by those after them. */
let child: ChildProcess;
let port: number;

beforeAll(async () => {
  ({ child, port } = await startProvider());
});
afterAll(() => child.kill("SIGKILL"));
afterEach(() => {
  for (const close of closers.splice(0).toReversed()) close();
});

const script = `
  const { RpcProvider } = await import(process.argv[1] + "rpc/index.js");
  const { HealthService } = await import(process.argv[1] + "rpc/services/index.js");
  const limits = { frameTimeoutMs: 400, slowReaderTimeoutMs: 400, outputBytesMax: 65_536 };
  const provider = new RpcProvider(limits);
  provider.notifyService(new HealthService());
  console.log((await provider.run("127.0.0.1", 0)).port);
`;

async function startProvider(): Promise<{ child: ChildProcess; port: number }> {
  const args = ["--input-type=module", "-e", script, dist];
  const provider = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
  const [line] = (await once(createInterface(provider.stdout), "line")) as [string];
  return { child: provider, port: Number(line) };
}

function residentBytes({ pid }: ChildProcess): number {
  const [, kilobytes] = /VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))!;
  return Number(kilobytes) * 1024;
}

const names = { service_name: Buffer.from("Health"), method_name: Buffer.from("Check") };
const request = frame({ ...names, call_id: 1 });
/** A request of which all the names are there, and none of its 4 GiB of arguments. */
const huge = frame({ ...names, call_id: 1, args_size: 0xffff_ffff });
const large = frame({ ...names, call_id: 1, args_size: 4 * MiB });

/** Calls that are answered by an error text of a thousand characters each: more than the kernel holds. */
const unknown = frame({ service_name: Buffer.alloc(1_000, "x"), call_id: 1 });
const wordy = Buffer.alloc(10_000 * unknown.length, unknown);

const drip = (socket: Socket): void => {
  socket.write(large);
  const timer = setInterval(() => socket.write(Buffer.of(0)), 50);
  socket.on("close", () => clearInterval(timer));
};
const misdeeds: [string, (socket: Socket) => void][] = [
  ["random bytes", (socket) => socket.write(Buffer.concat([Buffer.of(0x30), randomBytes(1_000)]))],
  ["a header of 4 GiB", (socket) => socket.write(Buffer.from("ffffffff0f", "hex"))],
  ["HTTP", (socket) => socket.write("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")],
  ["half a header", (socket) => socket.write(request.subarray(0, 5))],
  ["a request that comes a byte now and then", drip],
  ["4 GiB of arguments, a part of them", (socket) => feed(socket, [huge, Buffer.alloc(MiB)])],
  ["most of a large request", (socket) => feed(socket, [large, Buffer.alloc(MiB)])],
  ["calls whose replies it never takes", (socket) => feed(socket.pause(), [wordy, wordy])],
];

function feed(socket: Socket, parts: readonly Buffer[]): void {
  for (const part of parts) socket.write(part);
}

test.each(misdeeds)(
  "%s: ten such callers are let go, the others served",
  { timeout: 20_000 },
  async (_name, misbehave) => {
    const channel = new MprpcChannel({ host: "127.0.0.1", port });
    closers.push(() => channel.close());
    const health = new Health_Stub(channel);
    await health.Check({});
    const before = residentBytes(child);
    let gone = 0;
    for (let caller = 0; caller < 10; caller++) {
      const socket = connect({ host: "127.0.0.1", port });
      closers.push(() => socket.destroy());
      socket.on("error", () => {});
      socket.on("close", () => gone++);
      misbehave(socket);
    }
    let most = 0;
    await eventually("all are gone", async () => {
      await health.Check({});
      most = Math.max(most, residentBytes(child));
      return gone === 10;
    });
    // What ten large requests have sent is 10 MiB, and a heap takes its time to give it back.
    expect(most - before).toBeLessThan(128 * MiB);
  },
);
