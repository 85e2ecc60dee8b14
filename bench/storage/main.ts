/**
 * Durable appends to this project's log beside other stores, in turn and on one file system: a
 * batch is handed over, waited for until it would survive a crash, then the next.
 */
import { randomBytes } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { cpus, tmpdir } from "node:os";
import path from "node:path";
import { parseArgs } from "node:util";
import { LatencyRecorder } from "../kv/latency.js";
import { installPeers, LevelStore, peersInstalled, SqliteStore } from "./peers.js";
import { RawStore } from "./rawStore.js";
import { medians, table, type Cell } from "./report.js";
import type { Store } from "./store.js";
import { WalStore } from "./walStore.js";
import { orUsage } from "../usage.js";

const help = `usage: npm run bench:storage -- [options]

  --install        installs better-sqlite3 and classic-level first (bench/storage/peers)
  --batches LIST   entries that share a sync (1,8,64,512)
  --entry-bytes N  size of an entry (256)
  --rounds N       runs of everything; the table shows medians (3)
  --seconds S      of each measurement (2)
  --dir DIR        where the stores are made (the system's temporary folder)
  --out FILE       writes FILE.json`;

const values = orUsage(help, () =>
  parseArgs({
    options: {
      install: { type: "boolean", default: false },
      batches: { type: "string", default: "1,8,64,512" },
      "entry-bytes": { type: "string", default: "256" },
      rounds: { type: "string", default: "3" },
      seconds: { type: "string", default: "2" },
      dir: { type: "string", default: tmpdir() },
      out: { type: "string" },
      help: { type: "boolean", short: "h", default: false },
    },
  }),
);
const batches = values.batches.split(",").map(Number);
const entryBytes = Number(values["entry-bytes"]);
const rounds = Number(values.rounds);
const measureMs = Number(values.seconds) * 1000;
/** Before anything is counted: code is compiled, the file's first segments are there. */
const warmUpMs = measureMs / 4;

if (values.install && !installPeers()) process.exit(1);
const makers: (() => Store)[] = [() => new WalStore(), () => new RawStore()];
if (peersInstalled())
  makers.push(
    () => new SqliteStore(),
    () => new LevelStore(),
  );
else
  console.error(
    "better-sqlite3 and classic-level are left out: npm run bench:storage -- --install gets them",
  );

async function measure(store: Store, batch: number): Promise<Cell> {
  const entries = Array.from({ length: batch }, () => randomBytes(entryBytes));
  const latencies = new LatencyRecorder();
  let count = 0;
  const run = async (ms: number): Promise<number> => {
    const startedAt = performance.now();
    let now = startedAt;
    while (now - startedAt < ms) {
      const before = now;
      await store.write(entries);
      now = performance.now();
      latencies.add(now - before);
      count++;
    }
    return (now - startedAt) / 1000;
  };
  await run(warmUpMs);
  latencies.reset();
  count = 0;
  const seconds = await run(measureMs);
  const { p50, p99 } = latencies.summary();
  return { store: store.name, batch, syncsPerSecond: count / seconds, p50, p99 };
}

async function measureAnew(store: Store, batch: number): Promise<Cell> {
  const directory = await mkdtemp(path.join(values.dir, "storage-bench-"));
  try {
    await store.open(directory);
    const cell = await measure(store, batch);
    await store.close();
    return cell;
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

const cells: Cell[] = [];
for (let round = 1; round <= rounds; round++)
  for (const batch of batches)
    for (const make of makers) {
      const store = make();
      console.error(`round ${round} of ${rounds}: ${batch} a sync, ${store.name}`);
      cells.push(await measureAnew(store, batch));
    }

console.log(
  `entries of ${entryBytes} B, ${measureMs / 1000} s each, medians of ${rounds}; ` +
    `${cpus().length} cores, Node ${process.versions.node}\n`,
);
console.log(table(medians(cells)));
if (values.out !== undefined)
  await writeFile(`${values.out}.json`, `${JSON.stringify({ entryBytes, cells }, null, 1)}\n`);
