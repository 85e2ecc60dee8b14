import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { kvDefaults, kvOptionsOf, type KvOptions, type RaftOptions } from "../../config/options.js";
import { KvServer } from "../../kvserver/kvServer.js";
import { kvServerRpcMethods, type raftKVRpcProctoc } from "../../proto/index.js";
import type { AppendEntries } from "../../raft/core/index.js";
import { WalPersister } from "../../raft/persister/walPersister.js";
import type { RaftPeer } from "../../raft/raftPeer.js";
import { interceptService } from "../../rpc/interceptService.js";
import { MprpcController } from "../../rpc/mprpcController.js";
import type { MethodDescriptor, RpcService } from "../../rpc/service.js";
import { eventually } from "../eventually.js";

/** One KvServer on a real data directory, called without a network. */

const raftOptions: Partial<RaftOptions> = {
  heartbeatMs: 20,
  electionTimeoutMsMin: 100,
  electionTimeoutMsMax: 200,
};

let dir: string;
let server: KvServer;
let persister: WalPersister;

async function start(options: Partial<KvOptions> = {}, peers: (RaftPeer | null)[] = [null]) {
  persister = await WalPersister.open(path.join(dir, "node0"), { nodeId: 0, segmentBytes: 65_536 });
  server = new KvServer({ options, raftOptions });
  server.start(peers, 0, persister);
}

async function stop(): Promise<void> {
  await server.stop();
  await persister.close();
}

beforeEach(async () => {
  dir = await mkdtemp(path.join(tmpdir(), "kv-server-"));
});

afterEach(async () => {
  await stop();
  await rm(dir, { recursive: true, force: true });
});

interface Outcome {
  readonly controller: MprpcController;
  readonly response: Record<string, unknown>;
}

function call(
  method: MethodDescriptor,
  request: unknown,
  revision: 1 | 2 = 2,
  service: RpcService = server,
): Promise<Outcome> {
  const controller = new MprpcController();
  controller.origin = { revision, peer: "test" };
  return new Promise((resolve) =>
    service.callMethod(method, controller, request, (response) =>
      resolve({ controller, response: (response ?? {}) as Record<string, unknown> }),
    ),
  );
}

type PutAppendArgs = Partial<raftKVRpcProctoc.PutAppendArgs>;

function putAppend(args: PutAppendArgs, revision: 1 | 2 = 2): Promise<Outcome> {
  const empty = new Uint8Array(0);
  const defaults = { Key: empty, Value: empty, Op: Buffer.from("Put"), ClientId: empty };
  const request = { ...defaults, RequestId: 0, FirstUnfinished: 0, ...args };
  return call(kvServerRpcMethods.PutAppend, request, revision);
}

function putLetters(letter: string): Promise<Outcome> {
  return putAppend({ Key: Buffer.from("x"), Value: Buffer.alloc(64, letter) });
}

function get(key: string, revision: 1 | 2 = 2, service: RpcService = server): Promise<Outcome> {
  const request = { Key: Buffer.from(key), ClientId: new Uint8Array(0), RequestId: 0 };
  return call(kvServerRpcMethods.Get, request, revision, service);
}

function text(bytes: unknown): string {
  return Buffer.from(bytes as Uint8Array).toString();
}

async function err(outcome: Promise<Outcome>): Promise<string> {
  return text((await outcome).response["Err"]);
}

async function leads(): Promise<void> {
  await eventually("a leader", async () => server.raft.getState().isLeader);
}

const alice = Buffer.from("alice");
const appendOp = Buffer.from("Append");

