import type { MprpcController } from "./mprpcController.js";
import type { RpcStatus } from "./status.js";

/** Ends a handler's call with `status` and a text for people, instead of a response. */
export function refuse(
  controller: MprpcController,
  done: (response: unknown) => void,
  status: RpcStatus,
  text: string,
): void {
  controller.setFailed(text, status);
  done(null);
}
