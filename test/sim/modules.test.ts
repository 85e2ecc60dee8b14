import { describe, expect, test } from "vitest";
import type { Entry } from "../../raft/core/index.js";
import { DurableState, type DiskObserver } from "./durableState.js";
import { calmNetwork, SimNetwork } from "./network.js";
import { Prng } from "./prng.js";
import { SimDisk } from "./simDisk.js";
import { SimRpc } from "./simRpc.js";
import { Trace } from "./trace.js";
import { VirtualClock } from "./virtualClock.js";

/* A simulation proves nothing if the world that it simulates is kinder than it says. */

function runAll(clock: VirtualClock): void {
  while (clock.step());
}

function words(seed: number): number[] {
  const prng = new Prng(seed);
  return Array.from({ length: 20 }, () => prng.word());
}

describe("Prng", () => {
  test("a seed gives one stream, another seed another", () => {
    expect(words(1)).toEqual(words(1));
    expect(words(1)).not.toEqual(words(2));
  });

  test("what a fork draws does not shift its parent", () => {
    const [a, b] = [new Prng(5), new Prng(5)];
    const fork = a.fork();
    b.fork();
    fork.word();
    expect(a.word()).toBe(b.word());
  });

  test("draws are spread evenly over their range", () => {
    const prng = new Prng(3);
    const counts = Array.from({ length: 10 }, () => 0);
    for (let draws = 0; draws < 10_000; draws++) counts[prng.int(0, 9)]!++;
    for (const count of counts) expect(Math.abs(count - 1000)).toBeLessThan(150);
  });
});

describe("VirtualClock", () => {
  test("events come in the order of their times, and of asking at one time", () => {
    const clock = new VirtualClock();
    const prng = new Prng(1);
    const seen: { at: number; order: number }[] = [];
    for (let order = 0; order < 500; order++) {
      const at = prng.int(0, 50);
      clock.after(at, () => seen.push({ at: clock.now, order }));
    }
    runAll(clock);
    expect(seen).toEqual([...seen].sort((a, b) => a.at - b.at || a.order - b.order));
    expect(seen).toHaveLength(500);
  });

  test("a cancelled event does not come, and time stands at the end of the wait", () => {
    const clock = new VirtualClock();
    clock.after(5, () => expect.unreachable())();
    expect(clock.step(10)).toBe(false);
    expect(clock.now).toBe(10);
  });
});

function deliveries(tuning: Partial<typeof calmNetwork>): number[] {
  const clock = new VirtualClock();
  const network = new SimNetwork(clock, new Prng(1), 2, { ...calmNetwork, ...tuning });
  const seen: number[] = [];
  for (let sent = 0; sent < 200; sent++) network.send(0, 1, () => seen.push(sent));
  runAll(clock);
  return seen;
}

describe("SimNetwork", () => {
  test("keeps the order where it promises to, and only there", () => {
    const inOrder = Array.from({ length: 200 }, (_, at) => at);
    expect(deliveries({ inOrder: true })).toEqual(inOrder);
    const reordered = deliveries({ inOrder: false });
    expect(reordered).not.toEqual(inOrder);
    expect(reordered.sort((a, b) => a - b)).toEqual(inOrder);
  });

  test("loses and duplicates as often as asked", () => {
    expect(deliveries({ lossChance: 1 })).toEqual([]);
    expect(deliveries({ duplicateChance: 1 })).toHaveLength(400);
    expect(deliveries({ lossChance: 0.5 }).length).toBeLessThan(150);
  });

  test("a blocked way swallows one direction, what is on it included", () => {
    const clock = new VirtualClock();
    const network = new SimNetwork(clock, new Prng(1), 2, calmNetwork);
    const seen: string[] = [];
    network.send(0, 1, () => seen.push("on its way"));
    network.send(1, 0, () => seen.push("back"));
    network.block(0, 1);
    runAll(clock);
    network.heal();
    network.send(0, 1, () => seen.push("healed"));
    runAll(clock);
    expect(seen).toEqual(["back", "healed"]);
  });
});

function answers(options: { lossChance?: number; repeatsReplies?: boolean }): unknown[] {
  const clock = new VirtualClock();
  const { lossChance = 0, repeatsReplies = false } = options;
  const tuning = { ...calmNetwork, lossChance, duplicateChance: 1 };
  const network = new SimNetwork(clock, new Prng(1), 2, tuning);
  const rpc = new SimRpc(clock, network, new Prng(2), {
    timeoutMs: 50,
    refusalChance: 0,
    repeatsReplies,
  });
  const seen: unknown[] = [];
  rpc.call<string>({
    from: 0,
    to: 1,
    mayRepeat: true,
    serve: (respond) => {
      respond("reply");
      return "served";
    },
    done: (reply) => seen.push(reply),
  });
  runAll(clock);
  return seen;
}

