/** Directories as crashes, failures and damage leave them: one for each way that recovery goes. */
import { Prng } from "../../../sim/prng.js";
import { MemoryDisk } from "../memoryDisk.js";
import { directory, flip, recordsOf, segmentPaths } from "../support.js";
import { WalPersister } from "../../../../raft/persister/walPersister.js";
import { diskWith } from "./checkState.js";
import { DiskImage } from "./crashStates.js";
import { aftermaths, failures } from "./failures.js";
import { type Fault, FaultyDisk } from "./faultyDisk.js";
import { Life, live, openOptions, type Promised, record } from "./workload.js";

export interface Beginning {
  readonly name: string;
  /** To be copied: each trial begins with it. */
  readonly disk: MemoryDisk;
  readonly promised: Promised;
  /** What its recovery asks of the disk, in order. */
  readonly calls: readonly string[];
}

type Found = Omit<Beginning, "calls">;
/** Makes one when it is wanted: most are not looked at in a sample. */
type Source = () => Promise<Found> | Found;

/** @param stride Of so many directories that lives leave one is looked at. */
export async function beginnings(stride: number): Promise<Beginning[]> {
  const ways = new Map<string, Beginning>();
  const look = async (source: Source): Promise<void> => {
    const found = await source();
    const calls = await recoveryOf(found.disk);
    const way = calls.join("\n");
    if (!ways.has(way)) ways.set(way, { ...found, calls });
  };
  await look(damagedSnapshot);
  await look(tornWithWholeRecord);
  let met = 0;
  for await (const source of lives()) {
    if (met++ % stride === 0) await look(source);
  }
  return [...ways.values()];
}

async function* lives(): AsyncGenerator<Source> {
  for (const waits of [true, false]) {
    yield* crashed(waits);
    yield* failed(waits);
  }
}

async function recoveryOf(disk: MemoryDisk): Promise<readonly string[]> {
  const copy = disk.copy();
  const faulty = new FaultyDisk(() => copy.mount());
  await WalPersister.open(directory, { ...openOptions(true), fs: faulty.mount() });
  return [...faulty.calls];
}

/** What a loss of power leaves at any point of a life. */
async function* crashed(waits: boolean): AsyncGenerator<Source> {
  const trace = await record(waits, live);
  const image = new DiskImage();
  const random = new Prng(1);
  for (const [at, { operation }] of trace.entries()) {
    image.apply(operation);
    const { promised } = trace[at + 1] ?? trace[at]!;
    let state = 0;
    for (const { files } of image.crashed(random)) {
      const name = `crashed after operation ${at}, state ${state++}`;
      yield () => ({ name, disk: diskWith(files), promised });
    }
  }
}

/** What a call that fails leaves, whichever it is; of a killed process, too. */
async function* failed(waits: boolean): AsyncGenerator<Source> {
  const { calls } = await dieAt(waits, null, -1);
  for (const [how, fault] of Object.entries(failures)) {
    for (const [after, aftermath] of Object.entries(aftermaths)) {
      for (let at = 0; at < calls; at++) {
        yield async () => {
          const { disk, promised } = await dieAt(waits, fault, at);
          aftermath(disk, new Prng(at));
          return { name: `${how}, call ${at}, ${after}`, disk, promised };
        };
      }
    }
  }
}

async function dieAt(
  waits: boolean,
  fault: Fault | null,
  at: number,
): Promise<Omit<Found, "name"> & { calls: number }> {
  const disk = new MemoryDisk();
  const faulty = new FaultyDisk(() => disk.mount(), fault, at);
  faulty.onSyncFailed = (path) => disk.syncFailed(path);
  const life = new Life(waits, { directory, mount: () => faulty.mount() });
  await live(life).catch(() => {});
  await life.close().catch(() => {});
  return { disk, promised: life.promised, calls: faulty.calls.length };
}

/** The newest snapshot is damaged, and the log has all of it. */
async function damagedSnapshot(): Promise<Found> {
  const { disk, life } = await newLife();
  await life.save({ term: 1, votedFor: 1 }, life.entries(1, 1, [5, 5, 5]));
  await life.snapshot({ index: 2, term: 1 }, "local");
  disk.kill();
  const path = `${directory}/snapshot-1-2`;
  const bytes = disk.contents(path);
  flip(bytes, 100);
  disk.replace(path, bytes);
  const promised = { ...life.promised, snapshots: [null] };
  return { name: "a damaged snapshot", disk, promised };
}

/** The disk kept the later records of a batch and lost the first. */
async function tornWithWholeRecord(): Promise<Found> {
  const { disk, life } = await newLife();
  await life.save({ term: 1, votedFor: 1 }, life.entries(1, 1, [5, 5, 5]));
  const { promised } = life;
  const { end } = recordsOf(disk, 1).at(-1)!;
  await life.save({ term: 2, votedFor: 0 }, life.entries(4, 2, [5, 5]));
  disk.kill();
  const path = segmentPaths(disk)[0]!;
  const torn = disk.contents(path);
  torn.fill(0, end, end + 8);
  disk.replace(path, torn);
  return { name: "the later part of a batch", disk, promised };
}

async function newLife(): Promise<{ disk: MemoryDisk; life: Life }> {
  const disk = new MemoryDisk();
  const life = new Life(true, { directory, mount: () => disk.mount() });
  await life.open();
  return { disk, life };
}
