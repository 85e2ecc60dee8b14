import { mkdirSync } from "node:fs";
import { join } from "node:path";
import {
  checkHistory,
  drawVerdict,
  explain,
  HistoryRecorder,
} from "../../linearizability/index.js";
import { Invariants } from "../invariants.js";
import { calmNetwork, SimNetwork } from "../network.js";
import { Prng } from "../prng.js";
import { Trace } from "../trace.js";
import { VirtualClock } from "../virtualClock.js";
import { Faults, type FaultKind } from "./faults.js";
import { calmDisk, drawTuning, type FullTuning } from "./fullTuning.js";
import { SimClient } from "./simClient.js";
import { SimServer, type FullWorld } from "./simServer.js";

const settled = Promise.resolve();
/** Within which a cluster must serve again once all faults have ended. */
const recoveryMsMax = 30_000;
/** Events that one run may take; a run that takes more goes round in circles. */
const eventsMax = 20_000_000;
/** Between two turns of the real event loop. */
const eventsPerTurn = 64;

export interface FullRunResult {
  readonly seed: number;
  /** Equal for equal runs. */
  readonly traceHash: string;
  readonly events: number;
  readonly simulatedMs: number;
  readonly operations: number;
  readonly answered: number;
  readonly committed: number;
  /** How many of each kind struck. */
  readonly faults: Readonly<Partial<Record<FaultKind, number>>>;
}

/** One run failed; `message` holds the seed, how to replay it, and the newest events. */
export class FullRunFailure extends Error {
  override readonly name = "FullRunFailure";
}

export interface FullClusterOptions {
  /** Instead of what the seed draws. */
  readonly tuning?: Partial<FullTuning>;
  /** Writes every event to stderr. */
  readonly printTrace?: boolean;
  /**
   * Leaves reads to the clients' history: else the moment when a server answers one too late is the
   * moment when the run ends.
   */
  readonly readsGoUnwatched?: boolean;
  /** Where the drawing of a history goes that is not linearizable. */
  readonly drawTo?: string;
}

/** Whole servers and real Clerks in one process, under the conditions that `seed` draws. */
export class FullCluster {
  readonly servers: readonly SimServer[];
  readonly tuning: FullTuning;
  private readonly seed: number;
  private readonly drawTo: string;
  readonly clock = new VirtualClock();
  readonly network: SimNetwork;
  private readonly prng: Prng;
  private readonly trace: Trace;
  readonly invariants = new Invariants();
  private readonly recorder = new HistoryRecorder({ now: () => this.clock.now });
  readonly clients: readonly SimClient[];
  private readonly faults: Faults;
  private readonly touched = new Set<SimServer>();
  private failure: Error | null = null;
  private events = 0;

  constructor(seed: number, options: FullClusterOptions = {}) {
    const prng = new Prng(seed);
    const tuning = { ...drawTuning(prng.fork()), ...options.tuning };
    const places = tuning.nodes + tuning.client.clients;
    this.seed = seed;
    this.tuning = tuning;
    this.drawTo = options.drawTo ?? "sim-failures";
    this.trace = new Trace(options.printTrace);
    this.network = new SimNetwork(this.clock, prng.fork(), places, tuning.network);
    const world: FullWorld = {
      clock: this.clock,
      network: this.network,
      trace: this.trace,
      invariants: this.invariants,
      tuning,
      server: (id) => this.servers[id]!,
      touched: (server) => this.touched.add(server),
      readsAreWatched: options.readsGoUnwatched !== true,
      downMs: () => this.faults.duration(),
      failed: (error) => {
        this.failure ??= error;
      },
    };
    this.servers = Array.from(
      { length: tuning.nodes },
      (_, id) => new SimServer(id, world, prng.fork()),
    );
    this.clients = Array.from(
      { length: tuning.client.clients },
      (_, at) => new SimClient(tuning.nodes + at, world, this.recorder, prng.fork()),
    );
    this.faults = new Faults(
      world,
      this.servers,
      this.clients.map((_, at) => tuning.nodes + at),
      this.network,
      prng.fork(),
      tuning.faults,
    );
    this.prng = prng;
    this.invariants.watch(this.servers);
  }

  /** For scenarios: runs until `isDone`, for `ms` at most; returns whether it was. */
  runFor(ms: number, isDone: () => boolean): Promise<boolean> {
    return this.runUntil(this.clock.now + ms, isDone);
  }

  /**
   * Faults and load for a while; then calm, in which the cluster must serve; then the clients'
   * history is checked.
   * @throws FullRunFailure
   */
  async run(): Promise<FullRunResult> {
    try {
      for (const server of this.servers) server.start();
      for (const client of this.clients) client.start();
      this.faults.start();
      await this.runUntil(this.tuning.runMs, () => false);
      this.calmDown();
      await this.mustRecover();
      this.invariants.checkAll();
      this.checkClients();
    } catch (error) {
      throw this.described(error as Error);
    } finally {
      for (const client of this.clients) await client.close();
    }
    return this.result();
  }