describe("SimRpc", () => {
  test("a call ends once: with its reply, or with null after its time", () => {
    expect(answers({})).toEqual(["reply"]);
    expect(answers({ lossChance: 1 })).toEqual([null]);
  });

  test("asked for, it hands over each reply to each copy of the request", () => {
    expect(answers({ repeatsReplies: true })).toEqual(["reply", "reply", "reply", "reply"]);
  });
});

const observer: DiskObserver = {
  hardStateWritten: () => {},
  entryWritten: () => {},
  logRewritten: () => {},
  snapshotWritten: () => {},
};

function disk(seed: number): { clock: VirtualClock; disk: SimDisk; state: DurableState } {
  const clock = new VirtualClock();
  const state = new DurableState(0, observer);
  const tuning = { syncMsMin: 1, syncMsMax: 9, groupCommitChance: 0.5, snapshotMsMax: 1 };
  return { clock, state, disk: new SimDisk(state, clock, new Prng(seed), tuning) };
}

function entries(first: number, last: number, term = 1): Entry[] {
  return Array.from({ length: last - first + 1 }, (_, at) => ({
    index: first + at,
    term,
    command: new Uint8Array(0),
  }));
}

describe("SimDisk", () => {
  test("writes become durable in order, later than asked, and are reported then", () => {
    const { clock, disk: written, state } = disk(1);
    const reported: number[] = [];
    for (let index = 1; index <= 20; index++)
      written.append({ entries: entries(index, index) }, () => {
        expect(state.lastIndex).toBeGreaterThanOrEqual(index);
        reported.push(index);
      });
    expect(state.lastIndex).toBe(0);
    runAll(clock);
    expect(reported).toEqual(entries(1, 20).map(({ index }) => index));
  });

  test("a crash keeps any prefix of what was under way, and reports none of it", () => {
    const kept = new Set<number>();
    for (let seed = 1; seed <= 300; seed++) {
      const { clock, disk: written, state } = disk(seed);
      for (let first = 1; first <= 7; first += 3)
        written.append({ entries: entries(first, first + 2) }, () => expect.unreachable());
      written.crash();
      runAll(clock);
      kept.add(state.lastIndex);
    }
    expect([...kept].sort((a, b) => a - b)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  });

  test("a torn write may keep the term without the entries, never the other way", () => {
    const outcomes = new Set<string>();
    for (let seed = 1; seed <= 300; seed++) {
      const { disk: written, state } = disk(seed);
      written.append({ hardState: { term: 4, votedFor: 1 }, entries: entries(1, 1) }, () => {});
      written.crash();
      outcomes.add(`${state.hardState.term} ${state.lastIndex}`);
    }
    expect([...outcomes].sort()).toEqual(["0 0", "4 0", "4 1"]);
  });

  test("entries truncate what they conflict with", () => {
    const { clock, disk: written, state } = disk(1);
    written.append({ entries: entries(1, 5) }, () => {});
    written.append({ entries: entries(3, 3, 2) }, () => {});
    runAll(clock);
    expect([state.lastIndex, state.term(2), state.term(3)]).toEqual([3, 1, 2]);
  });

  test("a log that does not hold its snapshot's last entry is dropped at the start", () => {
    const { state } = disk(1);
    state.apply({ entries: entries(1, 6, 1) });
    state.writeSnapshot({ meta: { index: 4, term: 1 }, hash: 0 });
    expect(state.recover().entries).toHaveLength(6);
    state.writeSnapshot({ meta: { index: 5, term: 2 }, hash: 0 });
    expect(state.recover()).toMatchObject({ snapshot: { index: 5, term: 2 }, entries: [] });
  });
});

describe("Trace", () => {
  test("tells the newest events, and differs with every detail", () => {
    const [a, b] = [new Trace(), new Trace()];
    for (let at = 0; at < 1000; at++) {
      a.add(at, "event", at / 3);
      b.add(at, "event", at === 500 ? 0 : at / 3);
    }
    expect(a.hash).not.toBe(b.hash);
    expect(a.tail().split("\n").at(-1)).toBe("999 event 333");
  });
});
