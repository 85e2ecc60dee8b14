import { connect, type Socket } from "node:net";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { Clerk } from "../../clerk/index.js";
import { PutAppendArgsCodec, PutAppendReplyCodec } from "../../proto/index.js";
import { ByteWriter } from "../../rpc/byteWriter.js";
import { eventually } from "../eventually.js";
import { Cluster } from "../process/cluster.js";
import { requestFrame } from "./frame.js";

/** Clerks of the original's kind, over sockets: all have one ClientId and count from 1. */

const sharedId = Buffer.from("171463691516816927778469308861804289383");

/** One process: it repeats a request on the next node until one says OK. */
class OriginalClerk {
  private readonly ports: readonly number[];
  private readonly sockets: (Socket | null)[];
  private node = 0;
  private requestId = 0;
  private last: Buffer = Buffer.alloc(0);

  constructor(ports: readonly number[]) {
    this.ports = ports;
    this.sockets = ports.map(() => null);
  }

  async append(value: string): Promise<void> {
    const writer = new ByteWriter();
    PutAppendArgsCodec.encode(
      {
        Key: Buffer.from("log"),
        Value: Buffer.from(value),
        Op: Buffer.from("Append"),
        ClientId: sharedId,
        RequestId: ++this.requestId,
      },
      writer,
    );
    this.last = requestFrame("kvServerRpc", "PutAppend", writer.finish());
    await this.repeat();
  }

  /** Its last request, as if the answer had been lost with the connection that it came by. */
  async repeat(): Promise<void> {
    await eventually("OK", async () => (await this.ask()) === "OK");
  }

  lose(): void {
    this.sockets[this.node]?.resetAndDestroy();
    this.sockets[this.node] = null;
  }

  /** Its sockets are closed by the kernel: with a FIN each. */
  exit(): void {
    for (const socket of this.sockets) socket?.end();
  }

  private async ask(): Promise<string> {
    if (this.sockets[this.node]?.destroyed === true) this.sockets[this.node] = null;
    const socket = (this.sockets[this.node] ??= connect(this.ports[this.node]!, "127.0.0.1"));
    const reply = await new Promise<Buffer | null>((resolve) => {
      socket.once("data", resolve);
      socket.once("error", () => resolve(null));
      socket.once("close", () => resolve(null));
      socket.write(this.last);
    });
    socket.removeAllListeners();
    socket.on("error", () => {});
    const err = reply === null ? "" : Buffer.from(PutAppendReplyCodec.decode(reply).Err).toString();
    if (reply === null) this.lose();
    if (err !== "OK") this.node = (this.node + 1) % this.ports.length;
    return err;
  }
}

let cluster: Cluster;
let ours: Clerk;

beforeEach(async () => {
  cluster = await Cluster.create(3);
  cluster.startAll();
  ours = new Clerk(cluster.nodes);
  await leader();
});

afterEach(async () => {
  await ours.close();
  await cluster.destroy();
});

async function statuses() {
  return (await ours.status({ timeoutMs: 500 })).map(({ status }) => status);
}

async function leader(): Promise<number> {
  const found = await eventually("a leader", async () => {
    const id = (await statuses()).findIndex((status) => status?.Role === "leader");
    return id >= 0 && `${id}`;
  });
  return Number(found);
}

describe("clerks of the original", () => {
  it("are each served from their first write on, one after the other and side by side", async () => {
    for (let process = 0; process < 2; process++) {
      const clerk = new OriginalClerk(cluster.ports);
      for (const value of ["a;", "b;"]) await clerk.append(value);
      clerk.exit();
    }
    // Of the two sessions nothing is left: each ended with its process.
    await eventually("no session", async () =>
      (await statuses()).every((status) => (status?.Sessions ?? 0) === 0),
    );
    const pair = [new OriginalClerk(cluster.ports), new OriginalClerk(cluster.ports)];
    for (const value of ["c;", "d;"]) await Promise.all(pair.map((clerk) => clerk.append(value)));
    for (const clerk of pair) clerk.exit();
    expect(await ours.getString("log")).toBe("a;b;a;b;c;c;d;d;");
  });

  it("have a repeated write done once, on another connection and at another leader", async () => {
    const [one, other] = [new OriginalClerk(cluster.ports), new OriginalClerk(cluster.ports)];
    await one.append("a;");
    await other.append("b;");
    one.lose();
    await one.repeat();
    await cluster.stop(await leader(), "SIGKILL");
    await other.repeat();
    await one.repeat();
    await one.append("c;");
    await other.append("d;");
    expect(await ours.getString("log")).toBe("a;b;c;d;");
    for (const clerk of [one, other]) clerk.exit();
  });
});
