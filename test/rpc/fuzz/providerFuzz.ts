/** Many inputs against one provider, with a look at its memory and its liveness between batches. */
import { kvServerRpcMethods } from "../../../proto/index.js";
import { callUnary, MprpcChannel } from "../../../rpc/index.js";
import { eventually } from "../../eventually.js";
import { Prng } from "../../sim/prng.js";
import { attack, type Ending } from "./attack.js";
import { readCorpus } from "./corpus.js";
import { mutate, type Mutation } from "./mutate.js";
import { limits, type Target, type TargetState } from "./target.js";

export interface FuzzOptions {
  readonly seed: number;
  /** Number of the first input, and of the one after the last. */
  readonly first: number;
  readonly end: number;
  /** Told after each batch. */
  readonly onBatch?: (report: FuzzReport) => void;
}

export interface FuzzReport {
  inputs: number;
  frames: number;
  readonly endings: Record<Ending, number>;
  readonly mutations: Map<Mutation, number>;
  /** Calls of an ordinary caller meanwhile, and the slowest. */
  calls: number;
  slowestCallMs: number;
  /** Of the provider: what callers did wrong as it saw it, and its memory. */
  errors: number;
  heapBytesFirst: number;
  heapBytesMax: number;
  rssBytesMax: number;
}

/** Inputs on their way at a time, and between two looks at the provider. */
const concurrency = 32;
const batchInputs = 2_000;
/** By how much the provider's heap may have grown, after a collection, since its first batch. */
const heapGrowthBytesMax = 32 * 1024 * 1024;
/** An ordinary caller's deadline. */
const callTimeoutMs = 30_000;
/** How long a provider may take to forget connections that have ended. */
const settleMs = 20_000;

/** What an input is drawn from: any one can be made again without those before it. */
export function inputPrng(seed: number, index: number): Prng {
  return new Prng(Math.imul(seed, 0x9e37_79b1) ^ index);
}

/** @throws Error that names the first input after which something was wrong. */
export async function fuzzProvider(target: Target, options: FuzzOptions): Promise<FuzzReport> {
  const run = new ProviderFuzz(target, options);
  try {
    return await run.all();
  } finally {
    run.close();
  }
}

class ProviderFuzz {
  readonly #target: Target;
  readonly #options: FuzzOptions;
  readonly #corpus = readCorpus().requests;
  readonly #caller: MprpcChannel;
  readonly #report: FuzzReport = {
    inputs: 0,
    frames: 0,
    endings: { answered: 0, ended: 0, left: 0 },
    mutations: new Map(),
    calls: 0,
    slowestCallMs: 0,
    errors: 0,
    heapBytesFirst: 0,
    heapBytesMax: 0,
    rssBytesMax: 0,
  };
  #next: number;
  #oneWayHangs = 0;

  constructor(target: Target, options: FuzzOptions) {
    this.#target = target;
    this.#options = options;
    this.#next = options.first;
    this.#caller = new MprpcChannel({ host: "127.0.0.1", port: target.port });
  }

  async all(): Promise<FuzzReport> {
    while (this.#next < this.#options.end) {
      const end = Math.min(this.#next + batchInputs, this.#options.end);
      const calling = { over: false };
      const calls = this.#callOn(calling);
      try {
        await Promise.all(Array.from({ length: concurrency }, () => this.#lane(end)));
      } finally {
        calling.over = true;
      }
      await calls;
      await this.#look();
      this.#options.onBatch?.(this.#report);
    }
    return this.#report;
  }

  close(): void {
    this.#caller.close();
  }

  async #lane(end: number): Promise<void> {
    while (this.#next < end) await this.#one(this.#next++);
  }

  async #one(index: number): Promise<void> {
    const prng = inputPrng(this.#options.seed, index);
    const input = mutate(this.#corpus, prng);
    const result = await attack(this.#target.port, input, limits, prng);
    if (result.fault !== null) throw this.#failure(index, result.fault);
    const report = this.#report;
    report.inputs++;
    report.frames += result.frames;
    report.endings[result.ending]++;
    for (const kind of input.kinds)
      report.mutations.set(kind, (report.mutations.get(kind) ?? 0) + 1);
    this.#oneWayHangs += result.oneWayHangs;
  }

  /** One call after the other by somebody who does nothing wrong. */
  async #callOn(calling: { readonly over: boolean }): Promise<void> {
    do {
      const Key = Buffer.from(`call ${this.#report.calls}`);
      const started = performance.now();
      const options = { timeoutMs: callTimeoutMs };
      const reply = await callUnary(this.#caller, kvServerRpcMethods.Get, { Key }, options);
      if (!Key.equals(reply.Value))
        throw this.#failure(this.#next, "an ordinary call got another's reply");
      const tookMs = performance.now() - started;
      this.#report.calls++;
      this.#report.slowestCallMs = Math.max(this.#report.slowestCallMs, tookMs);
    } while (!calling.over);
  }

  /** The provider must have forgotten all attackers, and not have grown. */
  async #look(): Promise<void> {
    const gone = "only the ordinary caller is connected, and only its own handlers run";
    await eventually(gone, () => this.#isQuiet(), settleMs).catch((error: unknown) => {
      throw this.#failure(this.#next, String(error));
    });
    await this.#target.release();
    const state = await this.#target.state();
    const { begun, ended, heapBytes, rssBytes, errors } = state;
    if (begun !== ended) throw this.#failure(this.#next, `${begun - ended} handlers never ended`);
    this.#oneWayHangs = 0;
    const report = this.#report;
    if (report.heapBytesFirst === 0) report.heapBytesFirst = heapBytes;
    report.heapBytesMax = Math.max(report.heapBytesMax, heapBytes);
    report.rssBytesMax = Math.max(report.rssBytesMax, rssBytes);
    report.errors = errors;
    const grownBytes = heapBytes - report.heapBytesFirst;
    if (globalThis.gc !== undefined && grownBytes > heapGrowthBytesMax) {
      throw this.#failure(this.#next, `the heap has grown by ${grownBytes} bytes`);
    }
  }

  async #isQuiet(): Promise<TargetState | undefined> {
    const state = await this.#target.state();
    const { connections, begun, ended, hanging } = state;
    const quiet = connections === 1 && hanging <= this.#oneWayHangs && begun - ended === hanging;
    return quiet ? state : undefined;
  }

  #failure(index: number, fault: string): Error {
    const replay = `npm run fuzz:rpc -- --seed ${this.#options.seed} --input ${index}`;
    return new Error(`input ${index}: ${fault}\n  again: ${replay}`);
  }
}
