import { ByteWriter } from "./byteWriter.js";
import {
  chainInterceptors,
  messageOf,
  messagesOf,
  type CallNext,
  type Interceptor,
  type InterceptedCall,
  type InterceptedReply,
} from "./interceptor.js";
import type { MprpcController } from "./mprpcController.js";
import type { MethodDescriptor, RpcService, ServiceDescriptor } from "./service.js";
import { RpcStatus } from "./status.js";

/** The service behind `interceptors`, the first of which sees a call first. */
export function interceptService(
  service: RpcService,
  interceptors: readonly Interceptor[],
): RpcService {
  return new InterceptedService(service, interceptors);
}

class InterceptedService implements RpcService {
  readonly descriptor: ServiceDescriptor;
  readonly essential: boolean;
  /** Only of a service that has streams, so that one without is still seen to have none. */
  readonly callStream?: NonNullable<RpcService["callStream"]>;
  readonly #unary: CallNext;

  constructor(service: RpcService, interceptors: readonly Interceptor[]) {
    this.descriptor = service.descriptor;
    this.essential = service.essential === true;
    this.#unary = chainInterceptors(interceptors, (call) => runHandler(service, call));
    if (service.callStream === undefined) return;
    const stream = chainInterceptors(interceptors, (call) => startStream(service, call));
    this.callStream = async (method, controller, request) =>
      messagesOf(await stream({ method, controller, request }));
  }

  callMethod(
    method: MethodDescriptor,
    controller: MprpcController,
    request: unknown,
    done: (response: unknown) => void,
  ): void {
    void this.#answer({ method, controller, request }, done);
  }

  async #answer(call: InterceptedCall, done: (response: unknown) => void): Promise<void> {
    let message: unknown = null;
    try {
      message = messageOf(await this.#unary(call));
      // Of a handler that failed, where an interceptor had something better to say.
      call.controller.clearFailure();
    } catch (thrown) {
      call.controller.setThrown(thrown);
    }
    done(message);
  }
}

function runHandler(
  service: RpcService,
  { method, controller, request }: InterceptedCall,
): Promise<InterceptedReply> {
  return new Promise((resolve, reject) => {
    try {
      service.callMethod(method, controller, request, (message) => {
        if (service.lendsBytes === true) message = ownCopy(method, controller, message);
        if (controller.failed()) reject(controller.error());
        else resolve({ kind: "unary", message });
      });
    } catch (thrown) {
      controller.setThrown(thrown);
      reject(controller.error());
    }
  });
}

/** A reply that stays as it is when what it has views of changes. */
function ownCopy(method: MethodDescriptor, controller: MprpcController, message: unknown): unknown {
  if (controller.failed()) return null;
  try {
    const writer = new ByteWriter();
    method.response.encode(message, writer);
    return method.response.decode(writer.finish());
  } catch (error) {
    controller.setFailed("the reply can't be encoded", RpcStatus.INTERNAL, error);
    return null;
  }
}

async function startStream(
  service: RpcService,
  { method, controller, request }: InterceptedCall,
): Promise<InterceptedReply> {
  const messages = await service.callStream!(method, controller, request);
  return { kind: "server_stream", messages };
}
