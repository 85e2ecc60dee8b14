import { once } from "node:events";
import { connect, createServer, type AddressInfo, type Server, type Socket } from "node:net";
import {
  kvServerRpc,
  RpcHeaderCodec,
  type GetArgs,
  type GetReply,
  type OpenSessionReply,
  type PutAppendArgs,
  type PutAppendReply,
  type RpcHeader,
  type StatusReply,
} from "../../proto/index.js";
import {
  ByteWriter,
  MprpcChannel,
  RpcProvider,
  type MprpcChannelOptions,
  type MprpcController,
  type RpcProviderOptions,
} from "../../rpc/index.js";

export const bytes = (text: string): Uint8Array => Buffer.from(text);
export const text = (value: Uint8Array): string => Buffer.from(value).toString();
export const hex = (value: string): Buffer => Buffer.from(value, "hex");

/** The real one, also while a test fakes timers. */
const realSetTimeout = setTimeout;

/** Waits until `condition` holds; fails when it does not come to hold. */
export async function until(condition: () => boolean, what: string): Promise<void> {
  const deadline = performance.now() + 10_000;
  while (!condition()) {
    if (performance.now() > deadline) throw new Error(`never came true: ${what}`);
    await new Promise((resolve) => realSetTimeout(resolve, 1));
  }
}

/** Lets everything that is on its way arrive: several rounds over the loopback. */
export async function settled(): Promise<void> {
  for (let turns = 0; turns < 50; turns++) await new Promise((resolve) => setImmediate(resolve));
}

export interface Deferred {
  readonly promise: Promise<void>;
  readonly resolve: () => void;
}

/** A promise that the test resolves. */
export function deferred(): Deferred {
  let resolve: (() => void) | undefined;
  const promise = new Promise<void>((settle) => {
    resolve = settle;
  });
  return { promise, resolve: () => resolve?.() };
}

type Closers = (() => unknown)[];
const closers: Closers = [];

/** Leaves something to `closeAll`. */
export function closeLater(close: () => unknown): void {
  closers.push(close);
}

/** For `afterEach`: closes whatever the helpers here have opened. */
export async function closeAll(): Promise<void> {
  for (const close of closers.splice(0).toReversed()) await close();
}

/** A key-value service for tests: each method can be replaced. */
export class TestService extends kvServerRpc {
  get: (request: GetArgs, controller: MprpcController) => unknown = (request) => ({
    Err: bytes("OK"),
    Value: request.Key,
  });
  put: (request: PutAppendArgs, controller: MprpcController) => unknown = () => ({
    Err: bytes("OK"),
  });

  override async Get(request: GetArgs, controller: MprpcController): Promise<GetReply.$Properties> {
    return (await this.get(request, controller)) as GetReply.$Properties;
  }
  override async PutAppend(
    request: PutAppendArgs,
    controller: MprpcController,
  ): Promise<PutAppendReply.$Properties> {
    return (await this.put(request, controller)) as PutAppendReply.$Properties;
  }
  override OpenSession(): OpenSessionReply.$Properties {
    return {};
  }
  override Status(): StatusReply.$Properties {
    throw new Error("a secret of this server");
  }
}

export interface Running {
  readonly provider: RpcProvider;
  readonly service: TestService;
  readonly port: number;
  readonly errors: Error[];
}

export async function startProvider(options: RpcProviderOptions = {}, port = 0): Promise<Running> {
  const errors: Error[] = [];
  const provider = new RpcProvider({ onError: (error) => errors.push(error), ...options });
  const service = new TestService();
  provider.notifyService(service);
  const address = await provider.run("127.0.0.1", port);
  closers.push(() => provider.close(0));
  return { provider, service, port: address.port, errors };
}

export function openChannel(
  port: number,
  options: Partial<MprpcChannelOptions> = {},
): MprpcChannel {
  const channel = new MprpcChannel({ host: "127.0.0.1", port, ...options });
  closers.push(() => channel.close());
  return channel;
}

/** A socket with its past: what arrived, in which pieces, and how it ended. */
export class RawSocket {
  readonly socket: Socket;
  readonly chunks: Buffer[] = [];
  ending: "open" | "FIN" | "RST" = "open";

  constructor(socket: Socket) {
    this.socket = socket;
    socket.setNoDelay(true);
    socket.on("data", (chunk: Buffer) => this.chunks.push(chunk));
    socket.on("end", () => {
      if (this.ending === "open") this.ending = "FIN";
    });
    socket.on("error", (error: NodeJS.ErrnoException) => {
      if (error.code === "ECONNRESET") this.ending = "RST";
    });
    closers.push(() => socket.destroy());
  }

  get received(): Buffer {
    return Buffer.concat(this.chunks);
  }

  get receivedBytes(): number {
    return this.chunks.reduce((sum, chunk) => sum + chunk.length, 0);
  }

  send(data: Uint8Array): void {
    this.socket.write(data);
  }

  /** The first `count` bytes, once they are there. */
  async receive(count: number): Promise<Buffer> {
    await until(() => this.receivedBytes >= count || this.ending !== "open", `${count} bytes`);
    return this.received;
  }

  async ended(): Promise<"FIN" | "RST"> {
    await until(() => this.ending !== "open", "the end of the connection");
    return this.ending === "FIN" ? "FIN" : "RST";
  }
}

/** A client that speaks bytes. */
export async function rawClient(port: number): Promise<RawSocket> {
  const client = new RawSocket(connect({ host: "127.0.0.1", port }));
  await until(() => !client.socket.connecting || client.ending !== "open", "a connection");
  return client;
}

export interface RawServer {
  readonly server: Server;
  readonly port: number;
  readonly connections: RawSocket[];
  close(): Promise<void>;
}

/** A server that speaks bytes: `onConnection` sees each connection, before its first byte. */
export async function rawServer(
  onConnection: (connection: RawSocket) => void = () => {},
  port = 0,
): Promise<RawServer> {
  const connections: RawSocket[] = [];
  const server = createServer((socket) => {
    const connection = new RawSocket(socket);
    connections.push(connection);
    onConnection(connection);
  });
  server.listen(port, "127.0.0.1");
  await once(server, "listening");
  const close = async (): Promise<void> => {
    for (const { socket } of connections) socket.destroy();
    if (server.listening) await new Promise((resolve) => server.close(resolve));
  };
  closers.push(close);
  const { port: actual } = server.address() as AddressInfo;
  return { server, port: actual, connections, close };
}

/** A request as the original, or any protobuf library, would frame it. */
export function frame(header: RpcHeader.$Properties, args: Uint8Array = new Uint8Array(0)): Buffer {
  const encoded = new ByteWriter();
  RpcHeaderCodec.encode({ ...header, args_size: header.args_size ?? args.length }, encoded);
  return new ByteWriter().bytes(encoded.finish()).raw(args).finish();
}

/** A revision-1 request for a method of the key-value service. */
export function legacyFrame(method: string, args: Uint8Array): Buffer {
  return frame({ service_name: bytes("kvServerRpc"), method_name: bytes(method) }, args);
}
