import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { ApplyChan } from "../../raft/applyChan.js";
import type { ApplyMsg } from "../../raft/applyMsg.js";
import { WalPersister } from "../../raft/persister/walPersister.js";
import type { TestDisk } from "./testDisk.js";
import { Raft } from "../../raft/raft.js";
import type { InstallSnapshot, InstallSnapshotReply, RaftPeer } from "../../raft/raftPeer.js";
import { silentLogger } from "../../config/logger.js";
import type { RaftOptions } from "../../config/options.js";

/**
 * Whole drivers with real clocks and real data directories; only the network is a function call
 * that can be cut.
 */

export interface LocalNode {
  readonly raft: Raft;
  readonly applyChan: ApplyChan;
  readonly persister: WalPersister;
  /** Commands in the order in which they came, no-ops left out. */
  readonly applied: string[];
  lastApplied: number;
  /** Snapshots that its state was set to. */
  installed: number;
  failure: Error | null;
}

/** A chunk of a snapshot on its way. */
export interface Chunk {
  readonly to: number;
  readonly request: InstallSnapshot;
}

const timing: Partial<RaftOptions> = {
  heartbeatMs: 20,
  electionTimeoutMsMin: 150,
  electionTimeoutMsMax: 300,
};

export class LocalCluster {
  readonly nodes: (LocalNode | null)[];
  readonly cut = new Set<number>();
  /** Where a node is to have one that the test can stop, fill or break; set before its start. */
  readonly disks: TestDisk[] = [];
  /** Whether the answer to a chunk is lost; its sender learns at once that none will come. */
  losesAnswer: (chunk: Chunk) => boolean = () => false;
  /** All chunks that were sent. */
  readonly chunks: Chunk[] = [];
  /** What the nodes' logs warn of. */
  readonly warnings: string[] = [];
  readonly dir: string;
  private readonly options: Partial<RaftOptions>;

  private constructor(size: number, dir: string, options: Partial<RaftOptions>) {
    this.nodes = Array.from({ length: size }, () => null);
    this.dir = dir;
    this.options = { ...timing, ...options };
  }

  static async create(size: number, options: Partial<RaftOptions> = {}): Promise<LocalCluster> {
    const dir = await mkdtemp(path.join(tmpdir(), "raft-local-"));
    return new LocalCluster(size, dir, options);
  }

  async startAll(): Promise<void> {
    await Promise.all(this.nodes.map((_, id) => this.start(id)));
  }

  async start(id: number): Promise<LocalNode> {
    const persister = await WalPersister.open(path.join(this.dir, `node${id}`), {
      nodeId: id,
      segmentBytes: 65_536,
      ...this.disks[id]?.options,
    });
    const node: LocalNode = {
      raft: new Raft({
        options: this.options,
        log: { ...silentLogger, warn: (_fields, text) => this.warnings.push(text) },
      }),
      applyChan: new ApplyChan({ applyEntriesMax: 64, applyBytesMax: 1 << 20 }),
      persister,
      applied: [],
      lastApplied: 0,
      installed: 0,
      failure: null,
    };
    node.raft.onFailure = (error) => {
      node.failure = error;
    };
    void consume(node);
    const peers = this.nodes.map((_, to) => (to === id ? null : this.link(id, to)));
    node.raft.init(peers, id, persister, node.applyChan);
    this.nodes[id] = node;
    return node;
  }

  async stop(id: number): Promise<void> {
    const node = this.nodes[id];
    if (node === null || node === undefined) return;
    this.nodes[id] = null;
    await node.raft.stop();
    node.applyChan.close();
    await node.persister.close();
  }

  async destroy(): Promise<void> {
    await Promise.all(this.nodes.map((_, id) => this.stop(id)));
    await rm(this.dir, { recursive: true, force: true });
  }

  running(): LocalNode[] {
    return this.nodes.filter((node) => node !== null);
  }

  leader(): LocalNode | undefined {
    return this.running().find((node) => node.raft.getState().isLeader && !this.isCut(node));
  }

  private isCut(node: LocalNode): boolean {
    return this.cut.has(node.raft.id);
  }

  private link(from: number, to: number): RaftPeer {
    const deliver = <Reply>(
      run: (raft: Raft, done: (reply: Reply | null) => void) => void,
      done: (reply: Reply | null) => void,
    ): void => {
      setImmediate(() => {
        const target = this.nodes[to]?.raft;
        const reachable = !this.cut.has(from) && !this.cut.has(to);
        if (target?.isRunning !== true || !reachable) done(null);
        else run(target, (reply) => setImmediate(done, this.cut.has(from) ? null : reply));
      });
    };
    return {
      onDown: () => {},
      AppendEntries: (request, done) =>
        deliver((raft, back) => raft.appendEntries(request, back), done),
      RequestVote: (request, done) =>
        deliver((raft, back) => raft.requestVote(request, back), done),
      TimeoutNow: (request, done) => deliver((raft, back) => raft.timeoutNow(request, back), done),
      InstallSnapshot: (request, done) => {
        const chunk = { to, request };
        this.chunks.push(chunk);
        const isLost = this.losesAnswer(chunk);
        deliver<InstallSnapshotReply>(
          (raft, back) => void raft.installSnapshot(request).then(back, () => back(null)),
          isLost ? () => {} : done,
        );
        if (isLost) setImmediate(done, null);
      },
      close: () => {},
    };
  }
}

/** The state machine: a list of strings; its snapshot is their JSON. */
async function consume(node: LocalNode): Promise<void> {
  for await (const message of node.applyChan) await applyMessage(node, message);
}

async function applyMessage(node: LocalNode, message: ApplyMsg): Promise<void> {
  if (message.commandValid) {
    if (message.commandIndex <= node.lastApplied) return;
    if (message.commandIndex !== node.lastApplied + 1)
      throw new Error(`command ${message.commandIndex} after ${node.lastApplied}`);
    if (message.command.length > 0) node.applied.push(Buffer.from(message.command).toString());
    node.lastApplied = message.commandIndex;
    return;
  }
  if (!node.raft.condInstallSnapshot(message.snapshotTerm, message.snapshotIndex)) return;
  const reader = await message.open();
  const bytes = await reader.read(0, reader.size);
  await reader.close();
  const state = JSON.parse(Buffer.from(bytes).toString()) as string[];
  node.applied.splice(0, node.applied.length, ...state);
  node.lastApplied = reader.meta.index;
  node.installed++;
}

/** Takes a snapshot of what the node has applied. */
export async function takeSnapshot(node: LocalNode, trailing = 0): Promise<boolean> {
  const state = Buffer.from(JSON.stringify(node.applied));
  return node.raft.snapshot(node.lastApplied, [state], {
    entriesMax: trailing,
    bytesMax: 1 << 30,
  });
}
