import { afterEach, describe, expect, test } from "vitest";
import { MprpcController, type Metadata } from "../../rpc/index.js";
import { bytes, closeAll, deferred, openChannel, text, until } from "./support.js";
import { collect, get, getMethod, startFeed, texts, watch } from "./streamSupport.js";

/** Metadata beyond the limit of a header ends the one call that it belongs to. */

afterEach(closeAll);

const limit = 16 * 1024;
const tooMuch: Metadata = [{ key: "k", value: new Uint8Array(limit) }];
const beyond = (of: "request" | "reply") => ({
  code: "RESOURCE_EXHAUSTED",
  message: expect.stringMatching(
    new RegExp(`^the header of the ${of} takes \\d+ bytes; headerBytesMax is ${limit}$`),
  ) as string,
});

/** A provider, one connection to it, and a call on that which ends when the test says so. */
async function withCallInFlight() {
  const running = await startFeed();
  const gate = deferred();
  const channel = openChannel(running.port);
  let lost = 0;
  channel.onConnectionLost = () => lost++;
  let arrived = 0;
  running.feed.get = async ({ Key }) => {
    arrived++;
    if (text(Key) === "held") await gate.promise;
    return { Value: Key };
  };
  await get(channel, "so that the revision is known");
  const held = get(channel, "held");
  await until(() => arrived === 2, "the call is running");
  /** The other call, and the connection, have taken no harm. */
  const unharmed = async (): Promise<void> => {
    expect(text((await get(channel, "after")).Value)).toBe("after");
    gate.resolve();
    expect(text((await held).Value)).toBe("held");
    expect(lost).toBe(0);
    expect(running.provider.connections).toBe(1);
  };
  return { ...running, channel, unharmed, arrived: () => arrived };
}

describe("a request's metadata", () => {
  test("beyond the limit: the call fails before anything is sent, the others go on", async () => {
    const { channel, unharmed, arrived } = await withCallInFlight();
    const controller = new MprpcController({ metadata: tooMuch });
    await expect(get(channel, "k", controller)).rejects.toMatchObject(beyond("request"));
    expect(controller.notSent).toBe(true);
    await unharmed();
    expect(arrived()).toBe(3);
  });

  test("the limit counts the whole header, to the byte", async () => {
    const { port } = await startFeed();
    const call = (size: number) =>
      get(openChannel(port), "k", { metadata: [{ key: "k", value: new Uint8Array(size) }] });
    let size = limit;
    // One byte less at a time, until it fits: the provider's limit is the same, and lets it in.
    for (; size > limit - 100; size--) {
      const found = await call(size).catch((error: unknown) => error);
      if (!(found instanceof Error)) break;
      expect(found).toMatchObject(beyond("request"));
    }
    expect(size).toBeLessThan(limit - 10);
    expect(size).toBeGreaterThan(limit - 100);
  });

  test("on the first call of a connection, too", async () => {
    const { port, provider } = await startFeed();
    const channel = openChannel(port);
    const call = get(channel, "k", { metadata: tooMuch });
    await expect(call).rejects.toMatchObject(beyond("request"));
    await get(channel, "k");
    expect(provider.connections).toBe(1);
  });

  test("of a stream: it fails before anything is sent, and leaves its place", async () => {
    const { channel, feed, unharmed } = await withCallInFlight();
    for (let round = 0; round < 600; round++) {
      const { error } = await collect(watch(channel, { metadata: tooMuch }));
      expect(error).toMatchObject(beyond("request"));
    }
    expect(feed.controllers).toHaveLength(0);
    expect((await collect(watch(channel))).values).toEqual(["one", "two"]);
    await unharmed();
  });

  test("of a one-way call: its controller says so", async () => {
    const { channel, unharmed, arrived } = await withCallInFlight();
    const controller = new MprpcController({ metadata: tooMuch });
    channel.notify(getMethod, { Key: bytes("k") }, controller);
    expect(controller.error()).toMatchObject(beyond("request"));
    expect(controller.notSent).toBe(true);
    await unharmed();
    expect(arrived()).toBe(3);
  });
});

describe("a reply's metadata", () => {
  test("beyond the limit: the caller is told, the provider's owner too, the others go on", async () => {
    const { channel, feed, errors, unharmed } = await withCallInFlight();
    const { get: before } = feed;
    feed.get = (_request, controller) => {
      controller.replyMetadata = tooMuch;
      return {};
    };
    const controller = new MprpcController();
    await expect(get(channel, "k", controller)).rejects.toMatchObject(beyond("reply"));
    expect(controller.replyMetadata).toEqual([]);
    expect(errors).toEqual([expect.objectContaining(beyond("reply"))]);
    feed.get = before;
    await unharmed();
  });

  test("of a failure: the failure arrives without it", async () => {
    const { channel, feed, unharmed } = await withCallInFlight();
    const { get: before } = feed;
    feed.get = (_request, controller) => {
      controller.replyMetadata = tooMuch;
      throw new RangeError("a secret of this server");
    };
    const controller = new MprpcController();
    await expect(get(channel, "k", controller)).rejects.toMatchObject({ code: "INTERNAL" });
    expect(controller.replyMetadata).toEqual([]);
    feed.get = before;
    await unharmed();
  });

  test("of a stream's first message: the stream ends with the status that says so", async () => {
    const { channel, feed, unharmed } = await withCallInFlight();
    feed.watch = (_request, controller) => {
      controller.replyMetadata = tooMuch;
      return texts("one");
    };
    const { values, error } = await collect(watch(channel));
    expect(values).toEqual([]);
    expect(error).toMatchObject(beyond("reply"));
    await unharmed();
  });

  test("of a stream's end: the messages arrive, and then the status that says so", async () => {
    const { channel, feed, errors, unharmed } = await withCallInFlight();
    feed.watch = async function* (_request, controller) {
      yield { Value: bytes("one") };
      controller.trailingMetadata = tooMuch;
    };
    const stream = watch(channel);
    const { values, error } = await collect(stream);
    expect(values).toEqual(["one"]);
    expect(error).toMatchObject(beyond("reply"));
    expect(errors).toEqual([expect.objectContaining(beyond("reply"))]);
    expect(stream.controller.trailingMetadata).toEqual([]);
    await unharmed();
  });
});
