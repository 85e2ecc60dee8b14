import { EventEmitter } from "node:events";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { ConfigError, MprpcConfig, type NodeAddress } from "../../config/index.js";
import { writeFreeNodeList } from "../../kvserver/freeNodeList.js";
import { launch, stopWhenParentDies, type LaunchedStatus } from "../../kvserver/launcher.js";

/** What stands in for a node: says "up", and then does as it is told. */
const childScript = `
  const mode = process.argv[2];
  if (mode === "fail") {
    process.stderr.write("a warning\\nport 1 is in use\\n\\n");
    process.exit(3);
  }
  process.on("SIGTERM", () => { if (mode !== "stubborn") process.exit(0); });
  process.on("disconnect", () => process.exit(0));
  process.stdout.write("up " + process.pid + "\\n");
`;

const folder = mkdtempSync(join(tmpdir(), "launcher-"));
afterAll(() => rmSync(folder, { recursive: true }));

class Cluster {
  private readonly dir = mkdtempSync(join(folder, "cluster-"));
  readonly dataDir = join(this.dir, "data");
  readonly lines: string[] = [];
  readonly signals = new EventEmitter();
  /** The node that leads as soon as all are up; -1: none ever. */
  leader = 1;
  onLine: (line: string) => void = () => {};
  private readonly modes: readonly string[];
  private readonly script: string;

  constructor(...modes: string[]) {
    this.modes = modes;
    this.script = join(this.dir, "child.mjs");
    writeFileSync(this.script, childScript);
  }

  run(): Promise<number> {
    return launch({
      nodes: this.modes.map((_, id) => ({ id, host: "127.0.0.1", port: 29016 + id, line: 0 })),
      dataDir: this.dataDir,
      script: (id) => [this.script, this.modes[id] ?? ""],
      queryStatus: (node) => this.statusOf(node),
      hints: ["first hint", "second hint"],
      print: (line) => {
        this.lines.push(line);
        this.onLine(line);
      },
      signals: this.signals,
      timing: {
        pollMs: 5,
        noLeaderMs: this.leader < 0 ? 20 : 60_000,
        graceMs: this.modes.includes("stubborn") ? 100 : 20_000,
      },
    });
  }

  log(id: number): string {
    const file = join(this.dataDir, `node${id}.log`);
    return existsSync(file) ? readFileSync(file, "utf8") : "";
  }

  /** Does `action` when the first line that contains `text` is printed. */
  when(text: string, action: () => void): void {
    const before = this.onLine;
    this.onLine = (line) => {
      before(line);
      if (line.includes(text)) action();
    };
  }

  pid(id: number): number {
    return Number(/up ([0-9]+)/.exec(this.log(id))?.[1]);
  }

