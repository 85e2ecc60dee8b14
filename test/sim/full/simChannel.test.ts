import { describe, expect, test } from "vitest";
import { kvServerRpcMethods } from "../../../proto/index.js";
import { MprpcController } from "../../../rpc/mprpcController.js";
import { RpcStatus } from "../../../rpc/status.js";
import { calmNetwork, SimNetwork } from "../network.js";
import { Prng } from "../prng.js";
import { VirtualClock } from "../virtualClock.js";
import { SimChannel } from "./simChannel.js";

/** With which status a call ends that the other side refuses, each time that it hears it. */
function refused(duplicateChance: number): { status: RpcStatus; heard: number } {
  const clock = new VirtualClock();
  const network = new SimNetwork(clock, new Prng(1), 2, { ...calmNetwork, duplicateChance });
  let heard = 0;
  const channel = new SimChannel({
    clock,
    network,
    from: 0,
    to: 1,
    listener: (_method, _request, respond) => {
      heard++;
      respond(null, RpcStatus.RESOURCE_EXHAUSTED, "full");
      return true;
    },
    inCaller: (task) => task(),
    timeoutMs: 100,
  });
  const controller = new MprpcController();
  const request = { Key: Buffer.from("k"), ClientId: new Uint8Array(), RequestId: 0 };
  channel.callMethod(kvServerRpcMethods.Get, controller, request, () => {});
  while (clock.step());
  return { status: controller.status, heard };
}

describe("SimChannel", () => {
  test("passes a refusal on", () => {
    expect(refused(0)).toEqual({ status: RpcStatus.RESOURCE_EXHAUSTED, heard: 1 });
  });

  test("claims nothing of a request of which another copy is about", () => {
    expect(refused(1)).toEqual({ status: RpcStatus.UNAVAILABLE, heard: 2 });
  });
});
