import { afterEach, describe, expect, test } from "vitest";
import { callServerStream, callUnary, MprpcController, RpcStatus } from "../../rpc/index.js";
import {
  collect,
  endless,
  get,
  getAsStream,
  startFeed,
  texts,
  watch,
  watchAsUnary,
} from "./streamSupport.js";
import { bytes, closeAll, deferred, openChannel, settled, text, until } from "./support.js";

afterEach(closeAll);

const metadata = (...values: string[]) =>
  values.map((value) => ({ key: "k", value: bytes(value) }));

describe("a stream", () => {
  test("gives its messages in their order, and ends", async () => {
    const { feed, port } = await startFeed();
    const values = Array.from({ length: 1_000 }, (_, index) => `message ${index}`);
    feed.watch = () => texts(...values);
    const stream = watch(openChannel(port));
    expect(await collect(stream)).toEqual({ values, error: null });
    expect(stream.controller.status).toBe(RpcStatus.OK);
    expect(await stream.next()).toEqual({ value: undefined, done: true });
  });

  test("may have no messages, and messages may be empty", async () => {
    const { feed, port } = await startFeed();
    const channel = openChannel(port);
    feed.watch = () => texts();
    expect(await collect(watch(channel))).toEqual({ values: [], error: null });
    feed.watch = () => texts("", "", "");
    expect(await collect(watch(channel))).toEqual({ values: ["", "", ""], error: null });
  });

  test("a promise of messages is as good", async () => {
    const { feed, port } = await startFeed();
    feed.watch = () => Promise.resolve(texts("later"));
    expect((await collect(watch(openChannel(port)))).values).toEqual(["later"]);
  });

  test("the request and its metadata reach the handler; metadata comes first and last", async () => {
    const { feed, port } = await startFeed();
    const gate = deferred();
    feed.watch = async function* ({ Key }, controller) {
      controller.replyMetadata = controller.metadata;
      yield { Value: Key };
      await gate.promise;
      controller.trailingMetadata = metadata("last");
    };
    const controller = new MprpcController({ metadata: metadata("first") });
    const stream = watch(openChannel(port), controller, "the key");
    expect(text((await stream.next()).value!.Value)).toBe("the key");
    expect(controller.replyMetadata.map(({ value }) => text(value))).toEqual(["first"]);
    expect(controller.trailingMetadata).toEqual([]);
    gate.resolve();
    expect(await collect(stream)).toEqual({ values: [], error: null });
    expect(controller.trailingMetadata.map(({ value }) => text(value))).toEqual(["last"]);
    expect(controller.replyMetadata.map(({ value }) => text(value))).toEqual(["first"]);
  });

  test("many next() at once are answered in order", async () => {
    const { port } = await startFeed();
    const stream = watch(openChannel(port));
    const results = await Promise.all([stream.next(), stream.next(), stream.next(), stream.next()]);
    expect(results.map(({ value }) => value && text(value.Value))).toEqual([
      "one",
      "two",
      undefined,
      undefined,
    ]);
  });

  test("streams and unary calls share a connection", async () => {
    const { feed, port } = await startFeed();
    feed.watch = ({ Key }) => texts(text(Key), text(Key));
    const channel = openChannel(port);
    const keys = Array.from({ length: 50 }, (_, index) => `${index}`);
    const calls = keys.map((key) => get(channel, key));
    const streams = keys.map((key) => collect(watch(channel, {}, key)));
    for (const [index, reply] of (await Promise.all(calls)).entries()) {
      expect(text(reply.Value)).toBe(keys[index]);
    }
    const expected = keys.map((key) => ({ values: [key, key], error: null }));
    expect(await Promise.all(streams)).toEqual(expected);
  });

  test("one that is silent holds up no other call, on a new connection either", async () => {
    const { feed, port } = await startFeed();
    feed.watch = () => new Promise(() => {});
    const channel = openChannel(port);
    const silent = watch(channel);
    expect(text((await get(channel, "quick")).Value)).toBe("quick");
    silent.cancel();
    expect((await collect(silent)).error?.code).toBe("CANCELLED");
  });
});

