import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { afterEach, expect, test } from "vitest";
import { rpcDefaults, rpcLimits } from "../../config/options.js";
import { Connection } from "../../rpc/connection.js";
import { closeAll, closeLater, rawServer, until } from "./support.js";

afterEach(closeAll);

const ignored = { onData() {}, onEnd() {}, onClosed() {}, onOutputFull() {} };

async function connected(onPeer: (socket: Socket) => void): Promise<Connection> {
  const server = await rawServer(({ socket }) => onPeer(socket));
  const socket = connect(server.port, "127.0.0.1");
  closeLater(() => socket.destroy());
  await once(socket, "connect");
  return new Connection(socket, ignored, rpcDefaults);
}

test("what is lent and what is copied arrive in order, from a peer that takes it slowly too", async () => {
  const peers: Socket[] = [];
  const sent = createHash("sha256");
  const received = createHash("sha256");
  let receivedBytes = 0;
  const connection = await connected((socket) => {
    peers.push(socket);
    socket.pause();
    socket.on("data", (chunk: Buffer) => {
      received.update(chunk);
      receivedBytes += chunk.length;
    });
  });
  const sizes = [0, 10, rpcLimits.lentBytesMin, 100_000, rpcLimits.socketWriteBytesMax, 3_000_000];
  let bytes = 0;
  for (let turn = 0; turn < 4; turn++) {
    for (const size of sizes) {
      const value = randomBytes(size);
      const writer = connection.open();
      const before = writer.length;
      writer.byte(turn).lend(value).byte(turn);
      bytes += writer.length - before;
      sent.update(Uint8Array.of(turn)).update(varint(size)).update(value);
      sent.update(Uint8Array.of(turn));
    }
    await new Promise((resolve) => setImmediate(resolve));
  }
  await until(() => peers.length === 1, "the peer is there");
  expect(connection.outputBytes).toBeGreaterThan(0);
  peers[0]!.resume();
  await until(() => receivedBytes === bytes, "all has arrived");
  expect(received.digest("hex")).toBe(sent.digest("hex"));
  await until(() => connection.outputBytes === 0, "nothing waits any more");
});

function varint(value: number): Uint8Array {
  const bytes: number[] = [];
  let rest = value;
  for (; rest > 0x7f; rest >>>= 7) bytes.push((rest & 0x7f) | 0x80);
  return Uint8Array.from([...bytes, rest]);
}
