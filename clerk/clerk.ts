import { MprpcConfig } from "../config/mprpcConfig.js";
import { formatAddress } from "../config/nodeAddress.js";
import {
  clerkDefaults,
  clerkLimits,
  rpcDefaults,
  type ClerkOptions,
  type RpcOptions,
} from "../config/options.js";
import { MprpcChannel } from "../rpc/mprpcChannel.js";
import { Call, type Operation } from "./call.js";
import { Dispatcher } from "./dispatcher.js";
import { realEnvironment, type ClerkEnvironment } from "./environment.js";
import { ClerkError } from "./errors.js";
import { RaftServerRpcUtil } from "./raftServerRpcUtil.js";
import type { ServerNode, ServerStatus } from "./serverNode.js";

export interface ClerkNode {
  readonly host: string;
  readonly port: number;
}

/** The nodes in the order of their ids, something that holds them, or the path of a node list. */
export type ClerkNodes = readonly ClerkNode[] | { readonly nodes: readonly ClerkNode[] } | string;

export interface ClerkSettings extends Partial<ClerkOptions> {
  /** For the channels; `requestBytesMax` also bounds key and value of one call. */
  readonly rpc?: Partial<RpcOptions>;
  /** Makes the stub of one node; by default over TCP. */
  readonly connect?: (node: ClerkNode, rpc: RpcOptions) => ServerNode;
  readonly environment?: ClerkEnvironment;
}

export interface CallOptions {
  /** From now to the answer, the wait in this Clerk included; `Infinity`: no deadline. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

export interface StatusOptions {
  /** Ask this node alone: its position in the node list. */
  readonly node?: number;
  /** How long to wait for each node; by default `attemptTimeoutMs`. */
  readonly timeoutMs?: number;
}

/** What one node answered to `status`, or why it did not. */
export interface NodeStatus {
  /** The node's position in the node list. */
  readonly id: number;
  /** `host:port`. */
  readonly address: string;
  readonly status: ServerStatus | null;
  /** Why `status` is null. */
  readonly problem: string | null;
}

const noBytes = new Uint8Array(0);

/**
 * The client of the key-value store. Any number of calls may be in flight on one Clerk, and each
 * write takes effect at most once, however often it is sent. Calls in flight together have no
 * order: await a put before a call that must come after it.
 *
 *     const clerk = new Clerk("config/nodes.conf");
 *     await clerk.put("x", "1");
 *     const value = await clerk.getString("x"); // undefined if there is no such key
 *     await clerk.close();
 *
 * Keys and values are bytes; a string stands for its UTF-8. Byte arrays that are passed in must not
 * change before the call has ended. Every failure is a `ClerkError`; for a write it says whether it
 * may have happened.
 */
export class Clerk {
  declare readonly [Symbol.asyncDispose]: () => Promise<void>;
  private readonly options: ClerkOptions;
  private readonly rpc: RpcOptions;
  private readonly environment: ClerkEnvironment;
  private readonly nodes: readonly ServerNode[];
  private readonly dispatcher: Dispatcher;
  private closed = false;

  static {
    // The earliest releases of Node 20 have no such symbol.
    if (typeof Symbol.asyncDispose === "symbol") {
      Object.defineProperty(this.prototype, Symbol.asyncDispose, { value: dispose });
    }
  }

  /**
   * Connects to nothing yet; the first call does.
   * @throws ConfigError for a node list that can't be read.
   * @throws ClerkError INVALID_ARGUMENT for an empty list or an option out of range.
   */
  constructor(nodes: ClerkNodes, settings: ClerkSettings = {}) {
    const { rpc, connect = connectOverTcp, environment = realEnvironment, ...options } = settings;
    this.options = checkOptions({ ...clerkDefaults, ...options });
    const { backoffMsMin, backoffMsMax } = this.options;
    this.rpc = { ...rpcDefaults, backoffMsMin, backoffMsMax, ...rpc };
    this.environment = environment;
    this.nodes = listNodes(nodes).map((node) => connect(node, this.rpc));
    this.dispatcher = new Dispatcher(this.nodes, this.options, environment);
  }

  /** Sets `key` to `value`. */
  put(key: string | Uint8Array, value: string | Uint8Array, options?: CallOptions): Promise<void> {
    return this.call("put", key, value, options);
  }

  /** Adds `value` to the end of what `key` has; a missing key counts as empty. */
  append(
    key: string | Uint8Array,
    value: string | Uint8Array,
    options?: CallOptions,
  ): Promise<void> {
    return this.call("append", key, value, options);
  }

  /** The value of `key`, linearizable; `undefined` when there is no such key. */
  get(key: string | Uint8Array, options?: CallOptions): Promise<Buffer | undefined> {
    return this.call("get", key, noBytes, options);
  }

