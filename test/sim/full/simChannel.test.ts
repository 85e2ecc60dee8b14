import { describe, expect, test } from "vitest";
import { kvServerRpcMethods, raftKVRpcProctoc } from "../../../proto/index.js";
import { MprpcController } from "../../../rpc/mprpcController.js";
import { RpcStatus } from "../../../rpc/status.js";
import { calmNetwork, SimNetwork } from "../network.js";
import { Prng } from "../prng.js";
import { VirtualClock } from "../virtualClock.js";
import { encoded, SimChannel, type Respond } from "./simChannel.js";

type Answer = (respond: Respond) => void;

/** With which status a call ends that the other side answers so, each time that it hears it. */
function outcome(duplicateChance: number, answer: Answer): { status: RpcStatus; heard: number } {
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
      answer(respond);
      return true;
    },
    inCaller: (task) => task(),
    timeoutMs: 100,
    isRefusal: (reply) => Buffer.from((reply as { Err: Uint8Array }).Err).toString() === "no",
  });
  const controller = new MprpcController();
  const request = { Key: Buffer.from("k"), ClientId: new Uint8Array(), RequestId: 0 };
  channel.callMethod(kvServerRpcMethods.Get, controller, request, () => {});
  while (clock.step());
  return { status: controller.status, heard };
}

const refuse: Answer = (respond) => respond(null, RpcStatus.RESOURCE_EXHAUSTED, "full");

function replying(err: string): Answer {
  const { response } = kvServerRpcMethods.Get;
  const message = new raftKVRpcProctoc.GetReply({ Err: Buffer.from(err) });
  return (respond) => respond(encoded(response, message), RpcStatus.OK, "");
}

describe("SimChannel", () => {
  test("passes a refusal on", () => {
    expect(outcome(0, refuse)).toEqual({ status: RpcStatus.RESOURCE_EXHAUSTED, heard: 1 });
    expect(outcome(0, replying("no"))).toEqual({ status: RpcStatus.OK, heard: 1 });
  });

  test("claims nothing of a request of which another copy is about", () => {
    expect(outcome(1, refuse)).toEqual({ status: RpcStatus.UNAVAILABLE, heard: 2 });
    expect(outcome(1, replying("no"))).toEqual({ status: RpcStatus.UNAVAILABLE, heard: 2 });
  });

  test("passes on what was done for either copy", () => {
    expect(outcome(1, replying("OK"))).toEqual({ status: RpcStatus.OK, heard: 2 });
  });
});
