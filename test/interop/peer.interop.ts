import { readFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import { AppendEntriesArgsCodec } from "../../proto/index.js";
import { ByteWriter } from "../../rpc/byteWriter.js";
import { Cluster } from "../process/cluster.js";
import { requestFrame } from "./frame.js";
import { eventually } from "../eventually.js";
import { PeerNode, readySoon } from "./peer.js";

/**
 * The peer itself, against what was seen of the original: it must be no kinder. `follower.json` is
 * what a lone node of the original answered, in order, each group to a node of its own.
 */

interface FollowerVector {
  readonly maxraftstate: number;
  readonly method: string;
  readonly description: string;
  readonly requestHex: string;
  readonly response: string | { readonly Term: number };
  readonly responseHex: string | null;
}

const followerFile = new URL("vectors/follower.json", import.meta.url);
const { vectors } = JSON.parse(readFileSync(followerFile, "utf8")) as {
  vectors: FollowerVector[];
};

const started: { cluster: Cluster; peer: PeerNode; sockets: Socket[] }[] = [];

afterEach(async () => {
  for (const { cluster, peer, sockets } of started.splice(0)) {
    for (const socket of sockets) socket.destroy();
    await peer.kill();
    await cluster.destroy();
  }
});

/** Node 0 of three, of which the others never come. */
async function lonePeer(stateBytesMax = -1): Promise<{ peer: PeerNode; ask: Ask }> {
  const cluster = await Cluster.create(3);
  const peer = new PeerNode(cluster.nodesFile, 0, { ...readySoon, stateBytesMax });
  const sockets: Socket[] = [];
  started.push({ cluster, peer, sockets });
  await peer.ready();
  const ask = asker(cluster.ports[0]!, sockets);
  return { peer, ask };
}

/**
 * Writes `pieces` one after the other, and gives what comes back: until it is `enoughBytes`, or
 * nothing has come for a while. A lone node campaigns soon.
 */
type Ask = (pieces: readonly Buffer[], enoughBytes?: number) => Promise<Buffer>;

const silenceMs = 150;

function asker(port: number, sockets: Socket[]): Ask {
  return async (pieces, enoughBytes = Infinity) => {
    const socket = connect({ host: "127.0.0.1", port, noDelay: true });
    sockets.push(socket);
    let received = Buffer.alloc(0);
    let heardAt = performance.now();
    socket.on("data", (chunk: Buffer) => {
      received = Buffer.concat([received, chunk]);
      heardAt = performance.now();
    });
    socket.on("error", () => {});
    for (const piece of pieces) {
      if (piece !== pieces[0]) await pause(20);
      socket.write(piece);
    }
    while (received.length < enoughBytes && performance.now() - heardAt < silenceMs) await pause(5);
    return received;
  };
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

function diedOf(vector: FollowerVector): boolean {
  return typeof vector.response === "string" && vector.response.startsWith("NODE DIED");
}

/** These begin with something else than what the group before ended with. */
const firstOnes = ["stale term 1", "entry 1 alone, committed at once"];

function groupsOf(all: readonly FollowerVector[]): FollowerVector[][] {
  const groups: FollowerVector[][] = [];
  all.forEach((vector, index) => {
    const before = all[index - 1];
    const fresh =
      before === undefined ||
      diedOf(before) ||
      before.maxraftstate !== vector.maxraftstate ||
      firstOnes.includes(vector.description);
    if (fresh) groups.push([]);
    groups.at(-1)!.push(vector);
  });
  return groups;
}

function heartbeat(term: number): Buffer {
  const writer = new ByteWriter();
  AppendEntriesArgsCodec.encode({ Term: term, LeaderId: 1 }, writer);
  return requestFrame("raftRpc", "AppendEntries", writer.finish());
}

/** What came back, or the rule by which the peer ended. */
async function outcomeOf(peer: PeerNode, ask: Ask, vector: FollowerVector): Promise<string> {
  const request = Buffer.from(vector.requestHex, "hex");
  if (!diedOf(vector)) {
    const bytes = vector.responseHex === null ? Infinity : vector.responseHex.length / 2;
    return (await ask([request], bytes)).toString("hex");
  }
  // Some do it only when they come again, and when the snapshot that they meet has been made.
  const end = await eventually("the peer's end", async () => {
    if (peer.running) await ask([request], 1);
    return peer.end ?? undefined;
  });
  return `ended: ${end.rule}`;
}

describe("the peer as a follower", () => {
  it.each(groupsOf(vectors).map((group) => [group.at(-1)!.description, group] as const))(
    "answers as the original did, up to '%s'",
    async (_name, group) => {
      const { peer, ask } = await lonePeer(group[0]!.maxraftstate);
      const { description, response } = group[0]!;
      if (description.startsWith("stale") && typeof response !== "string")
        await ask([heartbeat(response.Term)], 1);
      for (const vector of group) {
        const expected = diedOf(vector) ? /^ended: ./ : new RegExp(`^${vector.responseHex ?? ""}$`);
        const { description: what } = vector;
        expect([what, await outcomeOf(peer, ask, vector)]).toEqual([
          what,
          expect.stringMatching(expected),
        ]);
        const committed = /^entry (\d+) alone, committed at once$/.exec(what)?.[1];
        if (committed === undefined) continue;
        // It applies later, and takes no snapshot of the last of several that it applies together.
        const index = Number(committed);
        await eventually("its snapshot", async () => peer.snapshotIndex === index);
      }
    },
  );

  it("ends on a Raft request before it is ready", async () => {
    const cluster = await Cluster.create(3);
    const peer = new PeerNode(cluster.nodesFile, 0);
    const sockets: Socket[] = [];
    started.push({ cluster, peer, sockets });
    const ask = asker(cluster.ports[0]!, sockets);
    await eventually("the end", async () => (await ask([heartbeat(1)], 1), !peer.running));
    expect(peer.end?.rule).toContain("before it is ready");
  });
});

describe("the peer as a server", () => {
  it("answers the first of two requests that arrive together, and no other", async () => {
    const { ask } = await lonePeer();
    const twice = Buffer.concat([heartbeat(1000), heartbeat(1001)]);
    expect((await ask([twice])).toString("hex")).toBe("08e80710012001");
    expect((await ask([heartbeat(1000)])).toString("hex")).toBe("08e80710012001");
  });

  it("answers no request that arrives in pieces, and the next one on the same connection", async () => {
    const { ask } = await lonePeer();
    const request = heartbeat(1000);
    const pieces = [request.subarray(0, 10), request.subarray(10)];
    expect((await ask(pieces)).toString("hex")).toBe("");
    expect((await ask([...pieces, request])).toString("hex")).toBe("08e80710012001");
  });

  it.each([
    ["an unknown service", requestFrame("otherRpc", "AppendEntries", Buffer.alloc(0))],
    ["an unknown method", requestFrame("kvServerRpc", "OpenSession", Buffer.alloc(0))],
    ["garbage", Buffer.from("ffffffffffff", "hex")],
    [
      "arguments that don't parse",
      requestFrame("raftRpc", "RequestVote", Buffer.from("ff", "hex")),
    ],
  ])("is silent to %s, and goes on", async (_name, request) => {
    const { ask } = await lonePeer();
    const replies = await ask([request, heartbeat(1000)]);
    expect(replies.toString("hex")).toBe("08e80710012001");
  });
});