  /** As `get`, and read as UTF-8. */
  async getString(key: string | Uint8Array, options?: CallOptions): Promise<string | undefined> {
    const value = await this.get(key, options);
    return value?.toString("utf8");
  }

  /**
   * What each node knows of itself, in the order of the node list. A node that can't be asked has a
   * problem in its place.
   */
  async status(options: StatusOptions = {}): Promise<NodeStatus[]> {
    const timeoutMs = checkTimeout(options.timeoutMs ?? this.options.attemptTimeoutMs);
    const ids = options.node === undefined ? this.nodes.keys() : [options.node];
    return Promise.all(Array.from(ids, (id) => this.nodeStatus(id, timeoutMs)));
  }

  /** Ends the connections; calls in flight reject with CLOSED. Safe to repeat. */
  close(): Promise<void> {
    if (!this.closed) {
      this.closed = true;
      this.dispatcher.close();
      for (const node of this.nodes) node.close();
    }
    return Promise.resolve();
  }

  private call(
    operation: "get",
    key: string | Uint8Array,
    value: Uint8Array,
    options?: CallOptions,
  ): Promise<Buffer | undefined>;
  private call(
    operation: "put" | "append",
    key: string | Uint8Array,
    value: string | Uint8Array,
    options?: CallOptions,
  ): Promise<void>;
  private call(
    operation: Operation,
    key: string | Uint8Array,
    value: string | Uint8Array,
    options?: CallOptions,
  ): Promise<Buffer | undefined | void> {
    return new Promise((resolve, reject) => {
      const keyBytes = toBytes(key, "key");
      const valueBytes = toBytes(value, "value");
      this.checkSize(keyBytes.length + valueBytes.length);
      const timeoutMs = checkTimeout(options?.timeoutMs ?? this.options.timeoutMs);
      const deadline = this.environment.now() + timeoutMs;
      const settle = { resolve, reject };
      const { dispatcher } = this;
      dispatcher.submit(
        new Call(operation, keyBytes, valueBytes, deadline, settle, options?.signal),
      );
    });
  }

  private checkSize(bytes: number): void {
    const bytesMax = this.rpc.requestBytesMax - clerkLimits.requestOverheadBytes;
    if (bytes <= bytesMax) return;
    throw new ClerkError("TOO_LARGE", `key and value have ${bytes} bytes; at most ${bytesMax} go`);
  }

  private nodeStatus(id: number, timeoutMs: number): Promise<NodeStatus> {
    const node = this.nodes[id];
    if (node === undefined) throw new ClerkError("INVALID_ARGUMENT", `there is no node ${id}`);
    return new Promise((resolve) => {
      const end = (status: ServerStatus | null, problem: string | null): void =>
        resolve({ id, address: node.address, status, problem });
      if (this.closed) end(null, "the Clerk is closed");
      else if (node.revision === 1) end(null, "alive, but speaks revision 1 and has no status");
      else node.status(timeoutMs, (status, failure) => end(status, failure?.text ?? null));
    });
  }
}

function dispose(this: Clerk): Promise<void> {
  return this.close();
}

function connectOverTcp(node: ClerkNode, rpc: RpcOptions): ServerNode {
  const channel = new MprpcChannel({ ...rpc, host: node.host, port: node.port });
  return new RaftServerRpcUtil(formatAddress(node.host, node.port), channel);
}

function listNodes(nodes: ClerkNodes): readonly ClerkNode[] {
  if (typeof nodes === "string") return MprpcConfig.loadFile(nodes).nodes;
  const list = "nodes" in nodes ? nodes.nodes : nodes;
  if (list.length === 0) throw new ClerkError("INVALID_ARGUMENT", "the node list is empty");
  for (const { host, port } of list) {
    if (host !== "" && Number.isInteger(port) && port > 0 && port < 65_536) continue;
    throw new ClerkError("INVALID_ARGUMENT", `${formatAddress(host, port)} is no address`);
  }
  return list;
}

function checkOptions(options: ClerkOptions): ClerkOptions {
  for (const [name, value] of Object.entries(options)) {
    if (typeof value === "number" && value > 0) continue;
    throw new ClerkError("INVALID_ARGUMENT", `${name} must be above 0, not ${String(value)}`);
  }
  return options;
}

function checkTimeout(timeoutMs: number): number {
  if (typeof timeoutMs === "number" && timeoutMs >= 0) return timeoutMs;
  throw new ClerkError("INVALID_ARGUMENT", `timeoutMs must not be ${String(timeoutMs)}`);
}

function toBytes(data: string | Uint8Array, name: string): Uint8Array {
  if (typeof data === "string") return Buffer.from(data, "utf8");
  if (data instanceof Uint8Array) return data;
  throw new ClerkError("INVALID_ARGUMENT", `${name} must be a string or a Uint8Array`);
}
