import { randomBytes } from "node:crypto";
import { closedLoop, openLoop, type LoadResult, type Operation } from "./load.js";
import { keyOf, strideOf } from "./keys.js";
import type { Setup, Work } from "./plan.js";
import { cpuSeconds } from "./processes.js";
import type { Caller, Target } from "./target.js";

/** One measurement: a target, a kind of work, and how hard it is pressed. */
export interface Cell extends LoadResult {
  readonly target: string;
  readonly work: Work;
  /** Calls in flight, or calls a second in the open loop. */
  readonly load: number;
  readonly loop: "closed" | "open";
  /** Cores that were busy, 1 being one core all the time. */
  readonly clientCpu: number;
  readonly leaderCpu: number;
  /** Of one follower, on average. */
  readonly followerCpu: number;
  /** Log entries a sync on the leader. */
  readonly batch: number | null;
}

/** In flight while the keys are written. */
const fillInFlight = 64;

/** Drives one running target. */
export class Bench {
  private readonly target: Target;
  private readonly setup: Setup;
  private readonly value: Uint8Array;
  private readonly stride: number;
  /** All keys, made beforehand: the client shares the processor with the nodes. */
  private readonly keys: readonly string[];

  constructor(target: Target, setup: Setup) {
    this.target = target;
    this.setup = setup;
    this.value = randomBytes(setup.valueBytes);
    this.stride = strideOf(setup.keys);
    this.keys = Array.from({ length: setup.keys }, (_, n) => keyOf(n));
  }

  /** Writes every key once, but for the first `written`. */
  async fill(written = 0): Promise<void> {
    const [caller] = await this.target.connect(1);
    let n = written;
    const fillSome = async (): Promise<void> => {
      while (n < this.keys.length) await caller!.put(this.keys[n++]!, this.value);
    };
    await Promise.all(Array.from({ length: fillInFlight }, fillSome));
    await caller!.close();
  }

  async measure(work: Work, load: number, loop: "closed" | "open"): Promise<Cell> {
    const { ownConnections, connections } = this.setup;
    const callers = await this.target.connect(ownConnections ? load : Math.min(connections, load));
    const cell = await this.drive(callers, work, load, loop);
    await Promise.all(callers.map((caller) => caller.close()));
    return cell;
  }

  /** Over `callers`, which take turns and stay open. */
  async drive(
    callers: readonly Caller[],
    work: Work,
    load: number,
    loop: "closed" | "open" = "closed",
  ): Promise<Cell> {
    const { leader, followers } = await this.target.processes();
    const pids = [process.pid, leader, ...followers];
    const cpuBefore = pids.map(cpuSeconds);
    const countersBefore = await this.target.counters();
    const startedAt = performance.now();
    const run = loop === "closed" ? closedLoop : openLoop;
    const result = await run(this.operation(work, callers), load, this.setup);
    const seconds = (performance.now() - startedAt) / 1000;
    const cpu = pids.map((pid, i) => (cpuSeconds(pid) - cpuBefore[i]!) / seconds);
    const counters = await this.target.counters();
    const ofFollowers = cpu.slice(2);
    return {
      target: this.target.name,
      work,
      load,
      loop,
      ...result,
      clientCpu: cpu[0]!,
      leaderCpu: cpu[1]!,
      followerCpu: ofFollowers.reduce((a, b) => a + b, 0) / Math.max(1, ofFollowers.length),
      batch:
        counters === null || countersBefore === null || work === "get"
          ? null
          : (counters.entries - countersBefore.entries) / (counters.syncs - countersBefore.syncs),
    };
  }

  private operation(work: Work, callers: readonly Caller[]): Operation {
    const { value, stride, keys } = this;
    const of = (n: number): Caller => callers[n % callers.length]!;
    const key = (n: number): string => keys[(n * stride) % keys.length]!;
    if (work === "put") return (n) => of(n).put(key(n), value);
    return (n) => of(n).get(key(n));
  }
}
