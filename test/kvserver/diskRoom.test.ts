import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import type { Logger } from "../../config/logger.js";
import { silentLogger } from "../../config/logger.js";
import { KvServer } from "../../kvserver/kvServer.js";
import { kvServerRpcMethods, type raftKVRpcProctoc } from "../../proto/index.js";
import { nodeFs } from "../../raft/persister/nodeFs.js";
import { WalPersister } from "../../raft/persister/walPersister.js";
import { MprpcController } from "../../rpc/mprpcController.js";
import type { MethodDescriptor } from "../../rpc/service.js";
import { RpcStatus } from "../../rpc/status.js";
import { eventually } from "../eventually.js";

/** One KvServer on a real data directory, whose disk is as full as the test says. */

const MiB = 1024 * 1024;
const reserve = 4 * MiB;

let dir: string;
let server: KvServer;
let persister: WalPersister;
let free = 100 * MiB;
let look: () => void = () => {};
let warned: string[] = [];

beforeEach(async () => {
  dir = await mkdtemp(path.join(tmpdir(), "disk-room-"));
  free = 100 * MiB;
  warned = [];
  persister = await WalPersister.open(dir, {
    nodeId: 0,
    segmentBytes: 65_536,
    diskReserveBytes: reserve,
    fs: { ...nodeFs, freeBytes: async () => free },
    every: (_ms, task) => {
      look = task;
      return () => {};
    },
  });
  const log: Logger = { ...silentLogger, warn: (_fields, text) => warned.push(text) };
  const options = {
    snapshotLogBytes: 100_000,
    snapshotLogBytesMax: 100_000,
    trailingEntries: 5,
  };
  server = new KvServer({ options, log });
  server.start([null], 0, persister);
  await eventually("a leader", async () => server.raft.getState().isLeader);
});

afterEach(async () => {
  await server.stop();
  await persister.close();
  await rm(dir, { recursive: true, force: true });
});

interface Outcome<Response> {
  readonly status: RpcStatus;
  readonly text: string;
  readonly response: Response;
}

function call<Response>(
  method: MethodDescriptor,
  request: unknown,
  revision: 1 | 2 = 2,
): Promise<Outcome<Response>> {
  const controller = new MprpcController();
  controller.origin = { revision, peer: "test" };
  return new Promise((resolve) =>
    server.callMethod(method, controller, request, (response) => {
      resolve({
        status: controller.failed() ? controller.error().status : RpcStatus.OK,
        text: controller.errorText(),
        response: response as Response,
      });
    }),
  );
}

async function put(key: string, value: Uint8Array, RequestId = 0, revision: 1 | 2 = 2) {
  const request = {
    Key: Buffer.from(key),
    Value: value,
    Op: Buffer.from("Put"),
    ClientId: RequestId === 0 ? new Uint8Array(0) : Buffer.from("client"),
    RequestId,
    FirstUnfinished: RequestId,
  };
  type Reply = raftKVRpcProctoc.PutAppendReply;
  const outcome = await call<Reply | null>(kvServerRpcMethods.PutAppend, request, revision);
  return { ...outcome, err: Buffer.from(outcome.response?.Err ?? []).toString() };
}

async function get(key: string): Promise<string> {
  const request = { Key: Buffer.from(key), ClientId: new Uint8Array(0), RequestId: 0 };
  const { response } = await call<raftKVRpcProctoc.GetReply>(kvServerRpcMethods.Get, request);
  return Buffer.from(response.Value).toString();
}

async function status(): Promise<raftKVRpcProctoc.StatusReply> {
  return (await call<raftKVRpcProctoc.StatusReply>(kvServerRpcMethods.Status, {})).response;
}

async function diskHas(bytes: number): Promise<void> {
  free = bytes;
  look();
  await eventually("it is seen", async () => persister.space.freeBytes === bytes);
}

const one = Buffer.from("1");

it("takes no write while the disk is nearly full, serves reads, and resumes by itself", async () => {
  expect((await put("x", one)).err).toBe("OK");
  await diskHas(reserve - 1);
  const refused = await put("x", Buffer.from("2"));
  expect(refused.status).toBe(RpcStatus.RESOURCE_EXHAUSTED);
  expect(refused.text).toBe(
    `the disk of node 0 is nearly full: ${dir} has 4 MiB free, and takes writes again from 5 MiB ` +
      `on (diskReserveBytes)`,
  );
  expect(await get("x")).toBe("1");
  expect(await status()).toMatchObject({ DiskIsLow: true, DiskFreeBytes: reserve - 1 });
  expect(warned).toEqual(["the disk is nearly full: no writes, no leadership"]);
  await diskHas(5 * MiB);
  expect((await put("x", Buffer.from("2"))).err).toBe("OK");
  expect(await get("x")).toBe("2");
  expect(await status()).toMatchObject({ DiskIsLow: false });
});

it("still says of a write that it took before that it was done", async () => {
  const ClientId = Buffer.from("client");
  await call(kvServerRpcMethods.OpenSession, { ClientId });
  expect((await put("x", one, 1)).err).toBe("OK");
  await diskHas(0);
  expect((await put("x", one, 1)).err).toBe("OK");
  expect((await put("x", one, 2)).status).toBe(RpcStatus.RESOURCE_EXHAUSTED);
});

it("tells a revision-1 client, which knows no other refusal, to ask elsewhere", async () => {
  await diskHas(0);
  expect(await put("x", one, 0, 1)).toMatchObject({ status: RpcStatus.OK, err: "ErrWrongLeader" });
});

it("takes no snapshot that would not fit, until it would", async () => {
  const value = Buffer.alloc(1_000, "v");
  await diskHas(reserve + 100);
  for (let i = 0; i < 20; i++) await put(`key ${i}`, value);
  // More than half the reserve and the state: it fits.
  for (let i = 0; i < 200; i++) await put("key", value);
  await eventually("a snapshot", async () => (await status()).SnapshotIndex > 0);

  const large = Buffer.alloc(500_000, "v");
  for (let i = 0; i < 20; i++) await put(`large ${i}`, large);
  expect(warned).toEqual(["no room for a snapshot"]);
  const before = (await status()).SnapshotIndex;
  for (let i = 0; i < 5; i++) await put("key", value);
  expect((await status()).SnapshotIndex).toBe(before);
  await diskHas(100 * MiB);
  await put("key", value);
  await eventually("the next", async () => (await status()).SnapshotIndex > before);
});
