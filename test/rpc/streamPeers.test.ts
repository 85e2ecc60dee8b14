/** Streams, one-way calls and pings against peers that speak bytes. */
import { afterEach, describe, expect, test } from "vitest";
import { type RpcHeader } from "../../proto/index.js";
import { MprpcController, type MprpcChannel } from "../../rpc/index.js";
import { collect, get, getMethod, startFeed, watch } from "./streamSupport.js";
import {
  bytes,
  closeAll,
  openChannel,
  rawClient,
  rawServer,
  settled,
  text,
  until,
  type RawSocket,
} from "./support.js";
import {
  encodeReply,
  feedFrame,
  messageFrame,
  readReplies,
  readRequests,
  replyFrame,
} from "./wireFrames.js";

afterEach(closeAll);

/** A server that answers each request by `answer`, and a channel to it. */
async function answering(
  answer: (header: RpcHeader, connection: RawSocket) => void,
  options: Parameters<typeof openChannel>[1] = {},
): Promise<{ readonly channel: MprpcChannel; readonly headers: RpcHeader[] }> {
  const headers: RpcHeader[] = [];
  const { port } = await rawServer((connection) => {
    let answered = 0;
    connection.socket.on("data", () => {
      const all = readRequests(connection.received);
      for (; answered < all.length; answered++) {
        headers.push(all[answered]!);
        answer(all[answered]!, connection);
      }
    });
  });
  return { channel: openChannel(port, options), headers };
}

const cancelOf = (headers: readonly RpcHeader[], callId: number): RpcHeader | undefined =>
  headers.find(({ call_id, flags }) => call_id === callId && flags === 1);

describe("a channel's stream", () => {
  test("names its window and no deadline; grants half a window at a time", async () => {
    const cost = 100 + 2 + 16;
    const window = 10 * cost;
    const { channel, headers } = await answering(
      ({ call_id, flags, credit }, connection) => {
        if (flags === 0 || flags === 8) {
          for (let sent = 0; sent < credit / cost; sent++) {
            connection.send(messageFrame(call_id, new Uint8Array(100)));
          }
        }
      },
      { streamWindowBytes: window },
    );
    const stream = watch(channel);
    for (let taken = 0; taken < 20; taken++) await stream.next();
    await until(() => headers.length === 5, "four grants");
    expect(headers[0]).toMatchObject({ credit: window, timeout_ms: 0, flags: 0 });
    const id = headers[0]!.call_id;
    for (const grant of headers.slice(1)) {
      expect(grant).toMatchObject({ flags: 8, call_id: id, credit: window / 2, args_size: 0 });
      expect(grant.service_name).toHaveLength(0);
    }
    stream.cancel();
    await until(() => cancelOf(headers, id) !== undefined, "the cancel");
  });

  test("sends its deadline along", async () => {
    const { channel, headers } = await answering(({ call_id }, connection) => {
      connection.send(replyFrame({ call_id }));
    });
    await collect(watch(channel, { timeoutMs: 5_000 }));
    expect(headers[0]!.timeout_ms).toBeGreaterThan(4_000);
    expect(headers[0]!.timeout_ms).toBeLessThanOrEqual(5_000);
  });

  const misdeeds: [string, (id: number) => Buffer, string, string][] = [
    [
      "sends more than it was granted",
      (id) => Buffer.concat(Array.from({ length: 9 }, () => messageFrame(id, new Uint8Array(500)))),
      "INTERNAL",
      "more than it was granted",
    ],
    [
      "sends a message that is none",
      (id) => replyFrame({ call_id: id, flags: 1 }, bytes("\xff\xff")),
      "INTERNAL",
      "can't be decoded",
    ],
    [
      "sends a message beyond the limit",
      (id) => messageFrame(id, new Uint8Array(2_000)),
      "RESOURCE_EXHAUSTED",
      "replyBytesMax",
    ],
  ];
  test.each(misdeeds)(
    "of a server that %s: ends, and tells it",
    async (_name, frames, code, why) => {
      const { channel, headers } = await answering(
        ({ call_id, flags, method_name }, connection) => {
          if (text(method_name) === "Watch") connection.send(frames(call_id));
          else if (flags === 0)
            connection.send(replyFrame({ call_id }, encodeReply(bytes("fine"))));
        },
        { streamWindowBytes: 1_000, replyBytesMax: 1_500 },
      );
      const { error } = await collect(watch(channel));
      expect(error).toMatchObject({ code });
      expect(error?.message).toContain(why);
      await until(() => cancelOf(headers, headers[0]!.call_id) !== undefined, "the cancel");
      expect(text((await get(channel, "k")).Value)).toBe("fine");
    },
  );

  test("whose last frame has a message fails; a late frame of it is no matter", async () => {
    const { channel } = await answering(({ call_id }, connection) => {
      connection.send(replyFrame({ call_id }, encodeReply(bytes("v"))));
      connection.send(messageFrame(call_id, bytes("late")));
    });
    expect((await collect(watch(channel))).error?.code).toBe("INTERNAL");
    expect(text((await get(channel, "k")).Value)).toBe("v");
  });

  test("a unary call answered by a stream fails, and is canceled", async () => {
    const { channel, headers } = await answering(({ call_id, flags }, connection) => {
      if (flags === 0) connection.send(messageFrame(call_id, bytes("v")));
    });
    await expect(get(channel, "k")).rejects.toMatchObject({ code: "INTERNAL" });
    await until(() => cancelOf(headers, headers[0]!.call_id) !== undefined, "the cancel");
  });

  test("that a draining server refused begins anew on the next connection", async () => {
    let refused = 0;
    const { channel, headers } = await answering(({ call_id, credit }, connection) => {
      if (credit === 0) return;
      if (refused++ === 0) {
        connection.send(replyFrame({ flags: 2 }));
        connection.send(replyFrame({ call_id, status: 14, flags: 8 }));
        return;
      }
      connection.send(messageFrame(call_id, bytes("here")));
      connection.send(replyFrame({ call_id }));
    });
    expect(await collect(watch(channel))).toEqual({ values: ["here"], error: null });
    expect(headers.map(({ credit }) => credit)).toEqual([65_536, 65_536]);
  });

  test("to a server of revision 1 fails with UNIMPLEMENTED, first call or not", async () => {
    const { channel } = await answering((_header, connection) =>
      connection.send(encodeReply(bytes("v"))),
    );
    expect((await collect(watch(channel))).error?.code).toBe("UNIMPLEMENTED");
    expect(text((await get(channel, "k")).Value)).toBe("v");
    expect(channel.revision).toBe(1);
    const second = watch(channel);
    expect((await collect(second)).error?.code).toBe("UNIMPLEMENTED");
    expect(second.controller.notSent).toBe(true);
  });

  test("to a server that says nothing at all must begin in time", async () => {
    const { channel } = await answering(() => {}, { callTimeoutMs: 30 });
    expect((await collect(watch(channel))).error?.code).toBe("DEADLINE_EXCEEDED");
  });
});

