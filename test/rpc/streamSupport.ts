import { GetArgsCodec, GetReplyCodec, type GetArgs, type GetReply } from "../../proto/index.js";
import {
  callServerStream,
  callUnary,
  RpcError,
  RpcProvider,
  type CallOptions,
  type MethodDescriptor,
  type MprpcController,
  type RpcChannel,
  type RpcProviderOptions,
  type RpcService,
  type ServerStream,
} from "../../rpc/index.js";
import { bytes, closeLater } from "./support.js";

type Init = GetReply.$Properties;
type Method = MethodDescriptor<GetArgs.$Properties, GetReply>;

const method = (index: number, name: string, kind: "unary" | "server_stream"): Method => ({
  serviceName: "Feed",
  name,
  index,
  request: GetArgsCodec,
  response: GetReplyCodec,
  kind,
});

export const watchMethod = method(0, "Watch", "server_stream");
export const getMethod = method(1, "Get", "unary");
/** The stream, called by one who takes it for unary. */
export const watchAsUnary = method(0, "Watch", "unary");
/** The unary method, called by one who takes it for a stream. */
export const getAsStream = method(1, "Get", "server_stream");

/** A service with one stream and one unary method, which each test writes. */
export class Feed implements RpcService {
  readonly descriptor = { name: "Feed", fullName: "test.Feed", methods: [watchMethod, getMethod] };
  /** Of each call of Watch, in the order in which they came. */
  readonly controllers: MprpcController[] = [];
  watch: (request: GetArgs, controller: MprpcController) => unknown = () => texts("one", "two");
  get: (request: GetArgs, controller: MprpcController) => Init | Promise<Init> = ({ Key }) => ({
    Value: Key,
  });

  callMethod(
    _method: MethodDescriptor,
    controller: MprpcController,
    request: unknown,
    done: (response: unknown) => void,
  ): void {
    Promise.resolve(request as GetArgs)
      .then((args) => this.get(args, controller))
      .then(done, (thrown: unknown) => {
        controller.setThrown(thrown);
        done(null);
      });
  }

  callStream(
    _method: MethodDescriptor,
    controller: MprpcController,
    request: unknown,
  ): AsyncIterable<unknown> {
    this.controllers.push(controller);
    return this.watch(request as GetArgs, controller) as AsyncIterable<unknown>;
  }
}

export interface RunningFeed {
  readonly provider: RpcProvider;
  readonly feed: Feed;
  readonly port: number;
  readonly errors: Error[];
}

export async function startFeed(options: RpcProviderOptions = {}): Promise<RunningFeed> {
  const errors: Error[] = [];
  const provider = new RpcProvider({ onError: (error) => errors.push(error), ...options });
  const feed = new Feed();
  provider.notifyService(feed);
  const { port } = await provider.run("127.0.0.1", 0);
  closeLater(() => provider.close(0));
  return { provider, feed, port, errors };
}

export function watch(
  channel: RpcChannel,
  options?: CallOptions | MprpcController,
  key = "",
): ServerStream<GetReply> {
  return callServerStream(channel, watchMethod, { Key: bytes(key) }, options);
}

export function get(
  channel: RpcChannel,
  key: string,
  options?: CallOptions | MprpcController,
): Promise<GetReply> {
  return callUnary(channel, getMethod, { Key: bytes(key) }, options);
}

/** A stream of these. */
export async function* texts(...values: string[]): AsyncGenerator<Init> {
  for (const value of values) yield { Value: bytes(value) };
}

export interface Endless {
  readonly iterable: AsyncIterable<Init>;
  /** Messages asked for. */
  made: number;
  /** Calls of `return`. */
  closed: number;
}

/** Messages of `size` bytes, as many as are asked for. */
export function endless(size: number): Endless {
  const value = new Uint8Array(size);
  const iterator: AsyncIterator<Init> = {
    next: () => {
      counts.made++;
      return Promise.resolve({ value: { Value: value }, done: false });
    },
    return: () => {
      counts.closed++;
      return Promise.resolve({ value: undefined, done: true });
    },
  };
  const counts: Endless = {
    made: 0,
    closed: 0,
    iterable: { [Symbol.asyncIterator]: () => iterator },
  };
  return counts;
}

/** All messages of a stream as texts, and what it threw. */
export async function collect(
  stream: AsyncIterable<GetReply>,
): Promise<{ readonly values: string[]; readonly error: RpcError | null }> {
  const values: string[] = [];
  try {
    for await (const { Value } of stream) values.push(Buffer.from(Value).toString());
  } catch (error) {
    if (!(error instanceof RpcError)) throw error;
    return { values, error };
  }
  return { values, error: null };
}
