import { connect, createServer, type AddressInfo, type Server, type Socket } from "node:net";
import { freePorts } from "../process/cluster.js";
import { framesIn, type SeenRequest } from "./seenRequests.js";

/**
 * Stands between callers and nodes of revision 1, and notes what such a node can't take. It passes on
 * each request in one piece, as it must have left.
 */
export class Wiretap {
  /** In the order of the nodes. */
  readonly nodes: readonly { readonly host: string; readonly port: number }[];
  /** Requests that passed. */
  requests = 0;
  /** Connections that callers gave up while a reply was due. */
  abandoned = 0;
  readonly violations: string[] = [];
  /** Sees each request to node `id` before it passes. */
  onRequest: (id: number, request: SeenRequest) => void = () => {};
  /** Sees what node `id` writes, a piece each. */
  onReply: (id: number, reply: Buffer) => void = () => {};
  private readonly lines: readonly Line[];

  private constructor(lines: readonly Line[]) {
    this.lines = lines;
    this.nodes = lines.map(({ server }) => {
      return { host: "127.0.0.1", port: (server.address() as AddressInfo).port };
    });
  }

  static async before(ports: readonly number[]): Promise<Wiretap> {
    const own = await freePorts(ports.length);
    const lines = ports.map((port, id) => new Line(id, port));
    await Promise.all(lines.map((line, id) => line.listen(own[id]!)));
    const tap = new Wiretap(lines);
    for (const line of lines) line.tap = tap;
    return tap;
  }

  /** What node `id` answers from here on stays in the line, until it is let go. */
  hold(id: number, held: boolean): void {
    this.lines[id]!.hold(held);
  }

  async close(): Promise<void> {
    await Promise.all(this.lines.map((line) => line.close()));
  }
}

class Line {
  readonly id: number;
  tap: Wiretap | null = null;
  readonly server: Server;
  held = false;
  private readonly pairs = new Set<Pair>();

  constructor(id: number, port: number) {
    this.id = id;
    this.server = createServer({ noDelay: true }, (caller) => {
      const pair = new Pair(caller, port, this.tap!, this);
      this.pairs.add(pair);
      caller.once("close", () => this.pairs.delete(pair));
    });
  }

  listen(port: number): Promise<void> {
    return new Promise((resolve) => this.server.listen(port, "127.0.0.1", resolve));
  }

  hold(held: boolean): void {
    this.held = held;
    for (const pair of this.pairs) pair.hold(held);
  }

  close(): Promise<void> {
    for (const pair of this.pairs) pair.end();
    return new Promise((resolve) => this.server.close(() => resolve()));
  }
}

/** One connection and its other half. */
class Pair {
  private readonly caller: Socket;
  private readonly node: Socket;
  private outstanding = 0;
  private unread = Buffer.alloc(0);

  constructor(caller: Socket, port: number, tap: Wiretap, { id, held }: Line) {
    this.caller = caller;
    this.node = connect({ host: "127.0.0.1", port, noDelay: true });
    if (held) this.node.pause();
    caller.on("data", (chunk: Buffer) => {
      this.unread = Buffer.concat([this.unread, chunk]);
      const { frames, end } = framesIn(this.unread);
      if (frames.length === 0) return;
      const whole = this.unread.subarray(0, end);
      this.unread = this.unread.subarray(end);
      for (const { request } of frames) this.note(request, tap, id);
      this.node.write(whole);
    });
    this.node.on("data", (reply: Buffer) => {
      this.outstanding--;
      tap.onReply(id, reply);
      caller.write(reply);
    });
    caller.on("close", () => {
      if (this.outstanding > 0) tap.abandoned++;
      this.node.destroy();
    });
    // The caller sees the same end: a FIN of a process that is gone, and a reset of what it sends then.
    this.node.on("end", () => caller.destroySoon());
    this.node.on("error", () => caller.resetAndDestroy());
    caller.on("error", () => {});
  }

  hold(held: boolean): void {
    if (held) this.node.pause();
    else this.node.resume();
  }

  end(): void {
    this.caller.destroy();
    this.node.destroy();
  }

  private note(request: SeenRequest, tap: Wiretap, id: number): void {
    tap.requests++;
    const wrong = (what: string): number => tap.violations.push(`node ${id}: ${what}`);
    if (++this.outstanding > 1) wrong("a request before the reply to the last");
    if (request.bytes > 60_000) wrong(`a request of ${request.bytes} bytes`);
    tap.onRequest(id, request);
  }
}
