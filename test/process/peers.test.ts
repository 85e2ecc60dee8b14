import { spawn, type ChildProcess } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { createServer, type Server, type Socket } from "node:net";
import path from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { afterEach, expect, it } from "vitest";
import { FiendServiceRpc_Stub } from "../../examples/friend/gen/services.js";
import { ByteWriter, MprpcChannel, type MprpcChannelOptions } from "../../rpc/index.js";
import { eventually } from "../eventually.js";

/** What a caller sees of a provider that was killed, stopped, or sends garbage. */

const root = fileURLToPath(new URL("../..", import.meta.url));
const closers: (() => unknown)[] = [];

afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close();
});

async function startCallee(): Promise<{ child: ChildProcess; port: number }> {
  const script = path.join(root, "dist/examples/friend/callee.js");
  const child = spawn(process.execPath, [script, "0"], { stdio: ["ignore", "pipe", "inherit"] });
  closers.push(() => child.kill("SIGKILL"));
  const [line] = (await once(createInterface(child.stdout), "line")) as [string];
  return { child, port: Number(line.split(":").at(-1)) };
}

function connect(port: number, options: Partial<MprpcChannelOptions> = {}) {
  const channel = new MprpcChannel({ host: "127.0.0.1", port, ...options });
  closers.push(() => channel.close());
  return new FiendServiceRpc_Stub(channel);
}

async function startGarbage(
  reply: Uint8Array,
  then: (socket: Socket) => void = () => {},
): Promise<number> {
  const server: Server = createServer((socket) => {
    socket.on("error", () => undefined);
    socket.once("data", () => {
      socket.write(reply);
      then(socket);
    });
    closers.push(() => socket.destroy());
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  closers.push(() => server.close());
  return (server.address() as { port: number }).port;
}

const friends = { userid: 1000 };

it("killed with -9: UNAVAILABLE at once, and again while nobody listens", async () => {
  const { child, port } = await startCallee();
  const stub = connect(port);
  await stub.GetFriendsList(friends);
  child.kill("SIGSTOP");
  const call = stub.GetFriendsList(friends, { timeoutMs: 60_000 });
  child.kill("SIGKILL");
  await expect(call).rejects.toMatchObject({ code: "UNAVAILABLE" });
  await expect(stub.GetFriendsList(friends)).rejects.toMatchObject({ code: "UNAVAILABLE" });
});

it("stopped: DEADLINE_EXCEEDED when the caller's time is up, and it serves when it goes on", async () => {
  const { child, port } = await startCallee();
  const stub = connect(port);
  await stub.GetFriendsList(friends);
  child.kill("SIGSTOP");
  await expect(stub.GetFriendsList(friends, { timeoutMs: 200 })).rejects.toMatchObject({
    code: "DEADLINE_EXCEEDED",
  });
  child.kill("SIGCONT");
  await expect(stub.GetFriendsList(friends)).resolves.toMatchObject({ result: { errcode: 0 } });
});

it("stopped for longer than its caller's patience: UNAVAILABLE before the deadline", async () => {
  const { child, port } = await startCallee();
  const stub = connect(port, { keepaliveMs: 100, keepaliveTimeoutMs: 100 });
  await stub.GetFriendsList(friends);
  child.kill("SIGSTOP");
  await expect(stub.GetFriendsList(friends, { timeoutMs: 60_000 })).rejects.toMatchObject({
    code: "UNAVAILABLE",
    message: expect.stringContaining("is gone") as string,
  });
});

it.each([
  ["random bytes behind a good mark", Buffer.concat([Buffer.from([0]), Buffer.alloc(64, 0xff)])],
  ["a header of 4 GiB", Buffer.from([0, 0xff, 0xff, 0xff, 0xff, 0x0f])],
  ["no message of either revision", Buffer.concat([Buffer.from([0x07]), randomBytes(64)])],
  ["HTTP", Buffer.from("HTTP/1.1 400 Bad Request\r\n\r\n")],
])("garbage, %s: UNAVAILABLE that says so", async (_name, reply) => {
  const stub = connect(await startGarbage(reply));
  await expect(stub.GetFriendsList(friends, { timeoutMs: 20_000 })).rejects.toMatchObject({
    code: "UNAVAILABLE",
    message: expect.stringMatching(/sent garbage/) as string,
  });
});

/** The header of a reply to the first call of a channel, which promises `size` bytes. */
function promise(size: number): Buffer {
  const header = new ByteWriter().field(0x08, 1024).field(0x20, size).finish();
  return new ByteWriter().byte(0).bytes(header).finish();
}

it("a reply of 4 GiB: RESOURCE_EXHAUSTED at once", async () => {
  const stub = connect(await startGarbage(promise(0xffff_ffff)));
  await expect(stub.GetFriendsList(friends, { timeoutMs: 60_000 })).rejects.toMatchObject({
    code: "RESOURCE_EXHAUSTED",
    message: expect.stringContaining("the reply takes 4294967295 bytes") as string,
  });
});

it("a reply that comes a byte now and then: DEADLINE_EXCEEDED", async () => {
  const port = await startGarbage(promise(1_000), (socket) => {
    const drip = setInterval(() => socket.write(Buffer.of(0)), 20);
    socket.on("close", () => clearInterval(drip));
  });
  const call = connect(port).GetFriendsList(friends, { timeoutMs: 300 });
  await expect(call).rejects.toMatchObject({ code: "DEADLINE_EXCEEDED" });
});

it("stopped before it was ever heard of: DEADLINE_EXCEEDED, and it serves when it goes on", async () => {
  const { child, port } = await startCallee();
  child.kill("SIGSTOP");
  const stub = connect(port);
  await expect(stub.GetFriendsList(friends, { timeoutMs: 200 })).rejects.toMatchObject({
    code: "DEADLINE_EXCEEDED",
  });
  child.kill("SIGCONT");
  // A server that has never said anything is backed off from.
  const reply = await eventually("it serves", () =>
    stub.GetFriendsList(friends).catch(() => undefined),
  );
  expect(reply).toMatchObject({ result: { errcode: 0 } });
});

it("half a reply, and then nothing: DEADLINE_EXCEEDED", async () => {
  const stub = connect(await startGarbage(Buffer.from([0, 4, 8])));
  await expect(stub.GetFriendsList(friends, { timeoutMs: 300 })).rejects.toMatchObject({
    code: "DEADLINE_EXCEEDED",
  });
});