describe("a provider's stream", () => {
  test("is refused to a caller of revision 1", async () => {
    const { feed, port } = await startFeed();
    const client = await rawClient(port);
    client.send(feedFrame("Watch", {}));
    expect(await client.ended()).toBe("RST");
    expect(feed.controllers).toHaveLength(0);
  });

  test("is refused as a one-way call", async () => {
    const { feed, port, errors } = await startFeed();
    const client = await rawClient(port);
    client.send(feedFrame("Watch", { call_id: 1, flags: 2 }));
    await until(() => errors.length === 1, "the error");
    expect(errors[0]).toMatchObject({ code: "INVALID_ARGUMENT" });
    expect(feed.controllers).toHaveLength(0);
  });

  test("ends on CANCEL without another frame", async () => {
    const { feed, port } = await startFeed();
    feed.watch = async function* (_request, controller) {
      yield {};
      await new Promise<void>((resolve) => controller.notifyOnCancel(resolve));
      yield {};
    };
    const client = await rawClient(port);
    client.send(feedFrame("Watch", { call_id: 5 }));
    await until(() => readReplies(client.received).some((f) => f.call_id === 5), "a message");
    client.send(feedFrame("", { service_name: bytes(""), call_id: 5, flags: 1 }));
    client.send(feedFrame("Get", { call_id: 6 }));
    await until(() => readReplies(client.received).some((f) => f.call_id === 6), "a reply");
    await settled();
    expect(readReplies(client.received).filter((f) => f.call_id === 5)).toHaveLength(1);
    expect(feed.controllers[0]!.abortSignal.aborted).toBe(true);
  });
});

/** A service that notes the keys that it was asked for. */
async function startNoting() {
  const running = await startFeed();
  const keys: string[] = [];
  running.feed.get = ({ Key }) => {
    keys.push(text(Key));
    return {};
  };
  return { ...running, keys };
}

