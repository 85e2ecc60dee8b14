/**
 * Random histories against a model, with crashes that keep any part of what was not synced:
 * nothing that was acknowledged is missing afterwards, and nothing is there that was never saved.
 */
import assert from "node:assert/strict";
import * as fc from "fast-check";
import { expect, test } from "vitest";
import type { SnapshotMeta } from "../../../raft/core/types.js";
import type { WalPersister } from "../../../raft/persister/walPersister.js";
import { describeLog, type LogState, matches, nothing, statesOf } from "./logModel.js";
import { MemoryDisk } from "./memoryDisk.js";
import { open, readSnapshot, writeSnapshot } from "./support.js";

type Step =
  | {
      readonly kind: "save";
      readonly back: number;
      readonly sizes: readonly number[];
      readonly vote: boolean;
    }
  | { readonly kind: "snapshot"; readonly back: number; readonly trailing: number }
  | { readonly kind: "reset"; readonly ahead: number }
  | { readonly kind: "turn" }
  | { readonly kind: "close" }
  | { readonly kind: "kill" }
  | { readonly kind: "crash"; readonly keeps: readonly boolean[] };

const size = fc.oneof(
  { weight: 8, arbitrary: fc.nat(60) },
  { weight: 3, arbitrary: fc.nat(1500) },
  { weight: 1, arbitrary: fc.constant(6000) },
);
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 10,
    arbitrary: fc.record({
      kind: fc.constant("save" as const),
      back: fc.oneof({ weight: 5, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.nat(6) }),
      sizes: fc.array(size, { maxLength: 6 }),
      vote: fc.boolean(),
    }),
  },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant("turn" as const) }) },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant("snapshot" as const),
      back: fc.nat(8),
      trailing: fc.nat(5),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("reset" as const), ahead: fc.nat(9) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("close" as const) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("kill" as const) }) },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant("crash" as const),
      keeps: fc.array(fc.boolean(), { minLength: 1, maxLength: 30 }),
    }),
  },
);

class Run {
  private readonly disk = new MemoryDisk();
  private persister!: WalPersister;
  /** All that the log may be after a crash now; the first is what was acknowledged last. */
  private states: LogState[] = [nothing];
  /** Snapshots that may be the newest after a crash: committed, then those under way. */
  private snapshots: (SnapshotMeta | null)[] = [null];
  private readonly work: Promise<void>[] = [];
  private crashes = 0;
  private filler = 0;
  private readonly waits: boolean;

  constructor(waits: boolean) {
    this.waits = waits;
  }

  async start(): Promise<void> {
    await this.reopen();
  }

  async take(one: Step): Promise<void> {
    switch (one.kind) {
      case "save":
        return this.save(one.back, one.sizes, one.vote);
      case "snapshot":
        return this.snapshot(one.back, one.trailing);
      case "reset":
        return this.reset(one.ahead);
      case "turn":
        return turn();
      case "close":
        await Promise.allSettled(this.work);
        await this.persister.close();
        this.states = [this.now];
        return this.reopen();
      case "kill":
        return this.kill();
      case "crash":
        return this.crash(one.keeps);
    }
  }

  private get now(): LogState {
    return this.states.at(-1)!;
  }

  private get end(): SnapshotMeta {
    return this.now.log.at(-1) ?? this.now.base;
  }

  private save(back: number, sizes: readonly number[], vote: boolean): void {
    const last = this.end.index;
    // What a snapshot stands for was committed, and is never replaced.
    const committed = this.snapshots.at(-1)?.index ?? 0;
    const first = Math.max(last + 1 - back, committed + 1, this.now.base.index + 1);
    const term = this.now.hardState.term + 1;
    const hardState = vote ? { term, votedFor: term % 3 } : null;
    const entries = sizes.map((bytes, i) => ({
      index: first + i,
      term,
      command: new Uint8Array(bytes).fill(++this.filler),
    }));
    this.states.push(...statesOf(this.now, hardState, entries));
    const state = this.now;
    this.persister.save({ hardState, entries }, () => this.acknowledge(state));
  }

  private acknowledge(state: LogState): void {
    const at = this.states.indexOf(state);
    assert.notEqual(at, -1, "acknowledged in order");
    this.states.splice(0, at);
  }

  private async snapshot(back: number, trailing: number): Promise<void> {
    await Promise.allSettled(this.work);
    const entry = this.now.log.at(-1 - back);
    if (entry === undefined || entry.index <= (this.snapshots[0]?.index ?? 0)) return;
    const meta = { index: entry.index, term: entry.term };
    this.snapshots.push(meta);
    this.begin(async (persister) => {
      await writeSnapshot(persister, meta);
      this.committed(meta);
      await persister.compact(meta, Math.max(0, meta.index - trailing));
    });
  }

  private async reset(ahead: number): Promise<void> {
    await Promise.allSettled(this.work);
    const meta = { index: this.end.index + 1 + ahead, term: this.now.hardState.term + 1 };
    this.snapshots.push(meta);
    await writeSnapshot(this.persister, meta, undefined, "received");
    this.committed(meta);
    this.states.push({ ...this.now, log: [], base: meta });
    const state = this.now;
    this.begin(async (persister) => {
      await persister.resetLog(meta);
      if (this.states.includes(state)) this.acknowledge(state);
    });
  }

  private committed(meta: SnapshotMeta): void {
    this.snapshots.splice(0, this.snapshots.indexOf(meta));
  }

  /** Lets something go on beside what follows; a crash ends it. */
  private begin(what: (persister: WalPersister) => Promise<void>): void {
    const { persister, crashes } = this;
    const run = async (): Promise<void> => {
      try {
        await what(persister);
      } catch (error) {
        if (this.crashes === crashes) throw error;
      }
    };
    this.work.push(run());
  }

  /** What the next process finds it takes for durable: the power may go right after. */
  private async kill(): Promise<void> {
    this.crashes++;
    this.disk.kill();
    await this.reopen();
  }

  private async crash(keeps: readonly boolean[]): Promise<void> {
    let at = 0;
    this.crashes++;
    this.disk.crash(() => keeps.at(at++ % keeps.length)!);
    await this.reopen();
  }

  private async reopen(): Promise<void> {
    const { waits } = this;
    this.persister = await open(this.disk, {
      now: () => 0,
      syncPolicy: { waits: () => waits, observe: () => {} },
    });
    const { hardState, snapshot, entries } = this.persister.recovered;
    const candidates = this.snapshots.map((meta) => meta?.index);
    assert.ok(candidates.includes(snapshot?.index), `snapshot ${snapshot?.index}`);
    const state = this.states.find((one) => matches(one, hardState, snapshot, entries));
    assert.ok(state, `recovered: ${describeLog(hardState, snapshot, entries)}`);
    if (snapshot !== null) {
      const bytes = (await readSnapshot(this.persister)) ?? new Uint8Array();
      assert.equal(new TextDecoder().decode(bytes), `state ${snapshot.index}`);
    }
    this.snapshots = [snapshot];
    this.states = [{ hardState, log: entries, base: snapshot ?? nothing.base }];
  }
}

function turn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}

test("what was acknowledged is there after any crash, and nothing else", async () => {
  const checked = fc.assert(
    fc.asyncProperty(fc.boolean(), fc.array(step, { maxLength: 40 }), async (waits, steps) => {
      const run = new Run(waits);
      await run.start();
      for (const one of steps) await run.take(one);
      await run.take({ kind: "crash", keeps: [true, false, false] });
      await run.take({ kind: "close" });
    }),
    { numRuns: 400 },
  );
  await expect(checked).resolves.toBeUndefined();
});
