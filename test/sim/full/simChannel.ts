import type { ServerChannel } from "../../../clerk/raftServerRpcUtil.js";
import { copyBytes } from "../../../kvserver/freshBytes.js";
import type { PeerChannel } from "../../../raft/raftRpcUtil.js";
import { ByteWriter } from "../../../rpc/byteWriter.js";
import type { MprpcController } from "../../../rpc/mprpcController.js";
import type { MethodDescriptor } from "../../../rpc/service.js";
import { RpcStatus } from "../../../rpc/status.js";
import type { SimNetwork } from "../network.js";
import type { VirtualClock } from "../virtualClock.js";

/** Answers one encoded request with an encoded reply; or with a status, when `reply` is null. */
export type Respond = (reply: Uint8Array | null, status: RpcStatus, text: string) => void;

/** The port of a process that may be down: it returns false then. */
export type Listener = (method: MethodDescriptor, request: Uint8Array, respond: Respond) => boolean;

export interface SimChannelOptions {
  readonly clock: VirtualClock;
  readonly network: SimNetwork;
  /** Places in the network. */
  readonly from: number;
  readonly to: number;
  readonly listener: Listener;
  /** Runs what arrives at the caller, unless its process is gone. */
  readonly inCaller: (task: () => void) => void;
  readonly timeoutMs: number;
  /** Whether `reply` says that nothing was done. */
  readonly isRefusal?: (reply: unknown) => boolean;
}

const writer = new ByteWriter();

/** What a codec makes of `message`, in memory of its own. */
export function encoded<T>(codec: MethodDescriptor<T>["request"], message: T): Uint8Array {
  writer.reset();
  codec.encode(message, writer);
  return copyBytes(writer.view());
}

/**
 * An `MprpcChannel` over the simulated network: the real messages in their real encoding. Beyond
 * what TCP can do, the network may deliver a request twice, and out of order.
 */
export class SimChannel implements PeerChannel, ServerChannel {
  onConnectionLost: () => void = () => {};
  onConnectFailed: () => void = () => {};
  /** The other process was found to be down. */
  onRefused: () => void = () => {};
  revision: 1 | 2 | undefined = undefined;
  private readonly options: SimChannelOptions;
  private isClosed = false;

  constructor(options: SimChannelOptions) {
    this.options = options;
  }

  callMethod<Req, Res>(
    method: MethodDescriptor<Req, Res>,
    controller: MprpcController,
    request: Req,
    done: (response: Res | null) => void,
  ): void {
    const { clock, network, from, to, listener, timeoutMs, isRefusal } = this.options;
    let isOver = false;
    const end = (task: () => void): void =>
      this.options.inCaller(() => {
        if (isOver) return;
        isOver = true;
        cancelTimeout();
        if (!this.isClosed) task();
      });
    const fail = (status: RpcStatus, text: string): void => {
      controller.setFailed(text, status);
      done(null);
    };
    const cancelTimeout = clock.after(controller.timeoutMs || timeoutMs, () =>
      end(() => fail(RpcStatus.DEADLINE_EXCEEDED, "no reply in time")),
    );
    const respond: Respond = (reply, status, text) =>
      network.send(to, from, () =>
        end(() => {
          this.revision = 2;
          const answer = reply === null ? null : method.response.decode(reply);
          // That one copy of the request was refused says nothing of the other.
          if (copies > 1 && (answer === null || isRefusal?.(answer) === true))
            fail(RpcStatus.UNAVAILABLE, text);
          else if (answer === null) fail(status, text);
          else done(answer);
        }),
      );
    const bytes = encoded(method.request, request);
    const copies = network.send(from, to, () => {
      if (listener(method, bytes, respond)) return;
      network.send(to, from, () => end(() => this.refused(controller, done)));
    });
  }

  connectNow(): void {}

  close(): void {
    this.isClosed = true;
  }

  private refused(controller: MprpcController, done: (response: null) => void): void {
    this.revision = undefined;
    // A duplicate may have reached the process before it went down, so never `notSent`.
    controller.setFailed("connection refused", RpcStatus.UNAVAILABLE);
    done(null);
    this.onRefused();
  }
}