describe("KvServer", () => {
  it("puts, appends and gets", async () => {
    await start();
    await leads();
    const Key = Buffer.from("x");
    expect(await err(get("x"))).toBe("ErrNoKey");
    expect(
      await err(putAppend({ Key, Value: Buffer.from("1"), ClientId: alice, RequestId: 1 })),
    ).toBe("OK");
    const second = { Key, Value: Buffer.from("2"), Op: appendOp, ClientId: alice, RequestId: 2 };
    expect(await err(putAppend(second))).toBe("OK");
    const outcome = await get("x");
    expect(text(outcome.response["Err"])).toBe("OK");
    expect(text(outcome.response["Value"])).toBe("12");
  });

  it("answers with the value as it was read, though interceptors keep the reply for long", async () => {
    await start();
    await leads();
    await putLetters("a");
    const slowed = interceptService(server, [
      (next) => async (one) => {
        const reply = await next(one);
        for (const letter of "bcdefghi") await putLetters(letter);
        return reply;
      },
    ]);
    expect(text((await get("x", 2, slowed)).response["Value"])).toBe("a".repeat(64));
  });

  it("tells an empty value from a missing key", async () => {
    await start();
    await leads();
    await putAppend({ Key: Buffer.from("e"), ClientId: alice, RequestId: 1 });
    expect(await err(get("e"))).toBe("OK");
    expect(await err(get("f"))).toBe("ErrNoKey");
  });

  it("applies a repeated request once, also after a restart", async () => {
    await start();
    await leads();
    const request = {
      Key: Buffer.from("k"),
      Value: Buffer.from("v"),
      Op: appendOp,
      ClientId: alice,
      RequestId: 1,
    };
    await Promise.all([putAppend(request), putAppend(request)]);
    await putAppend(request);
    await stop();
    await start();
    await leads();
    expect(await err(putAppend(request))).toBe("OK");
    expect(text((await get("k")).response["Value"])).toBe("v");
  });

  it("takes two requests without a ClientId for two", async () => {
    await start();
    await leads();
    const request = { Key: Buffer.from("k"), Value: Buffer.from("v"), Op: appendOp };
    await putAppend(request);
    await putAppend(request);
    expect(text((await get("k")).response["Value"])).toBe("vv");
  });

  it("refuses a write of a session that was never opened", async () => {
    await start();
    await leads();
    const request = { Key: Buffer.from("k"), ClientId: alice, RequestId: 1, FirstUnfinished: 1 };
    expect(await err(putAppend(request))).toBe("ErrSessionExpired");
    expect(await err(call(kvServerRpcMethods.OpenSession, { ClientId: alice }))).toBe("OK");
    expect(await err(putAppend(request))).toBe("OK");
  });

  it("says what is wrong with a request", async () => {
    await start();
    await leads();
    const wrong: [PutAppendArgs, string][] = [
      [{ Op: Buffer.from("Delete") }, "Op"],
      [{ Key: new Uint8Array(65_537) }, "keyBytesMax"],
      [{ ClientId: new Uint8Array(257) }, "ClientId"],
      [{ RequestId: -1 }, "RequestId"],
      [{ RequestId: 9000, FirstUnfinished: 1 }, "FirstUnfinished"],
    ];
    for (const [args, what] of wrong) {
      const { controller } = await putAppend(args);
      expect(controller.failed()).toBe(true);
      expect(controller.errorText()).toContain(what);
    }
  });

  it("answers ErrWrongLeader on a node without a leader", async () => {
    await start({}, [null, silentPeer(), silentPeer()]);
    expect(await err(putAppend({ Key: Buffer.from("k") }))).toBe("ErrWrongLeader");
    expect(await err(get("k"))).toBe("ErrWrongLeader");
    expect(await err(call(kvServerRpcMethods.OpenSession, { ClientId: alice }))).toBe(
      "ErrWrongLeader",
    );
  });

  it("takes snapshots by itself, and starts from one with its sessions", async () => {
    await start({ snapshotLogBytes: 20_000, trailingEntries: 5 });
    await leads();
    const value = Buffer.alloc(500, "v");
    let id = 0;
    const put = (): Promise<unknown> =>
      putAppend({ Key: Buffer.from(`k${++id % 7}`), Value: value, ClientId: alice, RequestId: id });
    for (let entries = 0; entries < 100; entries++) await put();
    // While one is being written none begins, so that more entries may be needed.
    await eventually("a snapshot", async () => {
      await put();
      return server.raft.status().snapshotIndex > 50;
    });
    const last = {
      Key: Buffer.from("z"),
      Value: value,
      Op: appendOp,
      ClientId: alice,
      RequestId: id + 1,
    };
    await putAppend(last);
    await stop();
    await start({ snapshotLogBytes: 20_000, trailingEntries: 5 });
    await leads();
    await putAppend(last);
    expect((await get("z")).response["Value"]).toHaveLength(500);
    expect((await get("k1")).response["Value"]).toHaveLength(500);
    expect(server.raft.status().snapshotIndex).toBeGreaterThan(50);
  });

  it("writes the original's commands when the node list asks for it", async () => {
    await start({ commandCodec: "boost" });
    await leads();
    await putAppend({
      Key: Buffer.from("k"),
      Value: Buffer.from("v"),
      ClientId: alice,
      RequestId: 1,
    });
    await stop();
    await start();
    const commands = persister.recovered.entries.map((entry) => text(entry.command));
    expect(commands.length).toBeGreaterThanOrEqual(2);
    for (const command of commands) expect(command).toMatch(/^22 serialization::archive /);
    await leads();
    expect(text((await get("k")).response["Value"])).toBe("v");
  });

  it("keeps the whole log beside the original's nodes, which load no snapshot", () => {
    expect(kvOptionsOf({ commandCodec: "boost" }).snapshotLogBytes).toBe(-1);
    expect(kvOptionsOf({ commandCodec: "boost", snapshotLogBytes: 5 }).snapshotLogBytes).toBe(5);
    expect(kvOptionsOf({}).snapshotLogBytes).toBe(kvDefaults.snapshotLogBytes);
  });

  it("refuses what the original's commands can't hold", async () => {
    await start({ commandCodec: "boost" });
    await leads();
    const { controller } = await putAppend({ ClientId: alice, RequestId: 2 ** 31 });
    expect(controller.error()).toMatchObject({ code: "INVALID_ARGUMENT" });
  });

  it("opens no session beside the original's nodes, which keep the last id of each client alone", async () => {
    await start({ commandCodec: "boost" });
    await leads();
    const opened = await call(kvServerRpcMethods.OpenSession, { ClientId: alice });
    expect(opened.controller.error()).toMatchObject({ code: "UNIMPLEMENTED" });
    const marked = await putAppend({ ClientId: alice, RequestId: 1, FirstUnfinished: 1 });
    expect(text(marked.response["Err"])).toBe("ErrSessionExpired");
    // What their replicas would leave out is not taken by ours, either.
    for (const args of [{ RequestId: 1 }, { ClientId: alice }])
      expect((await putAppend(args)).controller.error()).toMatchObject({
        code: "INVALID_ARGUMENT",
      });
    expect(server.raft.status().lastLogIndex).toBe(1);
  });

  it("shows its state", async () => {
    await start();
    await leads();
    await putAppend({ Key: Buffer.from("k"), ClientId: alice, RequestId: 1 });
    const { response } = await call(kvServerRpcMethods.Status, {});
    expect(response).toMatchObject({
      NodeId: 0,
      Role: "leader",
      LeaderHint: 1,
      Keys: 1,
      Sessions: 1,
    });
  });
});

