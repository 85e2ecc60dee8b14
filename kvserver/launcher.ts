import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { performance } from "node:perf_hooks";
import { formatAddress } from "../config/nodeAddress.js";
import type { NodeAddress } from "../config/mprpcConfig.js";
import { ChildNode } from "./childNode.js";

export { stopWhenParentDies } from "./parentWatch.js";

/** What a node says of itself; the part that the launcher looks at. */
export interface LaunchedStatus {
  readonly role: string;
  readonly term: number;
  /** Of who answered: it can be another process, whose port the node did not get. */
  readonly processId?: number;
}

/** Where the launcher hears of SIGINT and the like: `process`. */
export interface SignalSource {
  on(signal: NodeJS.Signals, listener: () => void): unknown;
  off(signal: NodeJS.Signals, listener: () => void): unknown;
}

export interface LauncherConfig {
  readonly nodes: readonly NodeAddress[];
  /** Created when it is missing; node i logs to `node<i>.log` in it. */
  readonly dataDir: string;
  /** The script that runs a node, and its arguments. */
  readonly script: (nodeId: number) => readonly string[];
  /** Undefined: the node does not answer (yet). */
  readonly queryStatus: (node: NodeAddress) => Promise<LaunchedStatus | undefined>;
  /** Commands to try, shown when the cluster is ready. */
  readonly hints: readonly string[];
  /** Prints one line. */
  readonly print: (line: string) => void;
  /** Prints one line about a failure; by default as `print` does. */
  readonly printError?: (line: string) => void;
  readonly signals?: SignalSource;
  readonly timing?: Partial<LauncherTiming>;
}

export interface LauncherTiming {
  readonly pollMs: number;
  /** Without a leader for this long, the user is told so, once. */
  readonly noLeaderMs: number;
  /** From SIGTERM to SIGKILL. */
  readonly graceMs: number;
}

export const launcherTimingDefaults: LauncherTiming = {
  pollMs: 50,
  noLeaderMs: 10_000,
  graceMs: 10_000,
};

/**
 * Runs every node of a list in a process of its own until a signal ends them, or they all ended.
 * A node that dies later is reported and not started again; one that dies before there is a leader
 * ends the whole.
 * @returns the exit code: 0 after one signal when all nodes ended by themselves, else 1.
 * @throws Error when the data directory can't be used.
 */
export async function launch(config: LauncherConfig): Promise<number> {
  await mkdir(config.dataDir, { recursive: true });
  return new Launcher(config).run();
}

const stopSignals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

class Launcher {
  private readonly config: LauncherConfig;
  private readonly timing: LauncherTiming;
  private readonly children: ChildNode[] = [];
  private readonly startedAt = performance.now();
  private readonly signals: SignalSource;
  private stopRequests = 0;
  private leaderFound = false;
  /** Ends the wait under way, whatever it waits for. */
  private wake: () => void = () => {};

  constructor(config: LauncherConfig) {
    this.config = config;
    this.timing = { ...launcherTimingDefaults, ...config.timing };
    this.signals = config.signals ?? process;
  }

  async run(): Promise<number> {
    for (const signal of stopSignals) this.signals.on(signal, this.onSignal);
    try {
      this.startAll();
      const failed = await this.waitForLeader();
      if (failed !== null) return await this.giveUp(failed);
      if (this.stopRequests === 0) await this.serve();
      return await this.stopAll();
    } catch (error) {
      for (const child of this.children) child.kill("SIGKILL");
      throw error;
    } finally {
      for (const signal of stopSignals) this.signals.off(signal, this.onSignal);
    }
  }

  private readonly onSignal = (): void => {
    this.stopRequests++;
    // Asked twice, the user does not want to wait.
    if (this.stopRequests > 1) for (const child of this.children) child.kill("SIGKILL");
    this.wake();
  };

  private startAll(): void {
    const { nodes, dataDir, print } = this.config;
    print(`Starting ${countOf(nodes.length, "node")}; data and logs in ${dataDir}`);
    for (const node of nodes) {
      const child = new ChildNode(
        node.id,
        this.config.script(node.id),
        join(dataDir, `node${node.id}.log`),
      );
      this.children.push(child);
      void child.ended.then(() => this.childEnded(child));
      print(`  node ${node.id}  ${formatAddress(node.host, node.port)}  pid ${child.pid ?? "-"}`);
    }
  }