describe("how a stream fails", () => {
  test("after all messages that came before, with status, text and trailing metadata", async () => {
    const { feed, port, errors } = await startFeed();
    feed.watch = async function* (_request, controller) {
      yield* texts("one", "two");
      controller.trailingMetadata = metadata("why");
      controller.setFailed("the well is dry", RpcStatus.OUT_OF_RANGE);
    };
    const stream = watch(openChannel(port));
    const { values, error } = await collect(stream);
    expect(values).toEqual(["one", "two"]);
    expect(error).toMatchObject({ code: "OUT_OF_RANGE", message: "the well is dry" });
    expect(stream.controller.trailingMetadata.map(({ value }) => text(value))).toEqual(["why"]);
    expect(await stream.next()).toEqual({ value: undefined, done: true });
    expect(errors).toEqual([]);
  });

  test("with INTERNAL and no word of the reason when its handler breaks", async () => {
    const { feed, port, errors } = await startFeed();
    const channel = openChannel(port);
    feed.watch = async function* () {
      yield* texts("one");
      throw new Error("a secret");
    };
    expect(await collect(watch(channel))).toMatchObject({
      values: ["one"],
      error: { code: "INTERNAL", message: "the handler failed" },
    });
    feed.watch = () => {
      throw new Error("at once");
    };
    expect((await collect(watch(channel))).error?.code).toBe("INTERNAL");
    feed.watch = () => ["no", "stream"];
    expect((await collect(watch(channel))).error?.code).toBe("INTERNAL");
    expect(errors.map(({ message }) => message)).toEqual([
      "a secret",
      "at once",
      "the handler of a stream returned no AsyncIterable",
    ]);
  });

  test("when a message can't be encoded or is too large; the handler's iterator is closed", async () => {
    const { feed, port, errors } = await startFeed({ replyBytesMax: 1_000 });
    const channel = openChannel(port);
    let closed = 0;
    const sending = (message: unknown) =>
      async function* () {
        try {
          yield* texts("fine");
          yield message;
        } finally {
          closed++;
        }
      };
    feed.watch = sending({ Value: new Uint8Array(2_000) });
    expect(await collect(watch(channel))).toMatchObject({
      values: ["fine"],
      error: { code: "RESOURCE_EXHAUSTED" },
    });
    feed.watch = sending(null);
    expect(await collect(watch(channel))).toMatchObject({ error: { code: "INTERNAL" } });
    await until(() => closed === 2, "both iterators are closed");
    expect(errors).toHaveLength(2);
    expect(text((await get(channel, "still there")).Value)).toBe("still there");
  });

  test("a method called as the other kind than it is", async () => {
    const { feed, port } = await startFeed();
    const channel = openChannel(port);
    const forever = endless(10);
    feed.watch = () => forever.iterable;
    await expect(callUnary(channel, watchAsUnary, {})).rejects.toMatchObject({
      code: "INTERNAL",
      message: "the server answered a unary call with a stream",
    });
    await until(() => forever.closed === 1, "the server stopped");
    const { error } = await collect(callServerStream(channel, getAsStream, { Key: bytes("k") }));
    expect(error).toMatchObject({ code: "INTERNAL" });
    expect(text((await get(channel, "still there")).Value)).toBe("still there");
  });

  test("with UNIMPLEMENTED where the service has no streams", async () => {
    const { feed, port } = await startFeed();
    Object.assign(feed, { callStream: undefined });
    expect((await collect(watch(openChannel(port)))).error?.code).toBe("UNIMPLEMENTED");
  });

  test("with RESOURCE_EXHAUSTED beyond streamsMax, of the server or of the channel", async () => {
    const { feed, port } = await startFeed({ streamsMax: 3 });
    feed.watch = async function* () {
      yield* texts("open");
      await new Promise(() => {});
    };
    for (const streamsMax of [2, 10]) {
      const channel = openChannel(port, { streamsMax });
      const open = Array.from({ length: Math.min(streamsMax, 3) }, () => watch(channel));
      for (const stream of open) expect(text((await stream.next()).value!.Value)).toBe("open");
      const refused = watch(channel);
      expect((await collect(refused)).error?.code).toBe("RESOURCE_EXHAUSTED");
      expect(refused.controller.notSent).toBe(streamsMax === 2);
      expect(text((await get(channel, "unary calls go on")).Value)).toBe("unary calls go on");
      channel.close();
      for (const stream of open) expect((await collect(stream)).error?.code).toBe("CANCELLED");
    }
  });

  test("with UNAVAILABLE when the connection is lost, and the handler is told", async () => {
    const { feed, port, provider } = await startFeed();
    const forever = endless(10);
    feed.watch = () => forever.iterable;
    const stream = watch(openChannel(port, { streamWindowBytes: 100 }));
    await stream.next();
    await provider.close(0);
    expect((await collect(stream)).error?.code).toBe("UNAVAILABLE");
    expect(forever.closed).toBe(1);
    expect(feed.controllers[0]!.isCanceled()).toBe(true);
  });
});

