import { Clerk } from "../../../clerk/clerk.js";
import { ClerkError } from "../../../clerk/errors.js";
import { readVerdict, type Verdict } from "../../../clerk/outcome.js";
import { RaftServerRpcUtil } from "../../../clerk/raftServerRpcUtil.js";
import type { ServerReply } from "../../../clerk/serverNode.js";
import type { HistoryRecorder, OperationCall } from "../../linearizability/index.js";
import type { Prng } from "../prng.js";
import { SimChannel } from "./simChannel.js";
import type { FullWorld } from "./simServer.js";

const notDone: ReadonlySet<Verdict> = new Set(["wrongLeader", "sessionExpired"]);

/** A real Clerk, and a caller that does one random operation after the other. */
export class SimClient {
  /** Calls that were answered. */
  answered = 0;
  private readonly name: string;
  private readonly world: FullWorld;
  private readonly recorder: HistoryRecorder;
  private readonly prng: Prng;
  private readonly clerk: Clerk;
  private isStopped = false;
  private values = 0;

  /** @param place in the network, after the servers. */
  constructor(place: number, world: FullWorld, recorder: HistoryRecorder, prng: Prng) {
    this.name = `c${place}`;
    this.world = world;
    this.recorder = recorder;
    this.prng = prng;
    const { clock, network, tuning, server } = world;
    const nodes = Array.from({ length: tuning.nodes }, (_, id) => ({ host: "sim", port: id + 1 }));
    this.clerk = new Clerk(nodes, {
      timeoutMs: tuning.client.timeoutMs,
      attemptTimeoutMs: 300,
      environment: {
        now: () => clock.now,
        random: prng.float,
        randomBytes: (count) => Uint8Array.from({ length: count }, () => prng.int(0, 255)),
        setTimer: (ms, task) => clock.after(ms, task),
      },
      connect: ({ port }) => {
        const to = port - 1;
        const channel = new SimChannel({
          clock,
          network,
          from: place,
          to,
          listener: (method, request, respond) => server(to).serve(method, request, respond),
          inCaller: (task) => task(),
          timeoutMs: 1_000,
          isRefusal: (reply) => notDone.has(readVerdict((reply as ServerReply).Err)),
        });
        return new RaftServerRpcUtil(`sim:${port}`, channel);
      },
    });
  }

  start(): void {
    this.world.clock.after(this.prng.between(0, this.world.tuning.client.thinkMsMax), () => {
      if (this.isStopped) return;
      this.operate(this.draw()).then(
        () => this.start(),
        (error: unknown) => this.world.failed(error as Error),
      );
    });
  }

  stop(): void {
    this.isStopped = true;
  }

  close(): Promise<void> {
    return this.clerk.close();
  }

  /** One write, to see whether the cluster serves. */
  probe(): Promise<boolean> {
    return this.operate({ client: this.name, kind: "put", key: this.key(), value: this.value() });
  }

  /** For scenarios; like the other two it throws ClerkError when it was not answered. */
  get(key: string): Promise<string | undefined> {
    return this.perform({ client: this.name, kind: "get", key: Buffer.from(key) }).then((value) =>
      value === undefined ? value : Buffer.from(value).toString(),
    );
  }

  async put(key: string, value: string): Promise<void> {
    const call = { client: this.name, key: Buffer.from(key), value: Buffer.from(value) };
    await this.perform({ ...call, kind: "put" });
  }

  async append(key: string, value: string): Promise<void> {
    const call = { client: this.name, key: Buffer.from(key), value: Buffer.from(value) };
    await this.perform({ ...call, kind: "append" });
  }

  private draw(): OperationCall {
    const { readChance, appendChance } = this.world.tuning.client;
    const client = this.name;
    const key = this.key();
    if (this.prng.chance(readChance)) return { client, kind: "get", key };
    const kind = this.prng.chance(appendChance) ? "append" : "put";
    return { client, kind, key, value: this.value() };
  }

  /** @returns whether it was answered. */
  private async operate(call: OperationCall): Promise<boolean> {
    try {
      await this.perform(call);
      return true;
    } catch (error) {
      if (!(error instanceof ClerkError)) throw error;
      return false;
    }
  }

  /** @returns what a get found. @throws ClerkError, when that is recorded. */
  private async perform(call: OperationCall): Promise<Uint8Array | undefined> {
    const { trace, clock } = this.world;
    trace.add(clock.now, this.name, call.kind);
    const handle = this.recorder.begin(call);
    try {
      const output = await this.ask(call);
      handle.ok(output);
      this.answered++;
      trace.add(clock.now, this.name, "ok");
      return output;
    } catch (error) {
      if (!(error instanceof ClerkError)) throw error;
      trace.add(clock.now, this.name, error.code);
      if (error.mayHaveHappened) handle.unknown();
      else handle.failed();
      throw error;
    }
  }

  private async ask(call: OperationCall): Promise<Uint8Array | undefined> {
    if (call.kind === "get") return this.clerk.get(call.key);
    await this.clerk[call.kind](call.key, call.value);
    return undefined;
  }

  private key(): Uint8Array {
    return Buffer.from(`k${this.prng.int(1, this.world.tuning.client.keys)}`);
  }

  /** No two alike. */
  private value(): Uint8Array {
    const text = `${this.name}.${++this.values};`;
    return Buffer.from(text.padEnd(this.prng.int(0, this.world.tuning.client.valueBytesMax), "-"));
  }
}
