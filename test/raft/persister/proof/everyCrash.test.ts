/**
 * Every crash point of a node's life, with everything that a disk may make of what was not synced:
 * nothing acknowledged is missing afterwards, and nothing is there that was never saved.
 *
 * `npm run proof:storage` tries all of it; here a sample.
 */
import { createHash } from "node:crypto";
import { expect, test } from "vitest";
import { Prng } from "../../../sim/prng.js";
import { type CrashKind, DiskImage } from "./crashStates.js";
import { checkState, openAndCheck } from "./checkState.js";
import { type Files, type Recorded, RecordingDisk } from "./recordingDisk.js";
import { live, liveAtRandom, type Promised, record } from "./workload.js";

const isFull = process.env["STORAGE_PROOF"] === "full";
/** Lives of drawn steps, beside the written one. */
const lives = isFull ? 30 : 2;
/** Of so many states one is tried. */
const stride = isFull ? 1 : 7;
/** Of those, of so many one is crashed again while it is recovered. */
const nestedStride = isFull ? 97 : 200;

function digest(files: Files): string {
  const hash = createHash("md5");
  for (const path of [...files.keys()].sort()) hash.update(path).update(files.get(path)!);
  return hash.digest("base64");
}

type Kind = CrashKind | "killed";

interface Counts {
  /** Each is a crash point. */
  operations: number;
  states: number;
  readonly kinds: Record<Kind, number>;
  /** Recoveries that were crashed, and the states that this left. */
  recoveries: number;
  nested: number;
}

class Trial {
  readonly counts: Counts = {
    operations: 0,
    states: 0,
    kinds: { killed: 0, sectors: 0, sizes: 0, "torn sector": 0, names: 0 },
    recoveries: 0,
    nested: 0,
  };
  private readonly random: Prng;
  private readonly seen = new Set<string>();
  /** What was promised of those in `seen`. */
  private judged: Promised | null = null;
  private met = 0;

  constructor(seed: number) {
    this.random = new Prng(seed);
  }

  async run(trace: readonly Recorded<Promised>[]): Promise<void> {
    const image = new DiskImage();
    for (const [at, { operation }] of trace.entries()) {
      this.counts.operations++;
      image.apply(operation);
      // As the crash comes, all is promised that was before the next operation began.
      const { promised } = trace[at + 1] ?? trace[at]!;
      const killed = { kind: "killed", files: image.killed() } as const;
      for (const state of [killed, ...image.crashed(this.random)]) {
        await this.tryOne(state, promised, `${state.kind}, operation ${at} (${operation.kind})`);
      }
    }
  }

  private async tryOne(
    { kind, files }: { readonly kind: Kind; readonly files: Files },
    promised: Promised,
    where: string,
  ): Promise<void> {
    const key = digest(files);
    if (this.judged !== promised) this.seen.clear();
    this.judged = promised;
    if (this.seen.has(key)) return;
    this.seen.add(key);
    if (this.met++ % stride !== 0) return;
    try {
      await checkState(files, promised);
      this.counts.states++;
      this.counts.kinds[kind]++;
      if (this.counts.states % nestedStride === 0) await this.crashRecovery(files, promised);
    } catch (error) {
      throw new Error(`${where}, state ${this.met}: ${(error as Error).message}`, { cause: error });
    }
  }

  /** The power may go again while the node is recovering. */
  private async crashRecovery(files: Files, promised: Promised): Promise<void> {
    const disk = new RecordingDisk<null>(() => null, files);
    await openAndCheck(disk.mount(), promised);
    const image = new DiskImage(files);
    this.counts.recoveries++;
    for (const { operation } of disk.trace) {
      image.apply(operation);
      for (const again of image.crashed(this.random)) {
        await checkState(again.files, promised);
        this.counts.nested++;
      }
    }
  }
}

test.each([true, false])(
  "every crash leaves what was acknowledged, with syncs that are waited for: %s",
  async (waits) => {
    const trial = new Trial(1);
    await trial.run(await record(waits, live));
    for (let seed = 1; seed <= lives; seed++) {
      await trial.run(await record(waits, (life) => liveAtRandom(life, new Prng(seed))));
    }
    console.log(JSON.stringify(trial.counts));
    const { states } = trial.counts;
    expect(states).toBeGreaterThan(isFull ? 10_000 : 150);
  },
  isFull ? 1_800_000 : 30_000,
);
