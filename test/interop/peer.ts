import { spawn, type ChildProcess } from "node:child_process";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { eventually } from "../eventually.js";

/** The C++ peer of `cpp/`, as processes. */

export const peerBinary = path.join(path.dirname(fileURLToPath(import.meta.url)), "build/peer");

export interface PeerEnd {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  /** By which of the original's rules it ended itself; empty when it did not. */
  readonly rule: string;
}

export interface PeerNodeOptions {
  /** From the start until the node list is read, and then for each node from this to the last. */
  readonly listMs?: number;
  readonly peerMs?: number;
  /** Bytes of Raft state of which a tenth makes a snapshot; -1: never. */
  readonly stateBytesMax?: number;
}

/** Ready at once, as far as a test is concerned that is not about getting ready; no snapshots. */
export const readySoon: PeerNodeOptions = { listMs: 200, peerMs: 50, stateBytesMax: -1 };

class PeerProcess {
  readonly child: ChildProcess;
  readonly exited: Promise<PeerEnd>;
  /** What it told on stdout, a line an event. */
  output = "";
  private errors = "";
  end: PeerEnd | null = null;

  constructor(args: readonly string[]) {
    const child = spawn(peerBinary, args, { stdio: ["pipe", "pipe", "pipe"] });
    this.child = child;
    child.stdout.on("data", (chunk: Buffer) => this.heard(chunk.toString("latin1")));
    child.stderr.on("data", (chunk: Buffer) => (this.errors += chunk.toString()));
    child.stdin.on("error", () => {});
    // `close` comes after the last of its output.
    this.exited = new Promise((resolve) =>
      child.once("close", (code, signal) => {
        const rule = /ended by rule: (.*)/.exec(this.errors)?.[1] ?? "";
        this.end = { code, signal, rule };
        resolve(this.end);
      }),
    );
  }

  protected heard(text: string): void {
    this.output += text;
  }

  get running(): boolean {
    return this.end === null;
  }

  async kill(signal: NodeJS.Signals = "SIGKILL"): Promise<PeerEnd> {
    this.child.kill(signal);
    if (signal === "SIGKILL") this.child.kill("SIGCONT");
    return this.exited;
  }
}

/** A node of the original's kind. */
export class PeerNode extends PeerProcess {
  readonly id: number;

  /** By default as slow to get ready as the original, and with its snapshots. */
  constructor(nodesFile: string, id: number, options: PeerNodeOptions = {}) {
    const { listMs, peerMs, stateBytesMax } = options;
    const args = ["node", "-i", `${id}`, "-f", nodesFile];
    if (listMs !== undefined) args.push("-l", `${listMs}`);
    if (peerMs !== undefined) args.push("-p", `${peerMs}`);
    if (stateBytesMax !== undefined) args.push("-s", `${stateBytesMax}`);
    super(args);
    this.id = id;
  }

  /** The newest term in which it has campaigned, led or followed by a change of its role. */
  get term(): number {
    return Number(this.output.match(/(?<=^(?:candidate|leader|follower) )\d+/gm)?.at(-1) ?? 0);
  }

  /** What it has counted as installed: index and node of each. */
  get installations(): string[] {
    return this.output.match(/(?<=^installed ).*/gm) ?? [];
  }

  /** Snapshots that it has sent. */
  get snapshotsSent(): number {
    return this.output.match(/^sends a snapshot/gm)?.length ?? 0;
  }

  /** All that its store holds. */
  async pairs(): Promise<Map<string, string>> {
    const from = this.output.length;
    this.child.kill("SIGUSR1");
    const told = await eventually(`what peer ${this.id} holds`, async () => {
      const output = this.output.slice(from);
      return /^pairs \d+$/m.test(output) && output;
    });
    return new Map(told.match(/^pair .*/gm)?.map((line) => pairOf(line)) ?? []);
  }

  /** Its last role, and whether it is past its start. */
  get role(): "starting" | "follower" | "candidate" | "leader" {
    const last = this.output.match(/^(?:candidate|leader|follower|ready)\b/gm)?.at(-1);
    if (last === "candidate" || last === "leader") return last;
    return last === undefined ? "starting" : "follower";
  }

  /** Index of its newest snapshot. */
  get snapshotIndex(): number {
    return Number(this.output.match(/(?<=^snapshot )\d+/gm)?.at(-1) ?? 0);
  }

  async ready(): Promise<void> {
    await eventually(`peer ${this.id} is ready`, async () => this.role !== "starting");
  }
}

function pairOf(line: string): [string, string] {
  const [, key = "", value = ""] = line.split(" ");
  return [key, value];
}

/** The one of them that leads, as far as it knows. */
export async function leaderOf(peers: readonly PeerNode[]): Promise<PeerNode> {
  return eventually("a C++ leader", async () =>
    peers.find((peer) => peer.running && peer.role === "leader"),
  );
}

export interface PeerResult {
  readonly requestId: number;
  readonly ms: number;
  /** Of a get; a missing key has an empty one. */
  readonly value: string;
}

/** A clerk of the original's kind: one call at a time, the client id that all of them share. */
export class PeerClerk extends PeerProcess {
  /** That were answered. */
  operations = 0;
  private unread = "";
  private readonly waiting: ((result: PeerResult | null) => void)[] = [];

  constructor(nodesFile: string) {
    super(["clerk", "-f", nodesFile]);
    void this.exited.then(() => {
      for (const wait of this.waiting.splice(0)) wait(null);
    });
  }

  put(key: string, value: string): Promise<PeerResult> {
    return this.run(`put ${key} ${value}`);
  }

  append(key: string, value: string): Promise<PeerResult> {
    return this.run(`append ${key} ${value}`);
  }

  get(key: string): Promise<PeerResult> {
    return this.run(`get ${key}`);
  }

  /** Ends it as its user does, by the end of its script. */
  async finish(): Promise<PeerEnd> {
    this.child.stdin?.end();
    return this.exited;
  }

  private run(line: string): Promise<PeerResult> {
    return new Promise((resolve, reject) => {
      const settle = (result: PeerResult | null): void => {
        if (result !== null) resolve(result);
        else reject(new Error(`the C++ clerk ended: ${JSON.stringify(this.end)}`));
      };
      if (this.end !== null) return settle(null);
      this.waiting.push(settle);
      this.child.stdin?.write(`${line}\n`);
    });
  }

  protected override heard(text: string): void {
    this.unread += text;
    for (let end = this.unread.indexOf("\n"); end >= 0; end = this.unread.indexOf("\n")) {
      const [requestId, ms, value = ""] = this.unread.slice(0, end).split(" ");
      this.unread = this.unread.slice(end + 1);
      this.operations++;
      this.waiting.shift()?.({ requestId: Number(requestId), ms: Number(ms), value });
    }
  }
}
