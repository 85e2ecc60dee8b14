import { afterEach, describe, expect, test } from "vitest";
import {
  callServerStream,
  callUnary,
  interceptChannel,
  MprpcController,
  RpcError,
  RpcStatus,
  type CallNext,
  type InterceptedReply,
  type Interceptor,
} from "../../rpc/index.js";
import {
  collect,
  endless,
  get,
  getMethod,
  startFeed,
  texts,
  watch,
  watchMethod,
} from "./streamSupport.js";
import { bytes, closeAll, deferred, openChannel, settled, text, until } from "./support.js";

afterEach(closeAll);

const denied = new RpcError(RpcStatus.PERMISSION_DENIED, "not you");

/** Notes when calls of both kinds begin and end, and how. */
function noting(name: string, notes: string[]): Interceptor {
  async function* through(messages: AsyncIterable<unknown>): AsyncGenerator {
    try {
      for await (const message of messages) {
        notes.push(`${name} passes`);
        yield message;
      }
    } finally {
      notes.push(`${name} ends`);
    }
  }
  return (next) => async (call) => {
    notes.push(`${name} ${call.method.name}`);
    const reply = await next(call);
    if (reply.kind === "unary") notes.push(`${name} done`);
    return reply.kind === "unary" ? reply : { ...reply, messages: through(reply.messages) };
  };
}

const refusing: Interceptor = () => () => Promise.reject(denied);
const throwing: Interceptor = () => () => {
  throw new Error("a mistake");
};
const crossed =
  (reply: InterceptedReply): Interceptor =>
  () =>
  () =>
    Promise.resolve(reply);

/** Goes on again, up to three times, while the call ends with UNAVAILABLE. */
const insisting: Interceptor = (next: CallNext) => async (call) => {
  for (let attempt = 1; ; attempt++) {
    try {
      return await next(call);
    } catch (error) {
      if (attempt === 3 || !(error instanceof RpcError) || error.code !== "UNAVAILABLE")
        throw error;
    }
  }
};

