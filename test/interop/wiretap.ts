import { connect, createServer, type AddressInfo, type Server, type Socket } from "node:net";

/** Stands between callers and nodes of revision 1, and notes what such a node can't take. */
export class Wiretap {
  /** In the order of the nodes. */
  readonly nodes: readonly { readonly host: string; readonly port: number }[];
  /** Requests that passed. */
  requests = 0;
  /** Connections that callers gave up while a reply was due. */
  abandoned = 0;
  readonly violations: string[] = [];
  private readonly lines: readonly Line[];

  private constructor(lines: readonly Line[]) {
    this.lines = lines;
    this.nodes = lines.map(({ server }) => {
      return { host: "127.0.0.1", port: (server.address() as AddressInfo).port };
    });
  }

  static async before(ports: readonly number[]): Promise<Wiretap> {
    const lines = ports.map((port) => new Line(port));
    await Promise.all(lines.map((line) => line.listen()));
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
  tap: Wiretap | null = null;
  readonly server: Server;
  private readonly pairs = new Set<Pair>();
  private held = false;

  constructor(port: number) {
    this.server = createServer({ noDelay: true }, (caller) => {
      const pair = new Pair(caller, port, this.tap!, this.held);
      this.pairs.add(pair);
      caller.once("close", () => this.pairs.delete(pair));
    });
  }

  listen(): Promise<void> {
    return new Promise((resolve) => this.server.listen(0, "127.0.0.1", resolve));
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

  constructor(caller: Socket, port: number, tap: Wiretap, held: boolean) {
    this.caller = caller;
    this.node = connect({ host: "127.0.0.1", port, noDelay: true });
    if (held) this.node.pause();
    caller.on("data", (request: Buffer) => {
      tap.requests++;
      if (++this.outstanding > 1) tap.violations.push("a request before the reply to the last");
      if (request.length > 60_000) tap.violations.push(`a request of ${request.length} bytes`);
      this.node.write(request);
    });
    this.node.on("data", (reply: Buffer) => {
      this.outstanding--;
      caller.write(reply);
    });
    caller.on("close", () => {
      if (this.outstanding > 0) tap.abandoned++;
      this.node.destroy();
    });
    // The caller sees the same end of the connection.
    this.node.on("end", () => caller.end());
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
}
