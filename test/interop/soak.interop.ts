import { afterEach, expect, it } from "vitest";
import { Prng } from "../sim/prng.js";
import { allHaveIt, missingPuts, oursLead, theirsLead } from "./leadership.js";
import { Load, OurWriter, PeerWriter } from "./load.js";
import { MixedCluster, type Kind } from "./mixedCluster.js";

/** Mixed clusters under load and faults, one after the other; `npm run soak:interop` has them longer. */
const seconds = Number(process.env["INTEROP_SECONDS"] ?? 20);
const seed = Number(process.env["INTEROP_SEED"] ?? 1);

const mixtures: readonly (readonly Kind[])[] = [
  ["cpp", "ours", "ours"],
  ["ours", "cpp", "cpp"],
  ["ours", "ours", "cpp"],
  ["cpp", "cpp", "ours"],
];
/** Of one cluster, whose log is kept whole by each. */
const faultsMax = 25;
const pauseMsMax = 1_500;

let cluster: MixedCluster | null = null;
let load: Load | null = null;

afterEach(async () => {
  await load?.close();
  await cluster?.destroy();
});

class Soak {
  readonly total = {
    clusters: 0,
    puts: 0,
    theirPuts: 0,
    failovers: 0,
    restarts: 0,
    kills: 0,
    freezes: 0,
    lateEnds: 0,
    clerkEnds: 0,
  };
  /** Puts that were lost, and processes that ended, but should not have. */
  readonly failures: string[] = [];
  private readonly prng = new Prng(seed);
  private readonly until = performance.now() + seconds * 1_000;

  get isOver(): boolean {
    return performance.now() >= this.until;
  }

  async runOne(): Promise<void> {
    const current = await MixedCluster.of(this.prng.pick(mixtures));
    cluster = current;
    current.bootAll();
    await current.leader();
    const theirs = new PeerWriter("theirs", current.nodesFile);
    load = new Load([
      theirs,
      ...OurWriter.together(["a", "b", "c"], current.nodes),
      ...OurWriter.together(["d"], current.nodes),
    ]);
    for (let faults = 0; faults < faultsMax && !this.isOver; faults++) {
      await load.more(this.prng.int(1, 100));
      await this.fault(current, load);
      this.check(current, current.unwantedEnds);
      // No second one before all that was acknowledged is where it was before the first.
      await load.more(30);
    }
    const missing = await missingPuts(current, load);
    const ends = [...current.unwantedEnds, ...(theirs.badEnd === "" ? [] : [theirs.badEnd])];
    this.check(current, [...missing.map((put) => `lost: ${put}`), ...ends]);
    this.add(current, theirs);
    await load.close();
    await current.destroy();
  }

  private check(current: MixedCluster, failures: readonly string[]): void {
    if (failures.length === 0) return;
    this.failures.push(...failures, current.describe());
    throw new Error(`seed ${seed}: ${this.failures.join("\n")}`);
  }

  private async fault(current: MixedCluster, writing: Load): Promise<void> {
    const ours = this.prng.pick(current.idsOf("ours"));
    switch (this.prng.int(0, 5)) {
      case 0:
        return void (await theirsLead(current, writing));
      case 1:
        return void (await oursLead(current, writing));
      case 2:
        return current.restart(ours, "SIGTERM");
      case 3:
        return current.restart(ours, "SIGKILL");
      case 4: {
        // They come back under a leader of ours alone, which waits until they are ready.
        await oursLead(current, writing);
        await current.restart(this.prng.pick(current.idsOf("cpp")));
        await oursLead(current, writing);
        return allHaveIt(current);
      }
      default: {
        const id = this.prng.int(0, current.kinds.length - 1);
        if (current.missing.includes(id)) return;
        current.freeze(id);
        await new Promise((resolve) => setTimeout(resolve, this.prng.between(10, pauseMsMax)));
        current.thaw(id);
        // One of theirs that led may have ended of it.
        await oursLead(current, writing);
      }
    }
  }

  private add({ counts, lateEnds }: MixedCluster, theirs: PeerWriter): void {
    this.total.clusters++;
    this.total.puts += load!.acknowledged;
    this.total.theirPuts += theirs.acknowledged;
    this.total.failovers += counts.failovers;
    this.total.restarts += counts.restarts;
    this.total.kills += counts.kills;
    this.total.freezes += counts.freezes;
    this.total.lateEnds += lateEnds;
    this.total.clerkEnds += theirs.finEnds;
  }
}

it(
  `mixed clusters keep what they acknowledged for ${seconds} s (seed ${seed})`,
  async () => {
    const soak = new Soak();
    while (!soak.isOver) await soak.runOne();
    const { total } = soak;
    expect(soak.failures).toEqual([]);
    expect(total.puts).toBeGreaterThan(0);
    console.log(
      `seed ${seed}: ${total.clusters} clusters, ${total.puts} puts (${total.theirPuts} by C++ clerks), ` +
        `${total.failovers} failovers, ${total.restarts} restarts, ${total.freezes} pauses, ` +
        `${total.kills} processes ended by the test; by themselves ${total.lateEnds} C++ leaders for ` +
        `a late put and ${total.clerkEnds} C++ clerks for a FIN, no other`,
    );
  },
  seconds * 1_000 + 240_000,
);
