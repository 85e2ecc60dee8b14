import { afterEach, expect, test } from "vitest";
import { GetArgsCodec, GetReplyCodec, RpcHeaderCodec } from "../../proto/index.js";
import { detail, findDetail, RpcError, RpcStatus, type ErrorDetail } from "../../rpc/index.js";
import { collect, get, startFeed, texts, watch } from "./streamSupport.js";
import { bytes, closeAll, openChannel, text } from "./support.js";

afterEach(closeAll);

const full = (details: readonly ErrorDetail[], status: RpcStatus = RpcStatus.FAILED_PRECONDITION) =>
  new RpcError(status, "sold out", { details });
const key = (value: string): ErrorDetail => detail(GetArgsCodec, { Key: bytes(value) });
const keyIn = (error: unknown): string | undefined => {
  const found = findDetail(error, GetArgsCodec);
  return found === null ? undefined : text(found.Key);
};

test("a detail is a message under its full name, found again by its codec", () => {
  expect(key("k")).toEqual({
    type: "raftKVRpcProctoc.GetArgs",
    value: Buffer.from("0a016b", "hex"),
  });
  const error = full([key("first"), detail(GetReplyCodec, { Value: bytes("v") }), key("second")]);
  expect(keyIn(error)).toBe("first");
  expect(text(findDetail(error, GetReplyCodec)!.Value)).toBe("v");
  expect(findDetail(error, RpcHeaderCodec)).toBeNull();
  for (const other of [new Error("none"), "text", undefined, full([])]) {
    expect(keyIn(other)).toBeUndefined();
  }
});

test("one that can't be encoded or decoded is INVALID_ARGUMENT", () => {
  expect(() => detail(RpcHeaderCodec, { args_size: 1.5 })).toThrow(
    expect.objectContaining({ code: "INVALID_ARGUMENT" }),
  );
  const broken = full([{ type: GetArgsCodec.fullName, value: bytes("\xff") }]);
  expect(() => keyIn(broken)).toThrow(expect.objectContaining({ code: "INVALID_ARGUMENT" }));
});

test("details travel from a handler that throws, or fails its controller, to the caller", async () => {
  const { feed, port, errors } = await startFeed();
  const channel = openChannel(port);
  feed.get = () => {
    throw full([key("thrown")]);
  };
  const thrown: unknown = await get(channel, "k").catch((error: unknown) => error);
  expect(thrown).toMatchObject({ code: "FAILED_PRECONDITION", message: "sold out" });
  expect(keyIn(thrown)).toBe("thrown");
  feed.get = (_request, controller) => {
    controller.setFailed("no", RpcStatus.ABORTED, undefined, [key("set")]);
    return {};
  };
  expect(keyIn(await get(channel, "k").catch((error: unknown) => error))).toBe("set");
  feed.watch = async function* () {
    yield* texts("one");
    throw full([key("streamed")]);
  };
  const { values, error } = await collect(watch(channel));
  expect(values).toEqual(["one"]);
  expect(keyIn(error)).toBe("streamed");
  expect(errors).toEqual([]);
});

test("a call that succeeds after one that failed has no details", async () => {
  const { feed, port } = await startFeed();
  const channel = openChannel(port);
  feed.get = () => {
    throw full([key("k")]);
  };
  await expect(get(channel, "k")).rejects.toThrow("sold out");
  feed.get = () => {
    throw new RpcError(RpcStatus.NOT_FOUND, "gone");
  };
  await expect(get(channel, "k")).rejects.toMatchObject({ details: [] });
});

test("details beyond the limit of a header are left out; status and text still travel", async () => {
  const { feed, port } = await startFeed({ headerBytesMax: 1_000 });
  const channel = openChannel(port);
  feed.get = () => {
    throw full([key("x".repeat(2_000))]);
  };
  await expect(get(channel, "k")).rejects.toMatchObject({
    code: "FAILED_PRECONDITION",
    message: "sold out",
    details: [],
  });
});
