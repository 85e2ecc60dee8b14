/** The provider under attack: in this process, or in one of its own. */
import { fork, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { RpcProvider, type RpcProviderOptions } from "../../../rpc/index.js";
import { FuzzService } from "./fuzzService.js";
import type { Limits } from "./wireModel.js";

/** Small, so that inputs reach them. */
export const limits: Limits = { headerBytesMax: 1024, requestBytesMax: 16_384 };

/** Shorter than the fuzzer waits for a provider to forget its callers. */
const halfClosedTimeoutMs = 2_000;

export interface TargetState {
  readonly connections: number;
  readonly begun: number;
  readonly ended: number;
  readonly hanging: number;
  /** What callers did wrong, as the provider told it. */
  readonly errors: number;
  /** After a collection, where the process allows one to be forced. */
  readonly heapBytes: number;
  readonly rssBytes: number;
}

export interface Target {
  readonly port: number;
  state(): Promise<TargetState>;
  /** Ends the handlers that wait for ever. */
  release(): Promise<void>;
  stop(): Promise<void>;
}

export class LocalTarget implements Target {
  readonly port: number;
  readonly #provider: RpcProvider;
  readonly #service: FuzzService;
  #errors: number;

  private constructor(port: number, provider: RpcProvider, service: FuzzService) {
    this.port = port;
    this.#provider = provider;
    this.#service = service;
    this.#errors = 0;
  }

  static async start(options: RpcProviderOptions = limits): Promise<LocalTarget> {
    const service = new FuzzService();
    const count: { target: LocalTarget | null } = { target: null };
    const provider = new RpcProvider({
      halfClosedTimeoutMs,
      ...options,
      onError: () => {
        if (count.target !== null) count.target.#errors++;
      },
    });
    provider.notifyService(service);
    const { port } = await provider.run("127.0.0.1", 0);
    return (count.target = new LocalTarget(port, provider, service));
  }

  state(): Promise<TargetState> {
    globalThis.gc?.();
    const { heapUsed, external, rss } = process.memoryUsage();
    const { begun, ended, hanging } = this.#service;
    const connections = this.#provider.connections;
    const errors = this.#errors;
    const heapBytes = heapUsed + external;
    return Promise.resolve({
      connections,
      begun,
      ended,
      hanging,
      errors,
      heapBytes,
      rssBytes: rss,
    });
  }

  release(): Promise<void> {
    this.#service.releaseHanging();
    return Promise.resolve();
  }

  stop(): Promise<void> {
    return this.#provider.close(0);
  }
}

export type Order = "state" | "release";

/** A process that ends, however, is what the fuzzer looks for. */
export class ForkedTarget implements Target {
  readonly port: number;
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess, port: number) {
    this.#child = child;
    this.port = port;
  }

  static async start(): Promise<ForkedTarget> {
    const main = fileURLToPath(new URL("targetMain.js", import.meta.url));
    const child = fork(main, [], { execArgv: ["--expose-gc"] });
    return new ForkedTarget(child, await nextMessage<number>(child));
  }

  state(): Promise<TargetState> {
    return this.#ask("state");
  }

  async release(): Promise<void> {
    await this.#ask("release");
  }

  async stop(): Promise<void> {
    this.#child.disconnect();
    if (this.#child.exitCode === null) await once(this.#child, "exit");
  }

  #ask<T>(order: Order): Promise<T> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) {
      throw new Error("the provider's process has ended");
    }
    this.#child.send(order);
    return nextMessage<T>(this.#child);
  }
}

function nextMessage<T>(child: ChildProcess): Promise<T> {
  return new Promise((resolve, reject) => {
    const onExit = (code: number | null, signal: string | null): void => {
      child.off("message", onMessage);
      reject(new Error(`the provider's process ended with ${code ?? signal ?? "?"}`));
    };
    const onMessage = (message: unknown): void => {
      child.off("exit", onExit);
      resolve(message as T);
    };
    child.once("exit", onExit);
    child.once("message", onMessage);
  });
}
