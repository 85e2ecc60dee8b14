import type { RaftCore, SnapshotMeta, SnapshotTransfer } from "../../raft/core/index.js";
import type { ChainMachine } from "./chainMachine.js";
import type { CoreNode, World } from "./coreNode.js";
import type { SnapshotImage } from "./durableState.js";
import type { Served } from "./simRpc.js";

interface ChunkReply {
  readonly term: number;
  readonly isInstalled: boolean;
}

/** One snapshot on its way to one follower. */
interface Transfer {
  readonly to: number;
  readonly term: number;
  readonly image: SnapshotImage;
  /** The node's life in which it began: it ends with it. */
  readonly core: RaftCore;
}

/** Attempts at one chunk before the transfer is given up. */
const chunkAttemptsMax = 3;

/** The snapshots that a node takes, sends and receives, in one of its lives. */
export class CoreSnapshots {
  private readonly node: CoreNode;
  private readonly world: World;
  private newestIndex: number;
  private isTaking = false;
  private received: SnapshotImage | null = null;
  /** "follower/term" of the transfers whose end was not told to the core. */
  private readonly underWay = new Set<string>();

  constructor(node: CoreNode, world: World, newestIndex: number) {
    this.node = node;
    this.world = world;
    this.newestIndex = newestIndex;
  }

  /** Takes a snapshot when enough was applied since the last, and compacts the log behind it. */
  applied(machine: ChainMachine): void {
    const { snapshotEntries, trailingEntries } = this.world.tuning.node;
    if (this.isTaking || machine.index - this.newestIndex < snapshotEntries) return;
    const image = machine.snapshot();
    const { index } = image.meta;
    const through = Math.max(0, index - trailingEntries);
    this.isTaking = true;
    this.whenWritten(image, (core) => {
      this.isTaking = false;
      this.newestIndex = Math.max(this.newestIndex, index);
      core.compact(through);
      this.node.disk.append({ compactThrough: through }, () => {});
    });
  }

  /** What was received at `meta`, for the state machine to be set to. */
  take(meta: SnapshotMeta): SnapshotImage {
    const image = this.received;
    if (image === null || image.meta.index !== meta.index)
      throw new Error(`node ${this.node.id} takes a snapshot of ${meta.index} that never came`);
    this.newestIndex = Math.max(this.newestIndex, meta.index);
    return image;
  }

  send({ to, term }: SnapshotTransfer): void {
    const { core, durable } = this.node;
    const image = durable.snapshot;
    if (core === null || image === null)
      throw new Error(`node ${this.node.id} has no snapshot to send`);
    const name = `${to}/${term}`;
    if (this.underWay.has(name)) throw new Error(`two snapshot transfers to ${name} at a time`);
    this.underWay.add(name);
    this.node.event("send snapshot", to, image.meta.index);
    this.sendChunk({ to, term, image, core }, 1, 1);
  }

  private sendChunk(transfer: Transfer, chunk: number, attempt: number): void {
    const { to, term, image, core } = transfer;
    if (this.node.core !== core || core.term !== term || core.role !== "leader") return;
    const isLast = chunk >= this.world.tuning.node.snapshotChunks;
    this.world.rpc.call<ChunkReply>({
      from: this.node.id,
      to,
      mayRepeat: false,
      serve: (respond) =>
        this.world.node(to).serveChunk(this.node.id, term, isLast ? image : null, respond),
      done: (reply) => {
        if (this.node.core !== core) return;
        if (reply !== null) this.chunkSent(transfer, chunk, isLast, reply);
        else if (attempt >= chunkAttemptsMax) this.ended(transfer, false);
        else this.sendChunk(transfer, chunk, attempt + 1);
      },
    });
  }

  private chunkSent(transfer: Transfer, chunk: number, isLast: boolean, reply: ChunkReply): void {
    const { to, term } = transfer;
    this.node.input("chunk sent", (core) => core.snapshotProgressed(to, term, reply.term));
    if (isLast) this.ended(transfer, reply.isInstalled);
    else this.sendChunk(transfer, chunk + 1, 1);
  }

  private ended({ to, term, image }: Transfer, isInstalled: boolean): void {
    this.node.input("snapshot sent", (core) => {
      this.underWay.delete(`${to}/${term}`);
      core.snapshotSent(to, term, image.meta, isInstalled);
    });
  }

  /** @param whole comes with the last chunk; the others carry nothing that matters here. */
  serveChunk(
    from: number,
    term: number,
    whole: SnapshotImage | null,
    respond: (reply: ChunkReply) => void,
  ): Served {
    return this.node.input("chunk", (core) => {
      const isCurrent = core.snapshotChunk(term, from);
      const answer = (isInstalled: boolean): void => respond({ term: core.term, isInstalled });
      if (whole === null || !isCurrent) this.afterSaves(() => answer(false));
      else this.whenWritten(whole, () => this.install(term, from, whole, answer));
    });
  }

  private install(
    term: number,
    from: number,
    image: SnapshotImage,
    answer: (isInstalled: boolean) => void,
  ): void {
    const core = this.node.core!;
    const isCurrent = core.term <= term;
    this.received = image;
    core.snapshotReceived(term, from, image.meta);
    this.afterSaves(() => answer(isCurrent));
  }

  private whenWritten(image: SnapshotImage, task: (core: RaftCore) => void): void {
    const { node } = this;
    node.disk.writeSnapshot(
      image,
      node.inThisLife(() => node.input("snapshot written", task)),
    );
  }

  /** Calls `task` when the disk has all that the core wants saved now, a reset log among it. */
  private afterSaves(task: () => void): void {
    const { node } = this;
    node.drain();
    node.disk.append(
      {},
      node.inThisLife(() => node.input("answer", task)),
    );
  }
}
