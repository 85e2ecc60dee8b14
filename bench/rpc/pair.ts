import { fork, type ChildProcess } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { LoadResult } from "./load.js";
import type { Kind } from "./peers.js";
import type { LoadOrder, Order } from "./worker.js";

export interface Measured extends LoadResult {
  readonly serverCpuUsPerCall: number;
}

const worker = fileURLToPath(new URL("worker.js", import.meta.url));

/** A server and a client of one kind, in a process each. */
export class Pair {
  readonly kind: Kind;
  readonly #server: ChildProcess;
  readonly #client: ChildProcess;
  readonly #port: number;

  private constructor(kind: Kind, server: ChildProcess, client: ChildProcess, port: number) {
    this.kind = kind;
    this.#server = server;
    this.#client = client;
    this.#port = port;
  }

  static async start(kind: Kind, execArgv: readonly string[] = []): Promise<Pair> {
    const start = (role: string): ChildProcess =>
      fork(worker, [role, kind], { execArgv: [...execArgv] });
    const server = start("server");
    const client = start("client");
    const [port] = await Promise.all([nextMessage<number>(server), nextMessage(client)]);
    return new Pair(kind, server, client, port);
  }

  async measure(order: Omit<LoadOrder, "port">): Promise<Measured> {
    this.#send(this.#client, { ...order, port: this.#port });
    await nextMessage(this.#client);
    const before = await this.#serverCpuUs();
    const result = await nextMessage<LoadResult>(this.#client);
    const used = (await this.#serverCpuUs()) - before;
    return { ...result, serverCpuUsPerCall: used / result.calls };
  }

  stop(): void {
    this.#server.disconnect();
    this.#client.disconnect();
  }

  async #serverCpuUs(): Promise<number> {
    this.#send(this.#server, { cpu: true });
    const { user, system } = await nextMessage<NodeJS.CpuUsage>(this.#server);
    return user + system;
  }

  #send(child: ChildProcess, order: Order): void {
    child.send(order);
  }
}

function nextMessage<T>(child: ChildProcess): Promise<T> {
  return new Promise((resolve, reject) => {
    const onExit = (code: number | null): void => {
      child.off("message", onMessage);
      reject(new Error(`a process of the benchmark ended with ${code}`));
    };
    const onMessage = (message: unknown): void => {
      child.off("exit", onExit);
      resolve(message as T);
    };
    child.once("exit", onExit);
    child.once("message", onMessage);
  });
}
