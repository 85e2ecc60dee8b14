import { connect } from "node:net";
import { once } from "node:events";
import { Worker } from "node:worker_threads";
import { afterEach, expect, test } from "vitest";
import { rpcDefaults, rpcLimits } from "../../config/options.js";
import { Connection } from "../../rpc/connection.js";

const ignored = { onData() {}, onEnd() {}, onClosed() {}, onOutputFull() {} };
const deadlineMs = 20_000;

/** Counts what it gets in a thread of its own, so that this one can wait without ending its turn. */
const peer = `
  const { parentPort, workerData } = require("node:worker_threads");
  const server = require("node:net").createServer((socket) =>
    socket.on("data", ({ length }) => {
      Atomics.add(workerData, 0, length);
      Atomics.notify(workerData, 0);
    }));
  server.listen(0, "127.0.0.1", () => parentPort.postMessage(server.address().port));
`;

const ending: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ending.splice(0).toReversed()) await end();
});

async function connected(received: Int32Array): Promise<Connection> {
  const worker = new Worker(peer, { eval: true, workerData: received });
  ending.push(() => worker.terminate());
  const [port] = (await once(worker, "message")) as [number];
  const socket = connect(port, "127.0.0.1");
  ending.push(() => socket.destroy());
  await once(socket, "connect");
  return new Connection(socket, ignored, rpcDefaults);
}

/** Blocks this thread. */
function waitFor(received: Int32Array, bytes: number): void {
  const until = performance.now() + deadlineMs;
  for (;;) {
    const now = Atomics.load(received, 0);
    if (now >= bytes || performance.now() > until) return;
    Atomics.wait(received, 0, now, 100);
  }
}

test("of much output the first part reaches the peer before the turn has ended", async () => {
  const received = new Int32Array(new SharedArrayBuffer(4));
  const connection = await connected(received);
  const piece = new Uint8Array(1024);
  const bytes = 4 * rpcLimits.flushBytes;
  for (let i = 0; i < bytes / piece.length; i++) connection.open().raw(piece);
  waitFor(received, rpcLimits.flushBytes);
  expect(Atomics.load(received, 0)).toBeGreaterThanOrEqual(rpcLimits.flushBytes);
  // All of it in the end, and once.
  await new Promise((resolve) => setImmediate(resolve));
  waitFor(received, bytes);
  expect(Atomics.load(received, 0)).toBe(bytes);
});

test("little output waits for the end of the turn, to leave in one write", async () => {
  const received = new Int32Array(new SharedArrayBuffer(4));
  const connection = await connected(received);
  for (let i = 0; i < 4; i++) connection.open().raw(new Uint8Array(1024));
  expect(connection.flushes).toBe(0);
  await new Promise((resolve) => setImmediate(resolve));
  waitFor(received, 4096);
  expect(connection.flushes).toBe(1);
  expect(Atomics.load(received, 0)).toBe(4096);
});