describe("giving a stream up", () => {
  test("leaving the loop ends the handler, by its iterator and its signal", async () => {
    const { feed, port } = await startFeed();
    let closed = false;
    feed.watch = async function* () {
      try {
        for (;;) yield* texts("again");
      } finally {
        closed = true;
      }
    };
    const stream = watch(openChannel(port));
    for await (const { Value } of stream) {
      expect(text(Value)).toBe("again");
      break;
    }
    expect(stream.controller.status).toBe(RpcStatus.CANCELLED);
    expect(await stream.next()).toEqual({ value: undefined, done: true });
    await until(() => closed, "the generator was closed");
    expect(feed.controllers[0]!.abortSignal.aborted).toBe(true);
  });

  const ways = {
    "cancel()": (stream: ReturnType<typeof watch>) => stream.cancel(),
    "startCancel()": (stream: ReturnType<typeof watch>) => stream.controller.startCancel(),
    "the signal": (_stream: unknown, abort: AbortController) => abort.abort(),
  };
  test.each(Object.entries(ways))("%s reaches a handler that waits", async (_name, giveUp) => {
    const { feed, port, errors } = await startFeed();
    let reason: unknown;
    feed.watch = async function* (_request, controller) {
      yield* texts("one");
      await new Promise((_resolve, reject) => {
        const { abortSignal } = controller;
        abortSignal.addEventListener("abort", () => {
          reason = abortSignal.reason;
          reject(new DOMException("aborted", "AbortError"));
        });
      });
    };
    const abort = new AbortController();
    const stream = watch(openChannel(port), { signal: abort.signal });
    await stream.next();
    const rest = collect(stream);
    giveUp(stream, abort);
    expect(await rest).toMatchObject({ values: [], error: { code: "CANCELLED" } });
    await until(() => reason !== undefined, "the handler's signal was aborted");
    expect(reason).toMatchObject({ code: "CANCELLED" });
    await settled();
    expect(errors).toEqual([]);
  });

  test("before it was sent, it is not sent", async () => {
    const { feed, port } = await startFeed();
    const stream = watch(openChannel(port), { signal: AbortSignal.abort() });
    expect((await collect(stream)).error?.code).toBe("CANCELLED");
    expect(stream.controller.notSent).toBe(true);
    await settled();
    expect(feed.controllers).toEqual([]);
  });

  test("while the handler still makes up its mind", async () => {
    const { feed, port } = await startFeed();
    const forever = endless(10);
    const gate = deferred();
    feed.watch = () => gate.promise.then(() => forever.iterable);
    const stream = watch(openChannel(port));
    await until(() => feed.controllers.length === 1, "the handler runs");
    stream.cancel();
    await until(() => feed.controllers[0]!.isCanceled(), "the handler was told");
    gate.resolve();
    await until(() => forever.closed === 1, "its iterator was closed");
    expect(forever.made).toBe(0);
  });
});

describe("a stream's deadline", () => {
  test("ends it on both sides", async () => {
    const { feed, port } = await startFeed();
    const forever = endless(10);
    feed.watch = () => forever.iterable;
    const stream = watch(openChannel(port, { streamWindowBytes: 100 }), { timeoutMs: 50 });
    await until(() => stream.controller.failed(), "the deadline passed");
    expect((await collect(stream)).error?.code).toBe("DEADLINE_EXCEEDED");
    await until(() => forever.closed === 1, "the handler's iterator was closed");
    expect(feed.controllers[0]!.abortSignal.reason).toMatchObject({ code: "DEADLINE_EXCEEDED" });
  });

  test.each([
    ["new", 0],
    ["known", 1],
  ])(
    "is none without timeoutMs, on a %s connection: callTimeoutMs is for replies",
    async (_name, earlier) => {
      const { feed, port } = await startFeed();
      const gate = deferred();
      feed.watch = async function* (_request, controller) {
        await gate.promise;
        yield { Value: bytes(String(controller.deadline)) };
      };
      const channel = openChannel(port, { callTimeoutMs: 50 });
      for (let calls = 0; calls < earlier; calls++) await get(channel, "k", { timeoutMs: 10_000 });
      feed.get = () => new Promise(() => {});
      const stream = watch(channel);
      // The stream was there before this call, and is after it.
      await expect(get(channel, "k")).rejects.toMatchObject({ code: "DEADLINE_EXCEEDED" });
      gate.resolve();
      expect((await collect(stream)).values).toEqual(["Infinity"]);
    },
  );
});
