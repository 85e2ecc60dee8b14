import { MprpcChannel, RpcProvider, RpcStatus, type RpcChannel } from "../../rpc/index.js";
import type { EchoMessage } from "./gen/messages.js";
import { echo, echo_Stub, echoMethods } from "./gen/services.js";
import { MprpcController } from "../../rpc/index.js";
import { failed, type Caller, type Peer } from "./peer.js";

/** All defaults: deadlines, limits and statuses are on. */
class EchoService extends echo {
  override Echo(request: EchoMessage): EchoMessage {
    return request;
  }
}

async function serve(): Promise<number> {
  const provider = new RpcProvider({ onError: failed });
  provider.notifyService(new EchoService());
  return (await provider.run("127.0.0.1", 0)).port;
}

/** Through the generated stub, which gives a promise for each call. */
class StubCaller implements Caller {
  readonly #channel: MprpcChannel;
  readonly #stub: echo_Stub;
  readonly #payload: Uint8Array;
  #sequence = 0;

  constructor(channel: MprpcChannel, payload: Uint8Array) {
    this.#channel = channel;
    this.#stub = new echo_Stub(channel);
    this.#payload = payload;
  }

  call(done: () => void): void {
    const request = { sequence: ++this.#sequence, payload: this.#payload };
    this.#stub.Echo(request).then(done, failed);
  }

  close(): void {
    this.#channel.close();
  }
}

/** Through `callMethod`, as the original does it, and as a hot path here would. */
class MethodCaller implements Caller {
  readonly #channel: RpcChannel & { close(): void };
  readonly #payload: Uint8Array;
  #sequence = 0;

  constructor(channel: MprpcChannel, payload: Uint8Array) {
    this.#channel = channel;
    this.#payload = payload;
  }

  call(done: () => void): void {
    const controller = new MprpcController();
    const request = { sequence: ++this.#sequence, payload: this.#payload };
    this.#channel.callMethod(echoMethods.Echo, controller, request, (reply) => {
      if (reply === null || controller.status !== RpcStatus.OK) failed(controller.error());
      done();
    });
  }

  close(): void {
    this.#channel.close();
  }
}

function open(port: number): MprpcChannel {
  return new MprpcChannel({ host: "127.0.0.1", port });
}

export const mprpcPeer: Peer = {
  serve,
  connect: (port, payload) => Promise.resolve(new MethodCaller(open(port), payload)),
};

export const mprpcStubPeer: Peer = {
  serve,
  connect: (port, payload) => Promise.resolve(new StubCaller(open(port), payload)),
};