  private async statusOf({ id }: NodeAddress): Promise<LaunchedStatus | undefined> {
    const allUp = this.modes.every((_, each) => this.log(each).includes("up"));
    if (!allUp) throw new Error("no connection");
    return { role: id === this.leader ? "leader" : "follower", term: 7 };
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

describe("the launcher", () => {
  test("tells in a few lines what runs, waits for a signal and stops in good order", async () => {
    const cluster = new Cluster("run", "run", "run");
    cluster.when("Ctrl-C", () => cluster.signals.emit("SIGINT"));
    expect(await cluster.run()).toBe(0);
    const pids = [0, 1, 2].map((id) => cluster.pid(id));
    expect(cluster.lines).toEqual([
      `Starting 3 nodes; data and logs in ${cluster.dataDir}`,
      `  node 0  127.0.0.1:29016  pid ${pids[0]}`,
      `  node 1  127.0.0.1:29017  pid ${pids[1]}`,
      `  node 2  127.0.0.1:29018  pid ${pids[2]}`,
      expect.stringMatching(/^Ready after [0-9.]+ s: node 1 leads \(term 7\)$/),
      "Try:",
      "  first hint",
      "  second hint",
      "Ctrl-C stops the nodes",
      "Stopping 3 nodes",
    ]);
    expect(pids.filter((pid) => isAlive(pid))).toEqual([]);
    expect(cluster.signals.eventNames()).toEqual([]);
  });

  test("prints the error of a node that dies during the start, and stops the others", async () => {
    const cluster = new Cluster("run", "fail");
    expect(await cluster.run()).toBe(1);
    const log = join(cluster.dataDir, "node1.log");
    expect(cluster.lines).toContain(
      `Node 1 ended during the start with code 3: port 1 is in use (log: ${log})`,
    );
    expect(cluster.log(1)).toContain("a warning\nport 1 is in use\n");
    expect(cluster.lines).not.toContain("Try:");
    const [, pid] = /node 0 .* pid ([0-9]+)/.exec(cluster.lines.join("\n")) ?? [];
    expect(isAlive(Number(pid))).toBe(false);
  });

  test("reports a node that dies later and goes on without it", async () => {
    const cluster = new Cluster("run", "run");
    cluster.when("Ctrl-C", () => process.kill(cluster.pid(0), "SIGKILL"));
    cluster.when("Node 0 ended", () => cluster.signals.emit("SIGTERM"));
    expect(await cluster.run()).toBe(0);
    const log = join(cluster.dataDir, "node0.log");
    expect(cluster.lines.slice(-2)).toEqual([
      `Node 0 ended with signal SIGKILL (log: ${log})`,
      "Stopping 1 node",
    ]);
  });

  test("ends when no node is left", async () => {
    const cluster = new Cluster("run", "run");
    cluster.when("Ctrl-C", () => {
      for (const id of [0, 1]) process.kill(cluster.pid(id), "SIGKILL");
    });
    expect(await cluster.run()).toBe(1);
    expect(cluster.lines.at(-1)).toBe("No node is left");
  });

  test("kills a node that does not stop", async () => {
    const cluster = new Cluster("run", "stubborn");
    cluster.when("Ctrl-C", () => cluster.signals.emit("SIGINT"));
    expect(await cluster.run()).toBe(1);
    expect(cluster.lines.at(-1)).toContain("Node 1 did not stop and was killed");
    expect(isAlive(cluster.pid(1))).toBe(false);
  });

  test("a second signal ends the wait", async () => {
    const cluster = new Cluster("stubborn", "run");
    cluster.when("Ctrl-C", () => cluster.signals.emit("SIGINT"));
    cluster.when("Stopping", () => cluster.signals.emit("SIGINT"));
    expect(await cluster.run()).toBe(1);
    expect(isAlive(cluster.pid(0))).toBe(false);
  });

  test("says once when there is no leader, and can be stopped then", async () => {
    const cluster = new Cluster("run");
    cluster.leader = -1;
    cluster.when("No leader yet", () => cluster.signals.emit("SIGINT"));
    expect(await cluster.run()).toBe(0);
    expect(cluster.lines.filter((line) => line.includes("No leader yet")).length).toBe(1);
  });
});

describe("a child of the launcher", () => {
  test("is told once when the launcher is gone, and is not kept alive for that", () => {
    const channel = { referenced: true, unref: () => (channel.referenced = false) };
    const self = Object.assign(new EventEmitter(), { send: true, connected: true, channel });
    const calls: string[] = [];
    stopWhenParentDies(() => calls.push("gone"), self);
    expect(channel.referenced).toBe(false);
    expect(calls).toEqual([]);
    self.emit("disconnect");
    self.emit("disconnect");
    expect(calls).toEqual(["gone"]);
  });

  test("is told at once when the launcher went while it was starting", () => {
    const self = Object.assign(new EventEmitter(), { send: true, connected: false });
    const calls: string[] = [];
    stopWhenParentDies(() => calls.push("gone"), self);
    expect(calls).toEqual(["gone"]);
  });

  test("that has no channel waits for nothing", () => {
    const self = Object.assign(new EventEmitter(), { connected: false });
    stopWhenParentDies(() => expect.unreachable(), self);
    expect(self.eventNames()).toEqual([]);
  });
});

describe("a new node list", () => {
  test("names free ports, all different, in a file that was not there", async () => {
    const file = join(folder, "nodes.conf");
    await writeFreeNodeList(file, 5);
    const { nodes } = MprpcConfig.loadFile(file);
    expect(new Set(nodes.map(({ port }) => port)).size).toBe(5);
    await expect(writeFreeNodeList(file, 5)).rejects.toThrow(ConfigError);
    await expect(writeFreeNodeList(file, 5)).rejects.toThrow(/exists already/);
    expect(MprpcConfig.loadFile(file).nodes).toEqual(nodes);
  });

  test("says when it can't be written", async () => {
    const file = join(tmpdir(), "no such folder", "nodes.conf");
    await expect(writeFreeNodeList(file, 1)).rejects.toThrow(/can't be written/);
  });
});
