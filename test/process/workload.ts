import { Clerk, ClerkError } from "../../clerk/index.js";
import type { HistoryRecorder, OperationHandle } from "../linearizability/index.js";
import type { Cluster } from "./cluster.js";

export interface WorkloadOptions {
  readonly clients: number;
  readonly keys: number;
  /** Each client appends its own marks to its own key beside the recorded operations. */
  readonly recorder: HistoryRecorder;
}

/**
 * Clerks that put, append and get on a few shared keys, one call each at a time, until they are
 * told to stop. Every operation goes into the recorder.
 */
export class Workload {
  /** Operations that ended well. */
  completed = 0;
  private readonly cluster: Cluster;
  private readonly options: WorkloadOptions;
  private stopping = false;
  private readonly running: Promise<void>[] = [];

  constructor(cluster: Cluster, options: WorkloadOptions) {
    this.cluster = cluster;
    this.options = options;
    for (let client = 0; client < options.clients; client++) this.running.push(this.run(client));
  }

  async stop(): Promise<void> {
    this.stopping = true;
    await Promise.all(this.running);
  }

  private async run(client: number): Promise<void> {
    const clerk = new Clerk(this.cluster.nodes, { timeoutMs: 10_000 });
    for (let step = 0; !this.stopping; step++) await this.step(clerk, client, step);
    await clerk.close();
  }

  private async step(clerk: Clerk, client: number, step: number): Promise<void> {
    const key = Buffer.from(`key${(client * 7 + step) % this.options.keys}`);
    const value = Buffer.from(`${client}.${step};`);
    const kind = (["append", "get", "put", "get"] as const)[step % 4]!;
    const who = { client: `${client}`, key };
    const handle =
      kind === "get"
        ? this.options.recorder.begin({ ...who, kind })
        : this.options.recorder.begin({ ...who, kind, value });
    try {
      if (kind === "get") handle.ok(await clerk.get(key));
      else {
        await (kind === "put" ? clerk.put(key, value) : clerk.append(key, value));
        handle.ok();
      }
      this.completed++;
    } catch (error) {
      endFailed(handle, error);
    }
  }
}

function endFailed(handle: OperationHandle, error: unknown): void {
  if (!(error instanceof ClerkError)) throw error;
  if (error.mayHaveHappened) handle.unknown();
  else handle.failed();
}