describe("interceptors of a channel", () => {
  test("none leave the channel as it is", () => {
    const channel = openChannel(1);
    expect(interceptChannel(channel)).toBe(channel);
  });

  test("see calls of every kind, the first one outermost", async () => {
    const { port } = await startFeed();
    const notes: string[] = [];
    const channel = interceptChannel(openChannel(port), noting("a", notes), noting("b", notes));
    expect(text((await get(channel, "k")).Value)).toBe("k");
    expect(notes.splice(0)).toEqual(["a Get", "b Get", "b done", "a done"]);
    expect((await collect(watch(channel))).values).toEqual(["one", "two"]);
    const passed = ["b passes", "a passes", "b passes", "a passes"];
    expect(notes.splice(0)).toEqual(["a Watch", "b Watch", ...passed, "b ends", "a ends"]);
    channel.notify(getMethod, {});
    await settled();
    expect(notes).toEqual(["a Get", "b Get", "b done", "a done"]);
  });

  test("may add metadata, change the request and the reply", async () => {
    const { feed, port } = await startFeed();
    feed.get = ({ Key }, controller) => {
      controller.replyMetadata = controller.metadata;
      return { Value: Key };
    };
    const token = { key: "token", value: bytes("secret") };
    const changing: Interceptor = (next) => async (call) => {
      call.controller.metadata = [...call.controller.metadata, token];
      const reply = await next({ ...call, request: { Key: bytes("another") } });
      expect(call.controller.replyMetadata.map(({ key }) => key)).toEqual(["token"]);
      return reply;
    };
    const channel = interceptChannel(openChannel(port), changing);
    expect(text((await get(channel, "k")).Value)).toBe("another");
  });

  test("may refuse or break: the call ends with what they threw, or INTERNAL", async () => {
    const { feed, port } = await startFeed();
    const plain = openChannel(port);
    const cases = [
      [refusing, "PERMISSION_DENIED", "not you"],
      [throwing, "INTERNAL", "an interceptor failed"],
      [crossed({ kind: "unary", message: undefined }), "INTERNAL", "an interceptor failed"],
    ] as const;
    for (const [interceptor, code, message] of cases) {
      const channel = interceptChannel(plain, interceptor);
      await expect(get(channel, "k")).rejects.toMatchObject({ code, message });
      expect((await collect(watch(channel))).error).toMatchObject({ code, message });
    }
    const controller = new MprpcController();
    interceptChannel(plain, throwing).notify(getMethod, {}, controller);
    await settled();
    expect(controller).toMatchObject({ status: RpcStatus.INTERNAL });
    const streaming = crossed({ kind: "server_stream", messages: texts("x") });
    await expect(get(interceptChannel(plain, streaming), "k")).rejects.toMatchObject({
      code: "INTERNAL",
    });
    expect(feed.controllers).toEqual([]);
  });

  test("may answer without the server, and put a reply in the place of a failure", async () => {
    const channel = interceptChannel(openChannel(1), (next) => async (call) => {
      await expect(next(call)).rejects.toMatchObject({ code: "UNAVAILABLE" });
      return { kind: "unary", message: { Value: bytes("from the cache") } };
    });
    const controller = new MprpcController();
    expect(text((await get(channel, "k", controller)).Value)).toBe("from the cache");
    expect(controller.status).toBe(RpcStatus.OK);
  });

  test("may go on more than once", async () => {
    const { feed, port } = await startFeed();
    let attempts = 0;
    feed.get = ({ Key }) => {
      if (++attempts < 3) throw new RpcError(RpcStatus.UNAVAILABLE, "not yet");
      return { Value: Key };
    };
    const channel = interceptChannel(openChannel(port), insisting);
    const controller = new MprpcController();
    expect(text((await get(channel, "k", controller)).Value)).toBe("k");
    expect(attempts).toBe(3);
    expect(controller.failed()).toBe(false);
    attempts = -10;
    await expect(get(channel, "k")).rejects.toMatchObject({ message: "not yet" });
    expect(attempts).toBe(-7);
  });

  test("leave a stream its backpressure", async () => {
    const { feed, port } = await startFeed();
    const forever = endless(100);
    feed.watch = () => forever.iterable;
    const notes: string[] = [];
    const plain = openChannel(port, { streamWindowBytes: 1_180 });
    const stream = watch(interceptChannel(plain, noting("a", notes)));
    await until(() => forever.made >= 10, "a window");
    await settled();
    // The one that was passed on paid for itself.
    expect(forever.made).toBeLessThanOrEqual(11);
    for (let taken = 1; taken <= 100; taken++) {
      await stream.next();
      expect(forever.made).toBeLessThanOrEqual(12 + taken);
    }
    await stream.return();
    await until(() => forever.closed === 1, "the handler was told");
  });

  const ways = {
    "leaving the loop": (stream: ReturnType<typeof watch>) => void stream.return(),
    "cancel()": (stream: ReturnType<typeof watch>) => stream.cancel(),
    "the signal": (_stream: unknown, abort: AbortController) => abort.abort(),
  };
  test.each(Object.entries(ways))(
    "are closed by %s, and the handler, too",
    async (_name, giveUp) => {
      const { feed, port } = await startFeed();
      const forever = endless(10);
      feed.watch = () => forever.iterable;
      const notes: string[] = [];
      const channel = interceptChannel(openChannel(port), noting("a", notes));
      const abort = new AbortController();
      const stream = watch(channel, { signal: abort.signal });
      await stream.next();
      await settled();
      giveUp(stream, abort);
      await until(() => forever.closed === 1, "the handler's iterator was closed");
      await until(() => notes.includes("a ends"), "the interceptor's, too");
      expect(stream.controller.status).toBe(RpcStatus.CANCELLED);
    },
  );

  test("tell a stream's failure after its messages", async () => {
    const { feed, port } = await startFeed();
    feed.watch = async function* () {
      yield* texts("one");
      throw denied;
    };
    const channel = interceptChannel(openChannel(port), noting("a", []));
    expect(await collect(watch(channel))).toMatchObject({
      values: ["one"],
      error: { code: "PERMISSION_DENIED", message: "not you" },
    });
  });
});

