import { Clerk, ClerkError } from "../../clerk/index.js";
import { eventually } from "../eventually.js";
import type { Address } from "../process/cluster.js";
import { PeerClerk } from "./peer.js";

/**
 * Puts one new key after the other, each until it is acknowledged: key i of writer w is `w.i`, and so
 * is its value. `Append` has no place where nodes of both kinds are.
 */
export abstract class Writer {
  readonly name: string;
  /** Keys 0 to `acknowledged - 1` must be there from now on. */
  acknowledged = 0;
  private stopping = false;
  private running: Promise<void> = Promise.resolve();

  protected constructor(name: string) {
    this.name = name;
  }

  /** False: this writer can't go on. */
  protected abstract put(key: string): Promise<boolean>;
  abstract close(): Promise<void>;

  start(): void {
    this.running = this.run();
    // Whoever stops it sees the error.
    this.running.catch(() => {});
  }

  async stop(): Promise<void> {
    this.stopping = true;
    await this.running;
  }

  get keys(): string[] {
    return Array.from({ length: this.acknowledged }, (_, i) => `${this.name}.${i}`);
  }

  private async run(): Promise<void> {
    while (!this.stopping && (await this.put(`${this.name}.${this.acknowledged}`)))
      this.acknowledged++;
  }
}

/** Between two puts of a Clerk of ours. */
const pauseMs = 2;

/** A Clerk of ours. */
export class OurWriter extends Writer {
  private readonly clerk: Clerk;

  constructor(name: string, nodes: readonly Address[]) {
    super(name);
    this.clerk = new Clerk(nodes, { timeoutMs: 10_000 });
    this.start();
  }

  protected async put(key: string): Promise<boolean> {
    // The logs are kept whole, and are to be brought to nodes that begin anew.
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
    for (;;) {
      try {
        await this.clerk.put(key, key);
        return true;
      } catch (error) {
        if (!(error instanceof ClerkError)) throw error;
        if (error.code === "CLOSED") return false;
      }
    }
  }

  close(): Promise<void> {
    return this.clerk.close();
  }
}

/** A process of the original's clerk, as long as it lives: there can be but one beside theirs. */
export class PeerWriter extends Writer {
  readonly clerk: PeerClerk;

  constructor(name: string, nodesFile: string) {
    super(name);
    this.clerk = new PeerClerk(nodesFile);
    this.start();
  }

  protected async put(key: string): Promise<boolean> {
    if (this.clerk.end !== null) return false;
    return this.clerk.put(key, key).then(
      () => true,
      () => false,
    );
  }

  async close(): Promise<void> {
    await this.clerk.kill();
  }
}

/** All writers of a test. */
export class Load {
  readonly writers: readonly Writer[];

  constructor(writers: readonly Writer[]) {
    this.writers = writers;
  }

  get acknowledged(): number {
    return this.writers.reduce((sum, { acknowledged }) => sum + acknowledged, 0);
  }

  get keys(): string[] {
    return this.writers.flatMap(({ keys }) => keys);
  }

  /** Until `count` more puts are acknowledged. */
  async more(count: number): Promise<void> {
    const until = this.acknowledged + count;
    await eventually(`${count} more puts`, async () => this.acknowledged >= until);
  }

  async stop(): Promise<void> {
    await Promise.all(this.writers.map((writer) => writer.stop()));
  }

  async close(): Promise<void> {
    await Promise.all(this.writers.map((writer) => writer.close()));
  }
}