describe("a revision-1 client whose put finds no majority", () => {
  it("hears ErrWrongLeader after the consensus wait, and never silence", async () => {
    const peers = [null, votingPeer(), silentPeer()];
    await start({ consensusTimeoutMs: 50 }, peers);
    await leads();
    expect(await err(putAppend({ Key: Buffer.from("k") }, 1))).toBe("ErrWrongLeader");
  });

  it("while ours is told that the write may still happen", async () => {
    await start({}, [null, votingPeer(), silentPeer()]);
    await leads();
    const { controller } = await putAppend({
      Key: Buffer.from("k"),
      ClientId: alice,
      RequestId: 1,
    });
    expect(controller.error()).toMatchObject({ code: "UNAVAILABLE" });
  });
});

describe("a revision-1 client that gets a long value", () => {
  // What does not fit into its one recv it would take for the reply to its next call.
  it.each([
    [1_017, "OK"],
    [1_018, "ErrValueTooLarge"],
    [100_000, "ErrValueTooLarge"],
  ])("of %i bytes hears %s", async (length, expected) => {
    await start({ consensusTimeoutMs: 50 });
    await leads();
    const Key = Buffer.from("k");
    await putAppend({ Key, Value: Buffer.alloc(length, "v"), ClientId: alice, RequestId: 1 });
    expect(await err(get("k", 1))).toBe(expected);
    expect(await err(get("k"))).toBe("OK");
  });

  it("gets it where its list says that its buffer is larger", async () => {
    await start({ revision1ReplyBytesMax: 2_000 });
    await leads();
    const Key = Buffer.from("k");
    await putAppend({ Key, Value: Buffer.alloc(1_500, "v"), ClientId: alice, RequestId: 1 });
    expect((await get("k", 1)).response["Value"]).toHaveLength(1_500);
  });
});

