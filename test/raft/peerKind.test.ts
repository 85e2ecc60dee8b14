import { createServer, type AddressInfo, type Server, type Socket } from "node:net";
import { afterEach, expect, test } from "vitest";
import { appendEntriesReplyCodec } from "../../raft/raftCodec.js";
import { MixedPeer } from "../../raft/mixedPeer.js";
import { RaftRpcUtil } from "../../raft/raftRpcUtil.js";
import { ByteWriter } from "../../rpc/byteWriter.js";
import { RpcProvider } from "../../rpc/rpcProvider.js";
import { eventually } from "../eventually.js";

/** A node of the original is told from one of ours, over sockets. */

const ends: (() => void)[] = [];

afterEach(() => {
  for (const end of ends.splice(0)) end();
});

function peerAt(port: number, startMs: number): MixedPeer {
  const rpc = { backoffMsMin: 1, backoffMsMax: 5 };
  const raft = { peerCallTimeoutMs: 60_000 };
  const peer = new MixedPeer(new RaftRpcUtil({ host: "127.0.0.1", port, rpc, raft, mixed: true }), {
    id: 1,
    mixed: true,
    startMs,
    originalApplies: () => true,
  });
  ends.push(() => peer.close());
  return peer;
}

const heartbeat = {
  type: "AppendEntries",
  term: 7,
  from: 0,
  prevLogIndex: 0,
  prevLogTerm: 0,
  entries: [],
  leaderCommit: 0,
} as const;

/** Whether a heartbeat is answered. */
function beat(peer: MixedPeer): Promise<boolean> {
  return new Promise((resolve) =>
    peer.AppendEntries(heartbeat, (reply) => resolve(reply?.term === 7)),
  );
}

/** Answers AppendEntries in revision 1, and says nothing to anything else. */
class Original {
  /** Names of methods, as they came. */
  readonly requests: string[] = [];
  isMute = false;
  private readonly sockets = new Set<Socket>();
  private server: Server | null = null;

  async listen(port = 0): Promise<number> {
    const server = createServer((socket) => this.serve(socket));
    this.server = server;
    await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve));
    ends.push(() => this.die());
    return (server.address() as AddressInfo).port;
  }

  die(): void {
    this.server?.close();
    this.cut();
  }

  cut(): void {
    for (const socket of this.sockets) socket.resetAndDestroy();
  }

  private serve(socket: Socket): void {
    this.sockets.add(socket);
    socket.on("error", () => {});
    socket.on("close", () => this.sockets.delete(socket));
    socket.on("data", (frame) => {
      const method = /AppendEntries|RequestVote|TimeoutNow/.exec(frame.toString("latin1"))![0];
      this.requests.push(method);
      if (method !== "AppendEntries" || this.isMute) return;
      const reply = { type: "AppendEntriesReply", term: 7, success: true, updateNextIndex: 0 };
      const writer = new ByteWriter();
      appendEntriesReplyCodec.encode(reply as never, writer);
      socket.write(writer.finish());
    });
  }
}

test("one that is silent to a greeting gets Raft requests when its start is over, not before", async () => {
  const original = new Original();
  const peer = peerAt(await original.listen(), 200);
  await eventually("the greeting", async () => original.requests.length === 1);
  expect(await beat(peer)).toBe(false);
  expect(original.requests).toEqual(["TimeoutNow"]);
  await eventually("a heartbeat is answered", () => beat(peer));
  expect(original.requests).toEqual(["TimeoutNow", "AppendEntries"]);
});

test("a process that takes its place is greeted anew, and gets nothing that was meant for the old one", async () => {
  const original = new Original();
  const port = await original.listen();
  const peer = peerAt(port, 60_000);
  peer.heard(1);
  await eventually("a heartbeat is answered", () => beat(peer));
  original.die();
  await eventually("the loss is known", async () => !(await beat(peer)));
  const next = new Original();
  await next.listen(port);
  const answers = Array.from({ length: 20 }, () => beat(peer));
  await eventually("the greeting", async () => next.requests.length > 0);
  expect(await Promise.all(answers)).not.toContain(true);
  expect(next.requests).toEqual(["TimeoutNow"]);
});

test("what waited behind a request that the old process never answered is dropped with it", async () => {
  const original = new Original();
  const peer = peerAt(await original.listen(), 60_000);
  peer.heard(1);
  await eventually("a heartbeat is answered", () => beat(peer));
  original.isMute = true;
  const log = { lastLogIndex: 0, lastLogTerm: 0, leadershipTransfer: false };
  const vote = { type: "RequestVote", term: 8, from: 0, preVote: false, ...log } as const;
  const answers = [beat(peer), new Promise((resolve) => peer.RequestVote(vote, resolve))];
  await eventually("the heartbeat", async () => original.requests.length === 2);
  original.cut();
  expect(await Promise.all(answers)).toEqual([false, null]);
  await eventually("the greeting", async () => original.requests.length === 3);
  expect(original.requests.at(-1)).toBe("TimeoutNow");
});

test("one that drops a request is given up long before it would campaign", async () => {
  const original = new Original();
  const peer = peerAt(await original.listen(), 60_000);
  peer.heard(1);
  await eventually("a heartbeat is answered", () => beat(peer));
  original.isMute = true;
  // Its calls may take 60 s here.
  expect(await beat(peer)).toBe(false);
});

test("one of ours shows at once that it is, though it refuses the greeting", async () => {
  const provider = new RpcProvider({});
  const { port } = await provider.run("127.0.0.1", 0);
  ends.push(() => void provider.close(0));
  const peer = new RaftRpcUtil({ host: "127.0.0.1", port, mixed: true });
  ends.push(() => peer.close());
  expect(await new Promise((resolve) => peer.greet(60_000, resolve))).toBe("answered");
  expect(peer.revision).toBe(2);
});
