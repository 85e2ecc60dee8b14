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
  protected stopping = false;
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

/** What ends a clerk of theirs beside nodes of its own kind, too. */
const finRule = "a send after the other side's FIN (SIGPIPE)";

/** Between two puts of a Clerk of ours. */
const pauseMs = 2;

/** A Clerk of ours. */
export class OurWriter extends Writer {
  private readonly clerk: Clerk;

  constructor(name: string, clerk: Clerk) {
    super(name);
    this.clerk = clerk;
    this.start();
  }

  /** Several of one Clerk, which has a put of each in flight. */
  static together(names: readonly string[], nodes: readonly Address[]): OurWriter[] {
    const clerk = new Clerk(nodes, { timeoutMs: 10_000 });
    return names.map((name) => new OurWriter(name, clerk));
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

/**
 * Processes of the original's clerk, one at a time. Beside nodes of theirs a new one must use up the
 * ids of the one before it, of which all is taken for a repetition.
 */
export class PeerWriter extends Writer {
  /** Processes that a FIN has ended: no node can choose how the kernel ends its connections. */
  finEnds = 0;
  /** How one ended that should not have. */
  badEnd = "";
  private readonly nodesFile: string;
  private clerk: PeerClerk;
  /** The newest id that any process may have used. */
  private usedId = 0;

  constructor(name: string, nodesFile: string) {
    super(name);
    this.nodesFile = nodesFile;
    this.clerk = new PeerClerk(nodesFile);
    this.start();
  }

  protected async put(key: string): Promise<boolean> {
    while (!this.stopping) {
      try {
        const { requestId } = await this.clerk.put(key, key);
        const isNew = requestId > this.usedId;
        this.usedId = Math.max(this.usedId, requestId);
        if (isNew) return true;
      } catch {
        this.usedId++;
        if (!(await this.replace())) return false;
      }
    }
    return false;
  }

  async close(): Promise<void> {
    await this.clerk.kill();
  }

  private async replace(): Promise<boolean> {
    const { rule, code, signal } = await this.clerk.exited;
    if (rule !== finRule) {
      this.badEnd = `${rule} ${code} ${signal}`;
      return false;
    }
    this.finEnds++;
    this.clerk = new PeerClerk(this.nodesFile);
    return true;
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