describe("interceptors of a provider", () => {
  test("see calls of every kind, the first one outermost, and may change them", async () => {
    const notes: string[] = [];
    const interceptors = [noting("a", notes), noting("b", notes)];
    const { port } = await startFeed({ interceptors });
    const channel = openChannel(port);
    expect(text((await get(channel, "k")).Value)).toBe("k");
    expect(notes.splice(0)).toEqual(["a Get", "b Get", "b done", "a done"]);
    expect((await collect(watch(channel))).values).toEqual(["one", "two"]);
    const passed = ["b passes", "a passes", "b passes", "a passes"];
    expect(notes.splice(0)).toEqual(["a Watch", "b Watch", ...passed, "b ends", "a ends"]);
  });

  test("may refuse or break before the handler runs", async () => {
    for (const [interceptor, code, reports] of [
      [refusing, "PERMISSION_DENIED", 0],
      [throwing, "INTERNAL", 2],
    ] as const) {
      const { feed, port, errors } = await startFeed({ interceptors: [interceptor] });
      feed.get = () => expect.unreachable();
      const channel = openChannel(port);
      await expect(get(channel, "k")).rejects.toMatchObject({ code });
      expect((await collect(watch(channel))).error).toMatchObject({ code });
      expect(feed.controllers).toEqual([]);
      expect(errors).toHaveLength(reports);
    }
  });

  test("see how a handler failed, and may put something else in its place", async () => {
    const seen: unknown[] = [];
    const watching: Interceptor = (next) => async (call) => {
      try {
        return await next(call);
      } catch (error) {
        seen.push(error);
        if (error instanceof RpcError && error.code === "NOT_FOUND") {
          return { kind: "unary", message: { Value: bytes("instead") } };
        }
        throw error;
      }
    };
    const { feed, port, errors } = await startFeed({ interceptors: [watching] });
    const channel = openChannel(port);
    feed.get = () => {
      throw new RpcError(RpcStatus.NOT_FOUND, "no such key");
    };
    expect(text((await get(channel, "k")).Value)).toBe("instead");
    feed.get = () => {
      throw new Error("a secret");
    };
    await expect(get(channel, "k")).rejects.toMatchObject({
      code: "INTERNAL",
      message: "the handler failed",
    });
    expect(seen).toMatchObject([{ code: "NOT_FOUND" }, { code: "INTERNAL" }]);
    expect(errors.map(({ message }) => message)).toEqual(["a secret"]);
  });

  test("are closed with the stream when its caller leaves", async () => {
    const notes: string[] = [];
    const { feed, port } = await startFeed({ interceptors: [noting("a", notes)] });
    const gate = deferred();
    feed.watch = async function* (_request, controller) {
      try {
        yield* texts("one");
        controller.notifyOnCancel(gate.resolve);
        await gate.promise;
      } finally {
        notes.push("handler ends");
      }
    };
    const stream = callServerStream(openChannel(port), watchMethod, {});
    await stream.next();
    stream.cancel();
    await until(() => notes.includes("a ends"), "the interceptor was closed");
    expect(notes).toEqual(["a Watch", "a passes", "handler ends", "a ends"]);
  });

  test("keep what a service lent, though it changes before they are done with it", async () => {
    const lent = Buffer.from("as it was");
    const { feed, provider, port } = await startFeed({ interceptors: [noting("a", [])] });
    const name = "Lender";
    const answers: unknown[] = [{ Value: lent }, { Value: "no bytes" }];
    provider.notifyService({
      descriptor: { ...feed.descriptor, name },
      lendsBytes: true,
      callMethod: (_method, _controller, _request, done) => {
        done(answers.shift());
        lent.fill("x");
      },
    });
    const channel = openChannel(port);
    const method = { ...getMethod, serviceName: name };
    expect(text((await callUnary(channel, method, {})).Value)).toBe("as it was");
    await expect(callUnary(channel, method, {})).rejects.toMatchObject({
      code: "INTERNAL",
      message: "the reply can't be encoded",
    });
  });

  test("a service without streams still has none", async () => {
    const { feed, provider, port } = await startFeed({ interceptors: [refusing] });
    const name = "Bare";
    provider.notifyService({
      descriptor: { ...feed.descriptor, name },
      callMethod: () => expect.unreachable(),
    });
    const method = { ...watchMethod, serviceName: name };
    const { error } = await collect(callServerStream(openChannel(port), method, {}));
    expect(error?.code).toBe("UNIMPLEMENTED");
  });
});