  private calmDown(): void {
    this.faults.stop();
    this.network.heal();
    this.network.tuning = calmNetwork;
    for (const client of this.clients) client.stop();
    for (const server of this.servers) {
      server.diskFaults.mend(calmDisk);
      server.resume();
      server.crashAtOperation(0);
      server.start();
    }
  }

  /**
   * Liveness: a majority serves, with a minority gone for good; and when that is back, so do all,
   * and all vote.
   */
  private async mustRecover(): Promise<void> {
    const lost = this.drawLost();
    for (const server of lost) server.holdDown();
    await this.mustServe(this.servers.filter((server) => !lost.has(server)));
    for (const server of lost) server.letUp();
    await this.mustServe(this.servers, (server) => !server.isJoining);
  }

  private drawLost(): ReadonlySet<SimServer> {
    const { nodes, minorityLostChance } = this.tuning;
    if (!this.prng.chance(minorityLostChance)) return new Set();
    const first = this.prng.int(0, nodes - 1);
    // Who joins counts as failed until all others have answered it.
    const joining = this.servers.filter(({ isJoining }) => isJoining).length;
    const count = this.prng.int(0, Math.max(0, Math.floor((nodes - 1) / 2) - joining));
    return new Set(Array.from({ length: count }, (_, at) => this.servers[(first + at) % nodes]!));
  }

  /** A client is served, and every one of `servers` applies all that is committed, and `isWell`. */
  private async mustServe(
    servers: readonly SimServer[],
    isWell: (server: SimServer) => boolean = () => true,
  ): Promise<void> {
    const client = this.clients[0]!;
    let isServed = false;
    const ask = (): void => {
      client.probe().then(
        (answered) => (answered ? (isServed = true) : ask()),
        (error: unknown) => (this.failure ??= error as Error),
      );
    };
    ask();
    const isCurrent = (server: SimServer): boolean =>
      server.lastApplied === this.invariants.commitIndex && isWell(server);
    const isDone = (): boolean => isServed && servers.every(isCurrent);
    if (await this.runUntil(this.clock.now + recoveryMsMax, isDone)) {
      for (const server of servers) server.compareState();
      return;
    }
    const nodes = this.servers.map(
      ({ id, core, lastApplied, isJoining }) =>
        `${id} ${core?.role} of ${core?.term}${isJoining ? ", joining," : ""} applied ${lastApplied}`,
    );
    const committed = this.invariants.commitIndex;
    throw new Error(`no recovery: served ${isServed}, committed ${committed}; ${nodes.join("; ")}`);
  }

  /** The clients' history is linearizable. */
  checkClients(): void {
    const verdict = checkHistory(this.recorder.operations());
    if (verdict.verdict === "legal") return;
    mkdirSync(this.drawTo, { recursive: true });
    const file = join(this.drawTo, `seed-${this.seed}.html`);
    drawVerdict(file, verdict);
    throw new Error(`${verdict.verdict} history: ${explain(verdict)}; drawn in ${file}`);
  }

  /** @returns whether `isDone` became true by `deadline`. */
  private runUntil(deadline: number, isDone: () => boolean): Promise<boolean> {
    return new Promise((resolve, reject) => {
      const next = (): void => {
        try {
          this.lookAtTouched();
          if (isDone()) resolve(true);
          else if (this.clock.step(deadline)) this.settle(next);
          else resolve(isDone());
        } catch (error) {
          reject(error);
        }
      };
      next();
    });
  }

  private lookAtTouched(): void {
    for (const server of this.touched) this.invariants.afterStep(server);
    this.touched.clear();
    if (this.failure !== null) throw this.failure;
  }

  /**
   * Calls `next` when every promise reaction that is due has run, and those that they brought
   * about: a tick comes after all of them. A turn of the event loop does the same at several times
   * the cost, so one comes only now and then, for the immediates that production code asks for.
   */
  private settle(next: () => void): void {
    if (++this.events > eventsMax) throw new Error(`more than ${eventsMax} events`);
    if (this.events % eventsPerTurn === 0) setImmediate(next);
    // From a reaction: ticks that ask for ticks would keep all reactions waiting.
    else void settled.then(() => process.nextTick(next));
  }

  private result(): FullRunResult {
    return {
      seed: this.seed,
      traceHash: this.trace.hash,
      events: this.events,
      simulatedMs: Math.round(this.clock.now),
      operations: this.recorder.operations().length,
      answered: this.clients.reduce((sum, { answered }) => sum + answered, 0),
      committed: this.invariants.commitIndex,
      faults: this.faults.counts,
    };
  }

  private described(cause: Error): FullRunFailure {
    const message = [
      `seed ${this.seed}, event ${this.events}, ${this.clock.now.toFixed(3)} ms: ${cause.message}`,
      `replay: npm run sim -- --seed ${this.seed} --trace`,
      `conditions: ${JSON.stringify(this.tuning)}`,
      `newest events:\n${this.trace.tail()}`,
    ].join("\n");
    return new FullRunFailure(message, { cause });
  }
}
