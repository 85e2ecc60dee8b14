import { rpcDefaults } from "../config/options.js";
import { MprpcChannel, type MprpcChannelOptions } from "./mprpcChannel.js";
import type { CallOptions, MprpcController } from "./mprpcController.js";
import type { MethodDescriptor, RpcChannel, StreamFlow, StreamSink } from "./service.js";
import { RpcStatus } from "./status.js";

export interface ServerAddress {
  readonly host: string;
  readonly port: number;
}

/**
 * `pick_first`: all calls go to the first address that can be reached, and stay there until it is
 * lost. `round_robin`: calls go to all that can be reached, in turn.
 */
export type BalancePolicy = "pick_first" | "round_robin";

export interface BalancedChannelOptions extends Omit<MprpcChannelOptions, "host" | "port"> {
  /** Servers that offer the same; at least one. */
  readonly addresses: readonly ServerAddress[];
  /** Default: `pick_first`. */
  readonly policy?: BalancePolicy;
}

/** What one call knows of its attempts. */
interface Attempts {
  readonly controller: MprpcController;
  /** What the caller asked for; the controller tells what is left of it to each attempt. */
  readonly timeoutMs: number;
  /** Of all attempts together; Infinity for a stream that named none. */
  readonly deadline: number;
  readonly tried: Set<MprpcChannel>;
}

/**
 * One channel to several servers. A call that was certainly not run at one, because it could not be
 * reached or refused it, is tried at the next, each at most once and all within the one deadline. A
 * call that may have been run fails as it would on an `MprpcChannel`.
 */
export class BalancedChannel implements RpcChannel {
  readonly channels: readonly MprpcChannel[];
  readonly #policy: BalancePolicy;
  readonly #callTimeoutMs: number;
  /** Where `pick_first` is, and where `round_robin` goes next. */
  #at = 0;

  /** @throws RangeError without an address, for one whose port is none, or an option out of range. */
  constructor(options: BalancedChannelOptions) {
    const { addresses, policy = "pick_first", ...rest } = options;
    if (addresses.length === 0) throw new RangeError("a channel needs an address");
    this.channels = addresses.map(({ host, port }) => new MprpcChannel({ ...rest, host, port }));
    this.#policy = policy;
    this.#callTimeoutMs = rest.callTimeoutMs ?? rpcDefaults.callTimeoutMs;
  }

  callMethod<Req, Res>(
    method: MethodDescriptor<Req, Res>,
    controller: MprpcController,
    request: Req,
    done: (response: Res | null) => void,
  ): void {
    const attempts = attemptsOf(controller, this.#callTimeoutMs);
    const attempt = (channel: MprpcChannel): void => {
      const ended = (response: Res | null): void => {
        const next = response === null ? this.#nextFor(attempts) : null;
        if (next !== null) attempt(next);
        else done(response);
      };
      this.#within(attempts, channel, () => channel.callMethod(method, controller, request, ended));
    };
    attempt(this.#pick(attempts.tried));
  }

  callStream<Req, Res>(
    method: MethodDescriptor<Req, Res>,
    controller: MprpcController,
    request: Req,
    sink: StreamSink<Res>,
  ): StreamFlow {
    const attempts = attemptsOf(controller, Infinity);
    let flow: StreamFlow | null = null;
    const onMessage = (message: Res, cost: number): void => sink.onMessage(message, cost);
    const attempt = (channel: MprpcChannel): void => {
      const onEnd = (): void => {
        const next = controller.failed() ? this.#nextFor(attempts) : null;
        if (next !== null) attempt(next);
        else sink.onEnd();
      };
      this.#within(attempts, channel, () => {
        flow = channel.callStream(method, controller, request, { onMessage, onEnd });
      });
    };
    attempt(this.#pick(attempts.tried));
    return { grant: (bytes) => flow?.grant(bytes) };
  }

  /** Goes to one server, and is not tried at another. */
  notify<Req, Res>(
    method: MethodDescriptor<Req, Res>,
    request: Req,
    options?: MprpcController | CallOptions,
  ): void {
    this.#pick(new Set()).notify(method, request, options);
  }

  /** Ends everything, as `MprpcChannel.close` does. */
  close(): void {
    for (const channel of this.channels) channel.close();
  }

  /** Runs one attempt, which reads the time it has from the controller, at once. */
  #within(attempts: Attempts, channel: MprpcChannel, start: () => void): void {
    const { controller, timeoutMs, deadline, tried } = attempts;
    if (tried.size > 0) {
      controller.clearFailure();
      if (deadline < Infinity) controller.timeoutMs = Math.max(1, deadline - performance.now());
    }
    tried.add(channel);
    start();
    controller.timeoutMs = timeoutMs;
  }

  /** Where a call that has failed may be tried once more; null when that is nowhere. */
  #nextFor({ controller, deadline, tried }: Attempts): MprpcChannel | null {
    if (!controller.notSent || controller.status !== RpcStatus.UNAVAILABLE) return null;
    if (tried.size === this.channels.length || performance.now() >= deadline) return null;
    const next = this.#pick(tried);
    return next.state === "closed" ? null : next;
  }

  #pick(tried: ReadonlySet<MprpcChannel>): MprpcChannel {
    return this.#policy === "pick_first" ? this.#pickFirst(tried) : this.#pickInTurn(tried);
  }

  /** Servers that are known not to answer are asked only when there is no other. */
  #pickFirst(tried: ReadonlySet<MprpcChannel>): MprpcChannel {
    const { channels } = this;
    const order = channels.map((_, step) => (this.#at + step) % channels.length);
    const left = order.filter((at) => !tried.has(channels[at]!));
    this.#at = left.find((at) => channels[at]!.state !== "backoff") ?? left[0] ?? this.#at;
    return channels[this.#at]!;
  }

  /** Those that are connected, in turn; the others are connected to meanwhile. */
  #pickInTurn(tried: ReadonlySet<MprpcChannel>): MprpcChannel {
    const left = this.channels.filter((channel) => !tried.has(channel));
    for (const channel of left) if (channel.state === "idle") channel.connectNow();
    const ready = left.filter((channel) => channel.state === "ready");
    const waiting = left.filter((channel) => channel.state === "connecting");
    const among = ready.length > 0 ? ready : waiting.length > 0 ? waiting : left;
    return among[this.#at++ % among.length]!;
  }
}

function attemptsOf(controller: MprpcController, timeoutMsDefault: number): Attempts {
  const { timeoutMs } = controller;
  const deadline = performance.now() + (timeoutMs > 0 ? timeoutMs : timeoutMsDefault);
  return { controller, timeoutMs, deadline, tried: new Set() };
}
