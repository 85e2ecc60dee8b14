/** A node that more callers want than it may open files. */
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { afterEach, expect, it } from "vitest";
import { Clerk } from "../../clerk/index.js";
import { Cluster } from "./cluster.js";

const filesMax = 256;
const KiB = 1024;
/** Each snapshot and each segment is a file that the node must be able to open. */
const options = [`segmentBytes=${64 * KiB}`, `snapshotLogBytes=${64 * KiB}`];

let cluster: Cluster;
let clerk: Clerk;
const sockets: Socket[] = [];

afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  await clerk.close();
  await cluster.destroy();
});

async function callIn(port: number): Promise<void> {
  const socket = connect(port, "127.0.0.1");
  sockets.push(socket);
  socket.on("error", () => {});
  await Promise.race([once(socket, "connect"), once(socket, "close")]);
}

it("goes on writing its log and its snapshots", async () => {
  cluster = await Cluster.create(1, options);
  const node = cluster.start(0, [], `ulimit -n ${filesMax}`);
  clerk = new Clerk(cluster.nodes);
  await clerk.put("k", "v");
  for (let i = 0; i < 2 * filesMax; i++) await callIn(cluster.ports[0]!);
  const value = Buffer.alloc(4 * KiB);
  for (let i = 0; i < 200; i++) await clerk.put(`key${i}`, value);
  const [one] = await clerk.status();
  expect(one?.status?.SnapshotIndex).toBeGreaterThan(0);
  expect(node.child.exitCode).toBeNull();
  expect(node.output).toContain("connectionsMax");
}, 60_000);