describe("one-way calls", () => {
  test("reach their handler in order; to a server not known yet as calls", async () => {
    const { port, keys } = await startNoting();
    const channel = openChannel(port);
    const names = Array.from({ length: 100 }, (_, index) => `${index}`);
    channel.notify(getMethod, { Key: bytes("first") });
    await until(() => channel.revision === 2, "the revision is known");
    for (const name of names) channel.notify(getMethod, { Key: bytes(name) });
    await until(() => keys.length === 101, "all have arrived");
    expect(keys).toEqual(["first", ...names]);
  });

  test("are flagged, name no window of the channel, and are never answered", async () => {
    const { port, keys, feed, errors } = await startNoting();
    const client = await rawClient(port);
    client.send(feedFrame("Get", { call_id: 1, flags: 2 }));
    client.send(feedFrame("Missing", { call_id: 1, flags: 2 }));
    await until(() => keys.length === 1, "it was run");
    feed.get = () => {
      throw new Error("broken");
    };
    client.send(feedFrame("Get", { call_id: 1, flags: 2 }));
    client.send(feedFrame("Watch", { call_id: 2 }));
    await until(() => readReplies(client.received).some((f) => f.call_id === 2), "an answer");
    await settled();
    expect(readReplies(client.received).filter((f) => f.call_id === 1)).toHaveLength(0);
    expect(errors.map(({ message }) => message)).toEqual([
      "service Feed has no method Missing",
      "broken",
    ]);
  });

  test("carry metadata and, when asked, a deadline that ends their handler", async () => {
    const { feed, port } = await startFeed();
    let seen: MprpcController | undefined;
    const channel = openChannel(port);
    await get(channel, "k");
    feed.get = async (_request, controller) => {
      seen = controller;
      await new Promise<void>((resolve) => controller.notifyOnCancel(resolve));
      return {};
    };
    const metadata = [{ key: "k", value: bytes("v") }];
    channel.notify(getMethod, {}, { timeoutMs: 20, metadata });
    await until(() => seen?.isCanceled() === true, "the handler's deadline");
    expect(seen?.metadata.map(({ value }) => text(value))).toEqual(["v"]);
    expect(seen?.abortSignal.reason).toMatchObject({ code: "DEADLINE_EXCEEDED" });
  });

  test.each([-5, 0, Number.NaN, Infinity])("ask for no deadline with %d ms", async (timeoutMs) => {
    const { feed, port } = await startFeed();
    const channel = openChannel(port);
    let lost = 0;
    channel.onConnectionLost = () => lost++;
    await get(channel, "k");
    const deadlines: number[] = [];
    feed.get = (_request, { deadline }) => {
      deadlines.push(deadline);
      return {};
    };
    channel.notify(getMethod, {}, { timeoutMs });
    await until(() => deadlines.length === 1 || lost > 0, "it has arrived");
    expect(deadlines).toEqual([Infinity]);
    expect(lost).toBe(0);
  });

  test("beyond the calls in flight wait like others, and are all run", async () => {
    const { feed, port } = await startFeed({ callsInFlightMax: 2 });
    const channel = openChannel(port, { callsInFlightMax: 10 });
    await get(channel, "k");
    const ran: string[] = [];
    feed.get = async ({ Key }) => {
      ran.push(text(Key));
      await settled();
      return {};
    };
    const names = Array.from({ length: 12 }, (_, index) => `${index}`);
    for (const name of names) channel.notify(getMethod, { Key: bytes(name) });
    await get(channel, "last");
    expect(ran).toEqual([...names, "last"]);
  });

  test("outlive their caller", async () => {
    const { feed, port, provider } = await startFeed();
    let seen: MprpcController | undefined;
    feed.get = (_request, controller) => {
      seen = controller;
      return new Promise(() => {});
    };
    const client = await rawClient(port);
    client.send(feedFrame("Get", { call_id: 1, flags: 2 }));
    await until(() => seen !== undefined, "it runs");
    client.socket.destroy();
    await until(() => provider.connections === 0, "the caller is gone");
    expect(seen?.isCanceled()).toBe(false);
  });

  test("that can't be sent tell their controller, and nobody else", async () => {
    const { port } = await startFeed();
    const channel = openChannel(port, { requestBytesMax: 100 });
    await get(channel, "k");
    const large = new MprpcController();
    channel.notify(getMethod, { Key: new Uint8Array(200) }, large);
    expect(large).toMatchObject({ status: 8, notSent: true });
    const aborted = new MprpcController({ signal: AbortSignal.abort() });
    channel.notify(getMethod, {}, aborted);
    expect(aborted).toMatchObject({ status: 1, notSent: true });
    channel.close();
    const late = new MprpcController();
    channel.notify(getMethod, {}, late);
    expect(late).toMatchObject({ status: 14, notSent: true });
  });

  test("to a server of revision 1 are calls whose replies are dropped", async () => {
    const { channel, headers } = await answering((_header, connection) =>
      connection.send(encodeReply(bytes("v"))),
    );
    await get(channel, "k");
    channel.notify(getMethod, {});
    expect(text((await get(channel, "k")).Value)).toBe("v");
    expect(headers.map(({ call_id, flags }) => [call_id, flags])).toEqual([
      [headers[0]!.call_id, 0],
      [0, 0],
      [0, 0],
    ]);
  });
});

describe("pings", () => {
  test("a provider answers one with its id alone, and a pong not at all", async () => {
    const { port } = await startFeed();
    const client = await rawClient(port);
    client.send(feedFrame("", { service_name: bytes(""), flags: 16 }));
    client.send(feedFrame("", { service_name: bytes(""), call_id: 12_345, flags: 4 }));
    expect(await client.receive(5)).toEqual(Buffer.from("000308b960", "hex"));
  });

  test("a channel answers one of its server", async () => {
    const { channel, headers } = await answering(({ call_id, flags }, connection) => {
      if (flags !== 0) return;
      connection.send(replyFrame({ flags: 4 }));
      connection.send(replyFrame({ call_id }, encodeReply(bytes("v"))));
    });
    await get(channel, "k");
    await until(() => headers.length === 2, "the pong");
    expect(headers[1]).toMatchObject({ call_id: 0, flags: 16, args_size: 0 });
  });
});