describe("a leader that hands over", () => {
  it("sends callers on when it knows where to", async () => {
    await handingOver();
    const answers: unknown[] = [];
    const calls = [putLetters("b"), putAppend({ Key: Buffer.from("x") }, 1)];
    for (const each of calls)
      void each.then(({ response }) => answers.push(response["LeaderHint"]));
    await new Promise(setImmediate);
    expect(answers).toEqual([]);
    await heartbeatOf(1);
    await Promise.all(calls);
    expect(answers).toEqual([2, 2]);
    expect((await putLetters("c")).response["LeaderHint"]).toBe(2);
  });

  it("knows when the next one does its work: it has committed something", async () => {
    await handingOver();
    expect(server.raft.followsSettledLeader).toBe(false);
    await heartbeatOf(1);
    expect(server.raft.followsSettledLeader).toBe(false);
    const { term, lastLogIndex } = server.raft.status();
    const place = { prevLogIndex: lastLogIndex, prevLogTerm: term - 1 };
    const entries = [{ index: lastLogIndex + 1, term, command: new Uint8Array(0) }];
    const request = { type: "AppendEntries", term, from: 1, entries, ...place } as const;
    await appended({ ...request, leaderCommit: lastLogIndex });
    expect(server.raft.followsSettledLeader).toBe(false);
    await appended({ ...request, leaderCommit: lastLogIndex + 1 });
    expect(server.raft.followsSettledLeader).toBe(true);
  });

  it("lets them go when nothing comes of it", async () => {
    await handingOver();
    expect(await err(putLetters("b"))).toBe("ErrWrongLeader");
  });

  it("lets them go when it stops", async () => {
    await handingOver();
    const put = putLetters("b");
    await server.stop();
    expect(await err(put)).toBe("ErrWrongLeader");
  });
});

/** It leads, its follower has all, and the hand-over has begun. */
async function handingOver(): Promise<void> {
  await start({}, [null, followingPeer(), silentPeer()]);
  await leads();
  await putLetters("a");
  expect(server.raft.transferLeadership(1)).toBe(true);
}

function heartbeatOf(from: number): Promise<unknown> {
  const { term, lastLogIndex } = server.raft.status();
  const place = { prevLogIndex: lastLogIndex + 1, prevLogTerm: term, leaderCommit: 0 };
  return appended({ type: "AppendEntries", term: term + 1, from, entries: [], ...place });
}

function appended(request: AppendEntries): Promise<unknown> {
  return new Promise((resolve) => server.raft.appendEntries(request, resolve));
}

function none(_: unknown, done: (reply: null) => void): void {
  setTimeout(done, 20, null);
}

/** A node that is there but never answers. */
function silentPeer(): RaftPeer {
  return {
    onDown: () => {},
    AppendEntries: none,
    RequestVote: none,
    InstallSnapshot: none,
    TimeoutNow: none,
    close: () => {},
  };
}

/** A node that votes for whoever asks, and takes no entries. */
function votingPeer(): RaftPeer {
  return {
    ...silentPeer(),
    RequestVote: (request, done) =>
      void setImmediate(done, {
        type: "RequestVoteReply",
        term: request.preVote ? request.term - 1 : request.term,
        voteGranted: true,
        voteState: 3,
      }),
  };
}

/** A node that takes all entries, and does as it is told, but not to campaign. */
function followingPeer(): RaftPeer {
  return {
    ...votingPeer(),
    AppendEntries: ({ term }, done) =>
      void setImmediate(done, {
        type: "AppendEntriesReply",
        term,
        success: true,
        updateNextIndex: 0,
      }),
  };
}
