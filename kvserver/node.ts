import { rename } from "node:fs/promises";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { formatAddress, type Logger, type MprpcConfig, type Settings } from "../config/index.js";
import { originalNodes, raftDefaults, rpcDefaults } from "../config/options.js";
import { nodeFs } from "../raft/persister/nodeFs.js";
import { errnoOf, StorageError, systemError } from "../raft/persister/storageError.js";
import { WalPersister } from "../raft/persister/walPersister.js";
import { MixedPeer } from "../raft/mixedPeer.js";
import { RaftRpcUtil } from "../raft/raftRpcUtil.js";
import { RaftService } from "../raft/raftService.js";
import { RpcProvider } from "../rpc/rpcProvider.js";
import { HealthService, ReflectionService } from "../rpc/services/index.js";
import { turn } from "../rpc/turn.js";
import type { NewNode } from "./args.js";
import { KvServer } from "./kvServer.js";
import { isBoostOp } from "./opCodec.js";
import { connectionsThatFit, openFilesMax } from "./openFiles.js";

export interface NodeConfig {
  readonly nodeList: MprpcConfig;
  /** Position in the node list. */
  readonly id: number;
  /** The folder of all nodes; this one's files are in `node<id>` there. */
  readonly dataDir: string;
  readonly newNode: NewNode;
  readonly settings: Settings;
  readonly log: Logger;
  readonly version: string;
}

/** How long a stopping node waits for another one to take over leadership, in ms. */
const handoverMsMax = 500;
/** A leader of theirs sends all that a follower lacks at once. */
const originalRequests = { requestBytesMax: originalNodes.requestBytesMax };
/** How long calls in flight may take to end when a node stops, in ms. */
const closeGraceMs = 1_000;

/** One whole node: data directory, Raft, key-value service and the port that serves both. */
export class KvNode {
  readonly kvServer: KvServer;
  /** Called once when the node can't go on; the process should end. */
  onFailure: (error: Error) => void = () => {};
  private readonly provider: RpcProvider;
  private readonly persister: WalPersister;
  private readonly health = new HealthService();
  private stopping: Promise<void> | null = null;

  private constructor(kvServer: KvServer, provider: RpcProvider, persister: WalPersister) {
    this.kvServer = kvServer;
    this.provider = provider;
    this.persister = persister;
    kvServer.onFailure = (error) => this.onFailure(error);
  }

  /**
   * Recovers the node's data and begins to serve.
   * @throws StorageError when the data directory can't be used, RpcError when the port can't.
   */
  static async start(config: NodeConfig): Promise<KvNode> {
    const { id, dataDir, settings, log, version } = config;
    const directory = path.join(dataDir, `node${id}`);
    if (config.newNode === "rebuild") await setAside(directory, log);
    const persister = await WalPersister.open(directory, {
      ...settings.storage,
      nodeId: id,
      newNodeVotes: config.newNode === "newCluster",
      // Late: requests to the followers leave before the loop waits for this node's own disk.
      schedule: (task) => turn.late(task),
      log: (message) => log.warn({ node: id }, message),
    });
    const kvServer = new KvServer({
      options: settings.kv,
      raftOptions: settings.raft,
      log,
      version,
    });
    const provider = new RpcProvider({
      ...(settings.kv.commandCodec === "boost" ? originalRequests : {}),
      ...settings.rpc,
      connectionsMax: connectionsMaxOf(settings, log),
      onError: (err, { peer, method }) => log.warn({ err, peer, method }, "a call failed"),
    });
    const node = new KvNode(kvServer, provider, persister);
    try {
      await node.serve(config);
    } catch (error) {
      await node.stop();
      throw error;
    }
    return node;
  }

  /** Hands leadership over, finishes what is in flight, and closes everything. */
  async stop(): Promise<void> {
    this.stopping ??= this.shutDown();
    return this.stopping;
  }

  private async serve({ nodeList, id, settings, log }: NodeConfig): Promise<void> {
    const me = nodeList.nodes[id]!;
    this.provider.notifyService(new RaftService(this.kvServer.raft, log));
    this.provider.notifyService(this.kvServer);
    this.provider.notifyService(this.health);
    this.provider.notifyService(new ReflectionService(this.provider));
    // The port first: while it can't be had, nothing of this node must reach the others.
    await this.provider.run(me.host, me.port);
    const peers = nodeList.nodes.map((_, peer) =>
      peer === id ? null : peerOf(nodeList, peer, settings, log),
    );
    this.kvServer.start(peers, id, this.persister);
  }

  private async shutDown(): Promise<void> {
    this.health.shutdown();
    await this.handOver();
    await this.provider.close(closeGraceMs);
    await this.kvServer.stop();
    await this.persister.close();
  }

  /**
   * A cluster whose leader just goes is without one for an election timeout. This node stays until
   * the next one is known, for it has callers to send there, and has committed something: a majority
   * is found sooner with this node.
   */
  private async handOver(): Promise<void> {
    const { raft } = this.kvServer;
    if (!raft.transferLeadership()) return;
    const until = performance.now() + handoverMsMax;
    while (!raft.followsSettledLeader && performance.now() < until) await sleep(2);
  }
}

function connectionsMaxOf({ rpc }: Settings, log: Logger): number {
  const wanted = rpc.connectionsMax ?? rpcDefaults.connectionsMax;
  const filesMax = openFilesMax();
  const connectionsMax = connectionsThatFit(wanted, filesMax);
  if (connectionsMax < wanted)
    log.warn({ filesMax, connectionsMax }, "ulimit -n leaves room for fewer connections");
  return connectionsMax;
}

/** Renames a data directory, so that a new one takes its place. Nothing is deleted. */
async function setAside(directory: string, log: Logger): Promise<void> {
  const time = new Date().toISOString().replaceAll(/[-:]|\.\d+/g, "");
  const to = `${directory}.broken-${time}`;
  try {
    // Held by a running node, it must stay where it is.
    await (
      await nodeFs.lock(directory)
    )();
    await rename(directory, to);
    log.warn({ directory, to }, "set the data directory aside");
  } catch (error) {
    if (errnoOf(error) === "ENOENT" || isGone(error)) return;
    throw systemError(error, "rename", directory);
  }
}

function isGone(error: unknown): boolean {
  return error instanceof StorageError && errnoOf(error.cause) === "ENOENT";
}

export function describeNode(nodeList: MprpcConfig, id: number): string {
  const { host, port } = nodeList.nodes[id]!;
  return `node ${id} on ${formatAddress(host, port)}`;
}

function peerOf({ nodes }: MprpcConfig, id: number, settings: Settings, log: Logger): MixedPeer {
  const { rpc, raft, kv } = settings;
  const { host, port } = nodes[id]!;
  const mixed = kv.commandCodec === "boost";
  const { originalStartMs, originalStartMsPerNode } = { ...raftDefaults, ...raft };
  return new MixedPeer(new RaftRpcUtil({ host, port, rpc, raft, mixed }), {
    id,
    mixed,
    startMs: originalStartMs + (nodes.length - id) * originalStartMsPerNode,
    originalApplies: isBoostOp,
    log,
  });
}
