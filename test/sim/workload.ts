import type { CoreNode, World } from "./coreNode.js";
import type { Prng } from "./prng.js";

/** Uncommitted entries at which clients wait: there are only so many of them. */
const uncommittedMax = 500;

/** Clients that propose commands, no two alike, and ask for reads. */
export class Workload {
  private readonly world: World;
  private readonly nodes: readonly CoreNode[];
  private readonly prng: Prng;
  private isStopped = false;
  private commands = 0;

  constructor(world: World, nodes: readonly CoreNode[], prng: Prng) {
    this.world = world;
    this.nodes = nodes;
    this.prng = prng;
  }

  start(): void {
    const { intervalMsMax, readChance } = this.world.tuning.workload;
    this.world.clock.after(this.prng.between(0, intervalMsMax), () => {
      if (this.isStopped) return;
      const node = this.choose();
      if (this.prng.chance(readChance)) node.read();
      else if (backlog(node) < uncommittedMax) this.propose(node);
      this.start();
    });
  }

  stop(): void {
    this.isStopped = true;
  }

  /** Proposes one batch; returns the index of its last command, or 0. */
  propose(node: CoreNode): number {
    const { batchMax } = this.world.tuning.workload;
    const commands = Array.from({ length: this.prng.int(1, batchMax) }, () => this.command());
    const result = node.propose(commands);
    if (result?.outcome !== "accepted") return 0;
    const first = result.lastIndex - commands.length + 1;
    commands.forEach((command, at) =>
      this.world.invariants.proposalAccepted(first + at, result.term, command),
    );
    return result.lastIndex;
  }

  /** Mostly one that believes that it leads; an old leader often enough. */
  private choose(): CoreNode {
    const leaders = this.nodes.filter(({ core }) => core?.role === "leader");
    return leaders.length > 0 && this.prng.chance(0.9)
      ? this.prng.pick(leaders)
      : this.prng.pick(this.nodes);
  }

  private command(): Uint8Array {
    const bytes = new Uint8Array(this.prng.int(4, this.world.tuning.workload.commandBytesMax));
    new DataView(bytes.buffer).setUint32(0, ++this.commands);
    return bytes;
  }
}

function backlog({ core }: CoreNode): number {
  return core === null ? 0 : core.log.lastIndex - core.log.commitIndex;
}
