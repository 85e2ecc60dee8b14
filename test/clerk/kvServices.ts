import { createServer, type Server, type Socket } from "node:net";
import { kvServerRpc, RPC, raftKVRpcProctoc as kv } from "../../proto/index.js";
import { RpcProvider, type RpcProviderOptions } from "../../rpc/rpcProvider.js";
import type { ExactlyOnceModel } from "./exactlyOnceModel.js";

/** Who leads a cluster of services that share one state. */
export interface Leadership {
  leader: number;
  hints: boolean;
}

/** A node's kvServerRpc on a state in memory. */
export class ModelService extends kvServerRpc {
  private readonly id: number;
  private readonly model: ExactlyOnceModel;
  private readonly leadership: Leadership;

  constructor(id: number, model: ExactlyOnceModel, leadership: Leadership) {
    super();
    this.id = id;
    this.model = model;
    this.leadership = leadership;
  }

  override PutAppend(request: kv.PutAppendArgs): kv.PutAppendReply.$Properties {
    if (!this.leads) return this.wrongLeader;
    return { Err: Buffer.from(this.model.apply(request)) };
  }

  override Get(request: kv.GetArgs): kv.GetReply.$Properties {
    if (!this.leads) return this.wrongLeader;
    const value = this.model.data.get(Buffer.from(request.Key).toString());
    if (value === undefined) return { Err: Buffer.from("ErrNoKey") };
    return { Err: Buffer.from("OK"), Value: Buffer.from(value) };
  }

  override OpenSession(request: kv.OpenSessionArgs): kv.OpenSessionReply.$Properties {
    if (!this.leads) return this.wrongLeader;
    this.model.open(Buffer.from(request.ClientId).toString("hex"));
    return { Err: Buffer.from("OK") };
  }

  override Status(): kv.StatusReply.$Properties {
    return {
      NodeId: this.id,
      Role: this.leads ? "leader" : "follower",
      Term: 7,
      LeaderHint: this.leadership.leader + 1,
      Keys: this.model.data.size,
      Peers: [{ NodeId: 5, State: "probe" }],
    };
  }

  private get leads(): boolean {
    return this.leadership.leader === this.id;
  }

  private get wrongLeader(): kv.PutAppendReply.$Properties {
    const LeaderHint = this.leadership.hints ? this.leadership.leader + 1 : 0;
    return { Err: Buffer.from("ErrWrongLeader"), LeaderHint };
  }
}

/** Services on real ports. */
export class ServiceCluster {
  readonly nodes: { host: string; port: number }[] = [];
  readonly leadership: Leadership = { leader: 0, hints: true };
  private readonly model: ExactlyOnceModel;
  private readonly providers: RpcProvider[] = [];

  private readonly options: RpcProviderOptions;

  private constructor(model: ExactlyOnceModel, options: RpcProviderOptions) {
    this.model = model;
    this.options = options;
  }

  static async start(
    count: number,
    model: ExactlyOnceModel,
    options: RpcProviderOptions = {},
  ): Promise<ServiceCluster> {
    const cluster = new ServiceCluster(model, options);
    for (let id = 0; id < count; id++) await cluster.startNode(id, 0);
    return cluster;
  }

  /** Resets all of the node's connections. */
  async stopNode(id: number): Promise<void> {
    await this.providers[id]!.close(0);
  }

  async restartNode(id: number): Promise<void> {
    await this.startNode(id, this.nodes[id]!.port);
  }

  async stop(): Promise<void> {
    await Promise.all(this.providers.map((provider) => provider.close(0)));
  }

  private async startNode(id: number, port: number): Promise<void> {
    const provider = new RpcProvider(this.options);
    provider.notifyService(new ModelService(id, this.model, this.leadership));
    this.nodes[id] = await provider.run("127.0.0.1", port);
    this.providers[id] = provider;
  }
}

/**
 * A server with the habits of the original's: a bare reply without length, one request at a time,
 * and silence to what it does not know.
 */
export class OriginalServer {
  /** The names of the methods that were asked for. */
  readonly methods: string[] = [];
  readonly writes: kv.PutAppendArgs[] = [];
  readonly port: number;
  private readonly server: Server;
  private readonly sockets = new Set<Socket>();
  private readonly model: ExactlyOnceModel;

  private constructor(server: Server, port: number, model: ExactlyOnceModel) {
    this.server = server;
    this.port = port;
    this.model = model;
    server.on("connection", (socket) => {
      this.sockets.add(socket);
      socket.on("error", () => {});
      socket.on("data", (chunk) => this.answer(socket, chunk));
    });
  }

  static start(model: ExactlyOnceModel): Promise<OriginalServer> {
    const server = createServer();
    return new Promise((resolve, reject) => {
      server.listen(0, "127.0.0.1", () => {
        const address = server.address();
        if (address === null || typeof address === "string") return reject(new Error("no port"));
        return resolve(new OriginalServer(server, address.port, model));
      });
    });
  }

  stop(): void {
    this.server.close();
    for (const socket of this.sockets) socket.destroy();
  }

  /** Only the first of several requests that arrive together is seen. */
  private answer(socket: Socket, chunk: Buffer): void {
    const headerBytes = chunk[0]!;
    const header = RPC.RpcHeader.decode(chunk.subarray(1, 1 + headerBytes));
    const args = chunk.subarray(1 + headerBytes, 1 + headerBytes + header.args_size);
    const method = Buffer.from(header.method_name).toString();
    this.methods.push(method);
    if (method === "PutAppend") socket.write(this.putAppend(kv.PutAppendArgs.decode(args)));
    if (method === "Get") socket.write(this.get(kv.GetArgs.decode(args)));
  }

  private putAppend(request: kv.PutAppendArgs): Uint8Array {
    this.writes.push(request);
    const Err = Buffer.from(this.model.apply(request));
    return kv.PutAppendReply.encode({ Err }).finish();
  }

  private get(request: kv.GetArgs): Uint8Array {
    const value = this.model.data.get(Buffer.from(request.Key).toString());
    const Err = Buffer.from(value === undefined ? "ErrNoKey" : "OK");
    return kv.GetReply.encode({ Err, Value: Buffer.from(value ?? "") }).finish();
  }
}
