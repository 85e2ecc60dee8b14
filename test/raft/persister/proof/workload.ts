/** Nodes' lives in miniature on a recording disk, and what they were promised at each moment. */
import type { Entry, HardState, SnapshotMeta } from "../../../../raft/core/types.js";
import type { StorageFs } from "../../../../raft/persister/storageFs.js";
import { WalPersister } from "../../../../raft/persister/walPersister.js";
import type { Prng } from "../../../sim/prng.js";
import { type LogState, nothing, statesOf } from "../logModel.js";
import { directory, segmentBytes, writeSnapshot } from "../support.js";
import { type Recorded, RecordingDisk } from "./recordingDisk.js";

/** What a crash may leave at the least and at the most. */
export interface Promised {
  /** The first was acknowledged last; each further one was asked for since. */
  readonly states: readonly LogState[];
  /** Snapshots that may be the newest one. */
  readonly snapshots: readonly (SnapshotMeta | null)[];
}

export const nothingPromised: Promised = { states: [nothing], snapshots: [null] };

/** The same on every run, so that a state can be met again. */
export function openOptions(waits: boolean) {
  return {
    nodeId: 1,
    segmentBytes,
    now: () => 0,
    // Those of tens of thousands of processes that were killed would run on.
    every: () => () => {},
    randomBytes: (count: number) => new Uint8Array(count).fill(7),
    syncPolicy: { waits: () => waits, observe: () => {} },
  };
}

/** Where a life takes place. */
export interface Host {
  readonly directory: string;
  /** The file system of a process; each `open` has one of its own. */
  mount(): StorageFs;
}

export class Life {
  promised: Promised = nothingPromised;
  phase: "opening" | "running" | "closing" | "closed" = "closed";
  /** What `onFailure` was called with. */
  readonly failures: Error[] = [];
  /** What was acknowledged after that. */
  lateAcknowledgements = 0;
  private persister: WalPersister | null = null;
  private readonly waits: boolean;
  private readonly host: Host;
  private filler = 0;
  /** Rejects when the persister fails: what waits for the disk then waits in vain. */
  private failed: Promise<never> = new Promise(() => {});

  constructor(waits: boolean, host: Host) {
    this.waits = waits;
    this.host = host;
  }

  async open(): Promise<void> {
    this.phase = "opening";
    const options = { ...openOptions(this.waits), fs: this.host.mount() };
    const persister = await WalPersister.open(this.host.directory, options);
    this.persister = persister;
    this.failed = new Promise((_, reject) => {
      persister.onFailure = (error) => {
        this.failures.push(error);
        reject(error);
      };
    });
    this.failed.catch(() => {});
    this.phase = "running";
  }

  /** Does nothing when it is not open. */
  async close(): Promise<void> {
    const { persister } = this;
    this.persister = null;
    this.phase = "closing";
    await persister?.close();
    this.phase = "closed";
  }

  /** Resolves when it is acknowledged; may be left alone. */
  save(hardState: HardState | null, entries: readonly Entry[] = []): Promise<void> {
    const { states, snapshots } = this.promised;
    const all = [...states, ...statesOf(states.at(-1)!, hardState, entries)];
    this.promised = { states: all, snapshots };
    const saved = all.at(-1)!;
    const durable = new Promise<void>((resolve) => {
      this.running.save({ hardState, entries }, () => {
        if (this.failures.length > 0) this.lateAcknowledgements++;
        this.acknowledge(saved);
        resolve();
      });
    });
    const ended = Promise.race([durable, this.failed]);
    ended.catch(() => {});
    return ended;
  }

  entries(from: number, term: number, sizes: readonly number[]): Entry[] {
    return sizes.map((bytes, i) => ({
      index: from + i,
      term,
      command: new Uint8Array(bytes).fill(++this.filler),
    }));
  }

  /** May be left alone. */
  snapshot(meta: SnapshotMeta, kind: "local" | "received"): Promise<void> {
    const taken = this.takeSnapshot(meta, kind);
    taken.catch(() => {});
    return taken;
  }

  compact(meta: SnapshotMeta, through: number): Promise<void> {
    const compacted = this.running.compact(meta, through);
    compacted.catch(() => {});
    return compacted;
  }

  async reset(meta: SnapshotMeta): Promise<void> {
    const { states, snapshots } = this.promised;
    const state = { ...states.at(-1)!, log: [], base: meta };
    this.promised = { states: [...states, state], snapshots };
    await this.running.resetLog(meta);
    this.acknowledge(state);
  }

  /** What the log holds once all that was asked for is done. */
  get now(): LogState {
    return this.promised.states.at(-1)!;
  }

  get end(): SnapshotMeta {
    return this.now.log.at(-1) ?? this.now.base;
  }

  /** Up to here the log is committed: a conflict can't reach it. */
  get committed(): number {
    return Math.max(this.promised.snapshots.at(-1)?.index ?? 0, this.now.base.index);
  }

  private get running(): WalPersister {
    if (this.persister === null) throw new Error("the log is not open");
    return this.persister;
  }

