import { afterEach, describe, expect, test } from "vitest";
import { kvServerRpc_Stub } from "../../proto/index.js";
import { RpcError, RpcStatus, type Metadata, type MprpcController } from "../../rpc/index.js";
import { closeAll, openChannel, startProvider } from "./support.js";
import { collect, startFeed, watch } from "./streamSupport.js";

/**
 * Handlers in plain JavaScript can say what no type allows. Such a call fails; its provider, the
 * connection and the other calls go on.
 */

afterEach(closeAll);

/** What a compiler would have refused. */
function wrongly(value: unknown): never {
  return value as never;
}

const noBytes: Metadata = wrongly([{ key: "k", value: "no bytes" }]);
const unencodable = { code: "INTERNAL", message: "the reply can't be encoded" };

const faults: [string, (controller: MprpcController) => unknown, object][] = [
  [
    "metadata whose value is a string, with a reply",
    (controller) => {
      controller.replyMetadata = noBytes;
      return {};
    },
    unencodable,
  ],
  [
    "the same, with an error",
    (controller) => {
      controller.replyMetadata = noBytes;
      throw new RpcError(RpcStatus.NOT_FOUND, "none");
    },
    unencodable,
  ],
  [
    "metadata that is no list",
    (controller) => {
      controller.replyMetadata = wrongly(7);
      return {};
    },
    unencodable,
  ],
  [
    "a detail that is no message",
    () => {
      const details = wrongly([{ type: "a.B", value: "no bytes" }]);
      throw new RpcError(RpcStatus.NOT_FOUND, "none", { details });
    },
    unencodable,
  ],
  [
    "a text that is none",
    (controller) => {
      controller.setFailed(wrongly(undefined), RpcStatus.NOT_FOUND);
      return null;
    },
    { code: "NOT_FOUND", message: "NOT_FOUND" },
  ],
  [
    "a status by its name",
    (controller) => {
      controller.setFailed("none", wrongly("NOT_FOUND"));
      return null;
    },
    { code: "UNKNOWN", message: "none" },
  ],
  [
    "a status that is none, thrown",
    () => {
      throw new RpcError(wrongly(-1.5), "none");
    },
    { code: "UNKNOWN", message: "none" },
  ],
];

describe("a handler that says what can't be sent", () => {
  test.each(faults)("%s", async (_name, handler, outcome) => {
    const { port, service, provider } = await startProvider();
    const stub = new kvServerRpc_Stub(openChannel(port));
    await stub.Get({});
    service.put = (_request, controller) => handler(controller);
    for (let round = 0; round < 3; round++) {
      await expect(stub.PutAppend({})).rejects.toMatchObject(outcome);
    }
    await stub.Get({});
    expect(provider.connections).toBe(1);
  });

  test("at the end of a stream", async () => {
    const { port, feed, errors } = await startFeed();
    const channel = openChannel(port);
    feed.watch = async function* (_request, controller) {
      yield {};
      controller.trailingMetadata = noBytes;
    };
    const { values, error } = await collect(watch(channel));
    expect(values).toHaveLength(1);
    expect(error).toMatchObject(unencodable);
    expect(errors).toHaveLength(1);
  });

  test("when its deadline ends it", async () => {
    const { port, service } = await startProvider();
    const stub = new kvServerRpc_Stub(openChannel(port));
    await stub.Get({});
    service.put = (_request, controller) => {
      controller.replyMetadata = noBytes;
      return new Promise(() => {});
    };
    await expect(stub.PutAppend({}, { timeoutMs: 20 })).rejects.toMatchObject({
      code: "DEADLINE_EXCEEDED",
    });
    await stub.Get({});
  });
});
