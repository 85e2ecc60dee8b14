/** What generated stubs and services stand on. */
import { MprpcController, type CallOptions } from "./mprpcController.js";
import type { MethodDescriptor, RpcChannel } from "./service.js";
import { RpcError, RpcStatus } from "./status.js";

/** One call as a promise; it rejects with RpcError. */
export function callUnary<Req, Res>(
  channel: RpcChannel,
  method: MethodDescriptor<Req, Res>,
  request: Req,
  options?: MprpcController | CallOptions,
): Promise<Res> {
  const controller = options instanceof MprpcController ? options : new MprpcController(options);
  return new Promise((resolve, reject) => {
    channel.callMethod(method, controller, request, (response) => {
      if (response === null) reject(controller.error());
      else resolve(response);
    });
  });
}

/** Passes what a handler returned, now or later, to `done`, and what it threw to the controller. */
export function settle(
  result: unknown,
  controller: MprpcController,
  done: (response: unknown) => void,
): void {
  if (result instanceof Promise) void settleLater(result, controller, done);
  else done(result);
}

async function settleLater(
  result: Promise<unknown>,
  controller: MprpcController,
  done: (response: unknown) => void,
): Promise<void> {
  let response: unknown = null;
  try {
    response = await result;
  } catch (thrown) {
    controller.setThrown(thrown);
  }
  done(response);
}

/** The answer of a generated service to a method that nobody wrote. */
export function unimplemented(serviceName: string, methodName: string): never {
  throw new RpcError(RpcStatus.UNIMPLEMENTED, `${serviceName}.${methodName} is not implemented`);
}
