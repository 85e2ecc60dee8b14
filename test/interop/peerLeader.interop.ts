import { createServer, type Server, type Socket } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import { Clerk } from "../../clerk/index.js";
import {
  AppendEntriesReplyCodec,
  RequestVoteReplyCodec,
  type raftRpcProctoc,
} from "../../proto/index.js";
import { ByteWriter } from "../../rpc/byteWriter.js";
import { eventually } from "../eventually.js";
import { Cluster } from "../process/cluster.js";
import { PeerNode, readySoon } from "./peer.js";
import { framesIn, type SeenRequest } from "./seenRequests.js";

/** The peer as a leader and as a clerk, against what was seen of the original: no kinder. */

type AppendReply = raftRpcProctoc.AppendEntriesReply.$Properties;

/** Grants every vote, and answers AppendEntries as it is told. */
class FakeFollower {
  readonly appends: SeenRequest[] = [];
  /** Null: nothing is said. "end": the connection is closed with a FIN. */
  answer: (request: SeenRequest) => AppendReply | null | "end" = () => null;
  private readonly server: Server;
  private readonly sockets = new Set<Socket>();

  constructor() {
    this.server = createServer({ noDelay: true }, (socket) => {
      this.sockets.add(socket);
      socket.on("error", () => {});
      socket.on("data", (chunk: Buffer) => {
        for (const { request } of framesIn(chunk).frames) this.take(request, socket);
      });
    });
  }

  listen(port: number): Promise<void> {
    return new Promise((resolve) => this.server.listen(port, "127.0.0.1", resolve));
  }

  close(): void {
    for (const socket of this.sockets) socket.destroy();
    this.server.close();
  }

  private take(request: SeenRequest, socket: Socket): void {
    const writer = new ByteWriter();
    if (request.method === "RequestVote") {
      const vote = { Term: request.term!, VoteGranted: true, VoteState: 3 };
      RequestVoteReplyCodec.encode(vote, writer);
      socket.write(writer.finish());
      return;
    }
    this.appends.push(request);
    const answer = this.answer(request);
    if (answer === "end") socket.end();
    if (answer === null || answer === "end") return;
    AppendEntriesReplyCodec.encode({ Term: request.term!, ...answer }, writer);
    socket.write(writer.finish());
  }
}

let cluster: Cluster;
let peer: PeerNode;
let followers: FakeFollower[] = [];
const clerks: Clerk[] = [];

afterEach(async () => {
  for (const clerk of clerks.splice(0)) await clerk.close();
  for (const follower of followers) follower.close();
  await peer.kill();
  await cluster.destroy();
});

/** Node 0 of three leads; the others answer so. */
async function lead(answer: FakeFollower["answer"]): Promise<void> {
  cluster = await Cluster.create(3);
  followers = [new FakeFollower(), new FakeFollower()];
  for (const [i, follower] of followers.entries()) {
    follower.answer = answer;
    await follower.listen(cluster.ports[i + 1]!);
  }
  peer = new PeerNode(cluster.nodesFile, 0, readySoon);
  await eventually("it leads", async () => peer.output.includes("leader") || !peer.running);
}

/** A put whose end nobody waits for. */
function put(): void {
  const clerk = new Clerk([cluster.nodes[0]!]);
  clerks.push(clerk);
  clerk.put("key", "value", { timeoutMs: 2_000 }).catch(() => {});
}

const taken: AppendReply = { Success: true, AppState: 1 };

describe("the peer as a leader", () => {
  it.each([
    ["0", 0],
    ["beyond the one after its last", 2],
  ])("ends when UpdateNextIndex is %s", async (_name, UpdateNextIndex) => {
    await lead(() => ({ Success: false, AppState: 1, UpdateNextIndex }));
    expect((await peer.exited).rule).toContain(`UpdateNextIndex ${UpdateNextIndex}`);
  });

  it("goes on after -100, and sends everything anew every round, whether it is answered or not", async () => {
    await lead(() => ({ Success: false, AppState: 1, UpdateNextIndex: -100 }));
    const [follower] = followers;
    await eventually("many rounds", async () => follower!.appends.length > 10);
    follower!.answer = () => null;
    put();
    const withEntry = (): SeenRequest[] =>
      follower!.appends.filter(({ append }) => append!.Entries.length === 1);
    // Nobody has answered any of these.
    await eventually("the entry, again and again", async () => withEntry().length > 5);
    expect(withEntry().every(({ append }) => append!.PrevLogIndex === 0)).toBe(true);
  });

  it("heeds no success with AppState 0, and ends when a put is not committed within 500 ms", async () => {
    await lead(() => ({ Success: true, AppState: 0 }));
    put();
    expect((await peer.exited).rule).toBe("a put was not committed within 500 ms");
  });

  it("takes a FIN for an answer that counts for nothing, and lives on", async () => {
    await lead(() => "end");
    const [follower] = followers;
    await eventually("many rounds", async () => follower!.appends.length > 10);
    expect(peer.end).toBeNull();
    for (const each of followers) each.answer = () => taken;
    const clerk = new Clerk([cluster.nodes[0]!]);
    clerks.push(clerk);
    await clerk.put("key", "value");
    expect(await clerk.getString("key")).toBe("value");
  });
});