  private async takeSnapshot(meta: SnapshotMeta, kind: "local" | "received"): Promise<void> {
    const { states, snapshots } = this.promised;
    this.promised = { states, snapshots: [...snapshots, meta] };
    await writeSnapshot(this.running, meta, stateAt(meta), kind);
    this.promised = { ...this.promised, snapshots: [meta] };
  }

  private acknowledge(state: LogState): void {
    const { states, snapshots } = this.promised;
    const at = states.indexOf(state);
    // What came later may have been acknowledged before it was this one's turn to be told.
    if (at > 0) this.promised = { states: states.slice(at), snapshots };
  }
}

/** What a snapshot holds; longer than a sector, so that it can be torn. */
export function stateAt({ index }: SnapshotMeta): Uint8Array {
  return new TextEncoder().encode(`state ${index};`.repeat(80));
}

/** All that a life did to its disk. */
export async function record(
  waits: boolean,
  script: (life: Life) => Promise<void>,
): Promise<Recorded<Promised>[]> {
  const disk = new RecordingDisk<Promised>(() => life.promised);
  const life = new Life(waits, { directory, mount: () => disk.mount() });
  await script(life);
  return disk.trace;
}

/**
 * Elections, appends alone and in groups, an entry larger than a segment, conflicts, snapshots of
 * its own and of a leader, compaction, and an orderly end in between.
 */
export async function live(life: Life): Promise<void> {
  await life.open();
  await life.save({ term: 1, votedFor: 1 });
  await life.save(null, life.entries(1, 1, [0, 10, 700]));
  const first = life.save(null, life.entries(4, 1, [30]));
  void life.save(null, life.entries(5, 1, [900, 900]));
  await first;
  await life.save({ term: 2, votedFor: -1 }, life.entries(7, 2, [20, 20, 20]));
  // A conflict: the leader of term 3 has none of 8 and 9.
  await life.save({ term: 3, votedFor: 0 }, life.entries(8, 3, [600, 600, 1200]));
  await life.save(null, life.entries(11, 3, [6000, 5]));
  const taken = life.snapshot({ index: 9, term: 3 }, "local");
  await life.save(null, life.entries(13, 3, [400, 400]));
  await taken;
  const compacted = life.compact({ index: 9, term: 3 }, 7);
  await life.save({ term: 4, votedFor: 2 }, life.entries(15, 4, [1500, 1500]));
  await compacted;
  await life.close();
  await life.open();
  await life.save(null, life.entries(16, 4, [50, 50]));
  // From a leader that is far ahead.
  const ahead = { index: 40, term: 5 };
  await life.save({ term: 5, votedFor: -1 });
  await life.snapshot(ahead, "received");
  await life.reset(ahead);
  const late = [
    life.save(null, life.entries(41, 5, [10, 10])),
    life.save({ term: 6, votedFor: 1 }),
  ];
  await Promise.all(late);
  await life.save(null, life.entries(42, 6, [2000, 300]));
  await life.snapshot({ index: 42, term: 6 }, "local");
  await life.compact({ index: 42, term: 6 }, 42);
  await life.save(null, life.entries(44, 6, [1]));
  await life.close();
}

/** As `live`, with steps that are drawn. */
export async function liveAtRandom(life: Life, random: Prng): Promise<void> {
  await life.open();
  let pending: Promise<unknown>[] = [];
  const settle = async (): Promise<void> => {
    await Promise.all(pending);
    pending = [];
  };
  for (let step = 0; step < 14; step++) {
    const kind = random.pick(["save", "save", "save", "save", "snapshot", "reset", "reopen"]);
    if (kind === "save") pending.push(saveAtRandom(life, random));
    else await settle();
    if (random.chance(0.6)) await settle();
    if (kind === "snapshot") pending.push(snapshotAtRandom(life, random));
    if (kind === "reset") {
      const term = life.now.hardState.term + 1;
      const meta = { index: life.end.index + random.int(1, 9), term };
      await life.save({ term, votedFor: -1 });
      await life.snapshot(meta, "received");
      pending.push(life.reset(meta));
    }
    if (kind === "reopen") {
      await life.close();
      await life.open();
    }
  }
  await settle();
}

function saveAtRandom(life: Life, random: Prng): Promise<void> {
  const term = life.now.hardState.term + random.int(0, 1);
  const back = random.chance(0.25) ? random.int(1, 4) : 0;
  const from = Math.max(life.end.index + 1 - back, life.committed + 1);
  // What is replaced has an older term: one leader never contradicts itself.
  const hardState = { term: term + 1, votedFor: random.int(-1, 2) };
  const sizes = Array.from({ length: random.int(0, 4) }, () =>
    random.pick([0, 9, 60, 500, 1100, 1500]),
  );
  return life.save(hardState, life.entries(from, hardState.term, sizes));
}

async function snapshotAtRandom(life: Life, random: Prng): Promise<void> {
  const { log } = life.now;
  const entry = log.at(-random.int(1, 3));
  if (entry === undefined || entry.index <= life.committed) return;
  const meta = { index: entry.index, term: entry.term };
  await life.snapshot(meta, "local");
  await life.compact(meta, Math.max(0, meta.index - random.int(0, 3)));
}
