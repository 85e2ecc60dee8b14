import { mkdtemp, rm } from "node:fs/promises";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { silentLogger, type Logger } from "../../config/logger.js";
import { ApplyChan } from "../../raft/applyChan.js";
import { realEnvironment } from "../../raft/environment.js";
import { WalPersister } from "../../raft/persister/walPersister.js";
import { Raft } from "../../raft/raft.js";
import type { RaftPeer } from "../../raft/raftPeer.js";
import { RaftService } from "../../raft/raftService.js";
import { RpcProvider } from "../../rpc/rpcProvider.js";

/** Node 0 of 3 with its disk and its port, and with a clock that stands still by itself. */
export class FollowerNode {
  /** Commands in the order in which they were applied. */
  readonly applied: Uint8Array[] = [];
  /** What it has logged as errors. */
  readonly errors: string[] = [];
  port = 0;
  private readonly dir: string;
  private readonly persister: WalPersister;
  private readonly applyChan = new ApplyChan({ applyEntriesMax: 64, applyBytesMax: 1 << 20 });
  private readonly provider = new RpcProvider({});
  private readonly raft: Raft;
  private now = 1_000;

  private constructor(dir: string, persister: WalPersister) {
    this.dir = dir;
    this.persister = persister;
    const environment = {
      ...realEnvironment,
      now: () => this.now,
      // The longest election timeout of all, so that a test knows what still lies within it.
      random: () => 0.999,
      setTimer: () => () => {},
    };
    this.raft = new Raft({ environment });
  }

  static async start(): Promise<FollowerNode> {
    const dir = await mkdtemp(path.join(tmpdir(), "interop-follower-"));
    const persister = await WalPersister.open(path.join(dir, "node0"), {
      nodeId: 0,
      segmentBytes: 65_536,
    });
    const node = new FollowerNode(dir, persister);
    node.raft.init([null, silentPeer(), silentPeer()], 0, persister, node.applyChan);
    node.provider.notifyService(new RaftService(node.raft, node.log()));
    void node.applyChan.consume((batch) => {
      for (const message of batch) if (message.commandValid) node.applied.push(message.command);
    });
    node.port = (await node.provider.run("127.0.0.1", 0)).port;
    return node;
  }

  private log(): Logger {
    return { ...silentLogger, error: (_fields, message) => this.errors.push(message) };
  }

  get lastLogIndex(): number {
    return this.raft.status().lastLogIndex;
  }

  /** By `ms`; the node looks at its clock when the next request comes. */
  advance(ms: number): void {
    this.now += ms;
  }

  async stop(): Promise<void> {
    await this.provider.close(0);
    await this.raft.stop();
    this.applyChan.close();
    await this.persister.close();
    await rm(this.dir, { recursive: true, force: true });
  }
}

function nothing(): void {}

/** One that never answers. */
function silentPeer(): RaftPeer {
  return {
    onDown: nothing,
    AppendEntries: nothing,
    RequestVote: nothing,
    InstallSnapshot: nothing,
    TimeoutNow: nothing,
    close: nothing,
  };
}

/**
 * Sends one whole frame as the original does, and takes what one read returns.
 * @returns null when the connection was reset instead.
 */
export async function ask(port: number, frame: Uint8Array): Promise<Buffer | null> {
  const socket: Socket = connect({ host: "127.0.0.1", port, noDelay: true });
  try {
    return await new Promise((resolve, reject) => {
      socket.once("data", resolve);
      socket.once("end", () => reject(new Error("a FIN: the original takes it for a reply")));
      socket.once("error", (error: NodeJS.ErrnoException) => {
        if (error.code === "ECONNRESET") resolve(null);
        else reject(error);
      });
      socket.write(frame);
    });
  } finally {
    socket.destroy();
  }
}
