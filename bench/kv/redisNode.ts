import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { freePorts } from "../../test/process/cluster.js";
import { Program, eventually, revivalMsMax, revivalPollMs } from "./processes.js";
import type { Caller, Processes, Target } from "./target.js";

/** One Redis that syncs before it answers. It replicates nothing, and so is no peer but a limit. */
export class RedisNode implements Target {
  readonly name = "redis";
  private readonly file: string;
  private dir = "";
  private port = 0;
  private program: Program | null = null;

  constructor(file: string) {
    this.file = file;
  }

  async start(): Promise<void> {
    this.dir = await mkdtemp(path.join(tmpdir(), "redis-bench-"));
    this.port = (await freePorts(1))[0]!;
    this.program = new Program(this.file, {
      port: `${this.port}`,
      bind: "127.0.0.1",
      dir: this.dir,
      appendonly: "yes",
      appendfsync: "always",
      save: "",
    });
    const [caller] = await eventually(() => this.connect(1));
    await caller!.close();
  }

  async connect(connections: number): Promise<Caller[]> {
    return Promise.all(Array.from({ length: connections }, () => RedisClient.open(this.port)));
  }

  async processes(): Promise<Processes> {
    return { leader: this.program!.pid, followers: [] };
  }

  async counters(): Promise<null> {
    return null;
  }

  async kill(): Promise<void> {
    await this.program?.stop();
  }

  /** It answers with LOADING until all is there. */
  async revive(): Promise<void> {
    this.program!.start();
    await eventually(
      async () => {
        const [caller] = await this.connect(1);
        await caller!.get("any").finally(() => void caller!.close());
      },
      revivalMsMax,
      revivalPollMs,
    );
  }

  async stop(): Promise<void> {
    await this.program?.stop();
    await rm(this.dir, { recursive: true, force: true });
  }
}

interface Waiting {
  readonly resolve: (reply: string) => void;
  readonly reject: (error: Error) => void;
}

/** Answered calls that may stay in the list of those that wait. */
const answeredMax = 4096;
const lineEnd = Buffer.from("\r\n");

/** RESP, pipelined; the commands of one turn go out in one write. */
class RedisClient implements Caller {
  private readonly socket: Socket;
  private readonly waiting: Waiting[] = [];
  private answered = 0;
  private output: Uint8Array[] = [];
  private input: Buffer = Buffer.alloc(0);

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.on("data", (chunk) => this.read(chunk));
    socket.on("close", () => {
      for (const { reject } of this.waiting.splice(this.answered))
        reject(new Error("Redis closed"));
    });
  }

  static async open(port: number): Promise<RedisClient> {
    const socket = connect({ port, host: "127.0.0.1", noDelay: true });
    await once(socket, "connect");
    socket.on("error", () => undefined);
    return new RedisClient(socket);
  }

  put(key: string, value: Uint8Array): Promise<unknown> {
    const head = `*3\r\n$3\r\nSET\r\n$${key.length}\r\n${key}\r\n$${value.length}\r\n`;
    return this.send(Buffer.from(head), value, lineEnd);
  }

  get(key: string): Promise<unknown> {
    return this.send(Buffer.from(`*2\r\n$3\r\nGET\r\n$${key.length}\r\n${key}\r\n`));
  }

  async close(): Promise<void> {
    this.socket.destroy();
  }

  private send(...parts: Uint8Array[]): Promise<string> {
    if (this.output.length === 0) setImmediate(this.flush);
    this.output.push(...parts);
    return new Promise((resolve, reject) => this.waiting.push({ resolve, reject }));
  }

  private readonly flush = (): void => {
    const parts = this.output;
    this.output = [];
    this.socket.write(Buffer.concat(parts));
  };

  /** Simple strings, errors and bulk strings: all that SET and GET answer. */
  private read(chunk: Buffer): void {
    this.input = this.input.length === 0 ? chunk : Buffer.concat([this.input, chunk]);
    let at = 0;
    for (;;) {
      const end = this.input.indexOf(lineEnd, at);
      if (end < 0) break;
      const line = this.input.toString("latin1", at, end);
      let next = end + lineEnd.length;
      if (line.startsWith("$") && line !== "$-1") next += Number(line.slice(1)) + lineEnd.length;
      if (next > this.input.length) break;
      this.answer(line);
      at = next;
    }
    this.input = this.input.subarray(at);
  }

  private answer(line: string): void {
    const { resolve, reject } = this.waiting[this.answered++]!;
    if (line.startsWith("-")) reject(new Error(line));
    else resolve(line);
    if (this.answered < answeredMax) return;
    this.waiting.splice(0, this.answered);
    this.answered = 0;
  }
}
