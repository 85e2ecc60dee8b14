import { spawn, type ChildProcess } from "node:child_process";
import { randomInt } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";

/** Real node processes on loopback, with their data in a temporary folder. */

/** Of the package: this file may run from its place or from a build of it. */
function packageRoot(from: string): string {
  return existsSync(path.join(from, "package.json")) ? from : packageRoot(path.dirname(from));
}

const root = packageRoot(path.dirname(fileURLToPath(import.meta.url)));
export const mainScript = path.join(root, "dist/kvserver/main.js");
export const cliScript = path.join(root, "dist/clerk/cli.js");

/** Above those of well-known services; those above 32,767 the original can't use. */
const portMin = 10_000;
const portMax = 32_767;

/** Null: somebody has it. */
function listenOn(port: number): Promise<Server | null> {
  const server = createServer();
  return new Promise((resolve) => {
    server.once("error", () => resolve(null));
    server.listen(port, "127.0.0.1", () => resolve(server));
  });
}

/**
 * Ports that were free a moment ago; held all at once, so that they differ. None is of the range
 * from which the kernel takes ports for outgoing connections.
 */
export async function freePorts(count: number): Promise<number[]> {
  const servers: Server[] = [];
  while (servers.length < count) {
    const server = await listenOn(randomInt(portMin, portMax + 1));
    if (server !== null) servers.push(server);
  }
  const ports = servers.map((server) => (server.address() as { port: number }).port);
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}

export function temporaryFolder(): Promise<string> {
  return mkdtemp(path.join(tmpdir(), "kv-cluster-"));
}

export interface Address {
  readonly host: string;
  readonly port: number;
}

export interface NodeProcess {
  readonly id: number;
  readonly child: ChildProcess;
  readonly exited: Promise<{ code: number | null; signal: NodeJS.Signals | null }>;
  output: string;
  /** Of that, what went to stderr. */
  errors: string;
}

/** Of what a node prints, so many characters. */
const outputKept = 20_000;

export class Cluster {
  readonly dir: string;
  readonly nodes: readonly Address[];
  readonly nodesFile: string;
  readonly processes = new Map<number, NodeProcess>();
  /** What Node itself is told, such as `--cpu-prof`. */
  nodeFlags: readonly string[] = [];

  protected constructor(dir: string, nodes: readonly Address[]) {
    this.dir = dir;
    this.nodes = nodes;
    this.nodesFile = path.join(dir, "nodes.conf");
  }

  /** @param options extra lines of the node list, such as `snapshotLogBytes=65536`. */
  static async create(size: number, options: readonly string[] = []): Promise<Cluster> {
    const ports = await freePorts(size);
    const dir = await temporaryFolder();
    const cluster = new Cluster(
      dir,
      ports.map((port) => ({ host: "127.0.0.1", port })),
    );
    await cluster.writeNodeList(options);
    return cluster;
  }

  /** The list that node `id` is started with. */
  nodesFileOf(_id: number): string {
    return this.nodesFile;
  }

  get dataDir(): string {
    return path.join(this.dir, "data");
  }

  get ports(): number[] {
    return this.nodes.map(({ port }) => port);
  }

  /**
   * @param shell what bash does first, such as `ulimit -f 64`.
   * @param wrapper the command that runs it all, and stays the same process.
   */
  start(
    id: number,
    extra: readonly string[] = [],
    shell = "",
    wrapper: readonly string[] = [],
  ): NodeProcess {
    const args = [mainScript, "-f", this.nodesFileOf(id), "-i", `${id}`];
    args.push("--data-dir", this.dataDir, "--log-level", "info", ...extra);
    const node = [process.execPath, ...this.nodeFlags, ...args];
    const shelled = shell === "" ? node : ["bash", "-c", `${shell}; exec "$@"`, "bash", ...node];
    const [command, ...rest] = [...wrapper, ...shelled];
    const child = spawn(command!, rest, { stdio: ["ignore", "pipe", "pipe"] });
    const exited = new Promise<{ code: number | null; signal: NodeJS.Signals | null }>((resolve) =>
      child.once("close", (code, signal) => resolve({ code, signal })),
    );
    const started: NodeProcess = { id, child, exited, output: "", errors: "" };
    const keep = (chunk: Buffer): void => {
      started.output = (started.output + chunk.toString()).slice(-outputKept);
    };
    child.stdout.on("data", keep);
    child.stderr.on("data", keep);
    child.stderr.on("data", (chunk: Buffer) => {
      started.errors = (started.errors + chunk.toString()).slice(-outputKept);
    });
    this.processes.set(id, started);
    return started;
  }

  startAll(): void {
    for (let id = 0; id < this.nodes.length; id++) this.start(id);
  }

  /** Sends `signal` and waits for the end of the process. */
  async stop(id: number, signal: NodeJS.Signals): Promise<void> {
    const node = this.processes.get(id);
    if (node === undefined) return;
    node.child.kill(signal);
    if (signal === "SIGKILL") node.child.kill("SIGCONT");
    await node.exited;
    this.processes.delete(id);
  }

  protected async writeNodeList(options: readonly string[]): Promise<void> {
    const nodes = this.nodes.map(
      ({ host, port }, id) => `node${id}ip=${host}\nnode${id}port=${port}`,
    );
    await writeFile(this.nodesFile, [...nodes, ...options, ""].join("\n"));
  }

  async destroy(): Promise<void> {
    await Promise.all([...this.processes.keys()].map((id) => this.stop(id, "SIGKILL")));
    await rm(this.dir, { recursive: true, force: true });
  }
}