  /** Null once there is a leader or a signal came; else the node that ended. */
  private async waitForLeader(): Promise<ChildNode | null> {
    let told = false;
    while (this.stopRequests === 0) {
      const failed = this.children.find(({ exited }) => exited !== null);
      if (failed !== undefined) return failed;
      if (await this.lookForLeader()) return null;
      if (!told && performance.now() - this.startedAt > this.timing.noLeaderMs) {
        told = true;
        this.config.print("No leader yet; still waiting");
      }
      await this.wait(this.timing.pollMs);
    }
    return null;
  }

  private async lookForLeader(): Promise<boolean> {
    const { nodes, queryStatus, print, hints } = this.config;
    const answers = await Promise.all(
      nodes.map((node) => queryStatus(node).catch(() => undefined)),
    );
    const leader = answers.findIndex(
      (status, id) => status?.role === "leader" && this.isOwn(id, status),
    );
    if (leader < 0 || this.stopRequests > 0) return false;
    if (this.children.some(({ exited }) => exited !== null)) return false;
    this.leaderFound = true;
    const seconds = ((performance.now() - this.startedAt) / 1000).toFixed(1);
    print(`Ready after ${seconds} s: node ${leader} leads (term ${answers[leader]?.term})`);
    if (hints.length > 0) print("Try:");
    for (const hint of hints) print(`  ${hint}`);
    print("Ctrl-C stops the nodes");
    return true;
  }

  private isOwn(id: number, { processId }: LaunchedStatus): boolean {
    return processId === undefined || processId === this.children[id]?.pid;
  }

  private complain(line: string): void {
    (this.config.printError ?? this.config.print)(line);
  }

  private childEnded(child: ChildNode): void {
    this.wake();
    if (!this.leaderFound || this.stopRequests > 0) return;
    this.complain(`Node ${child.id} ended ${reason(child)}`);
  }

  private async giveUp(failed: ChildNode): Promise<number> {
    this.complain(`Node ${failed.id} ended during the start ${reason(failed)}`);
    await this.stopAll();
    return 1;
  }

  /** Until a signal comes or no node is left. */
  private async serve(): Promise<void> {
    while (this.stopRequests === 0) {
      if (this.running().length === 0) {
        this.config.print("No node is left");
        return;
      }
      await this.wait(null);
    }
  }

  private async stopAll(): Promise<number> {
    const running = this.running();
    if (running.length > 0) this.config.print(`Stopping ${countOf(running.length, "node")}`);
    for (const child of running) child.kill("SIGTERM");
    const deadline = performance.now() + this.timing.graceMs;
    while (this.running().length > 0 && performance.now() < deadline) {
      await this.wait(deadline - performance.now());
    }
    const stuck = this.running();
    for (const child of stuck) {
      this.config.print(`Node ${child.id} did not stop and was killed; its log: ${child.logFile}`);
      child.kill("SIGKILL");
    }
    await Promise.all(this.children.map(({ ended }) => ended));
    return this.stopRequests === 1 && stuck.length === 0 ? 0 : 1;
  }

  private running(): ChildNode[] {
    return this.children.filter(({ exited }) => exited === null);
  }

  /** Until a child ends, a signal comes or the time is over. */
  private wait(ms: number | null): Promise<void> {
    return new Promise((resolve) => {
      const timer = ms === null ? null : setTimeout(() => this.wake(), ms);
      this.wake = () => {
        if (timer !== null) clearTimeout(timer);
        this.wake = () => {};
        resolve();
      };
    });
  }
}

function reason({ exited, logFile }: ChildNode): string {
  const error = exited === null || exited.lastError === "" ? "" : `: ${exited.lastError}`;
  return `${exited?.how ?? ""}${error} (log: ${logFile})`;
}

function countOf(count: number, what: string): string {
  return count === 1 ? `1 ${what}` : `${count} ${what}s`;
}
