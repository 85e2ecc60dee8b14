import fc from "fast-check";
import { afterEach, describe, expect, test } from "vitest";
import { bytes, closeAll, openChannel, rawClient, settled, text, until } from "./support.js";
import { collect, endless, get, startFeed, watch } from "./streamSupport.js";
import { feedFrame, readReplies, type ReplyFrame } from "./wireFrames.js";

afterEach(closeAll);

/** What a stream's message costs beside the bytes of its reply; see proto/rpcheader.proto. */
const overhead = 16;
/** Tag and length around a value of up to 127 bytes. */
const fieldBytes = 2;
const more = 1;
const size = 100;
const cost = size + fieldBytes + overhead;

const messagesOf = (frames: readonly ReplyFrame[], callId: number): ReplyFrame[] =>
  frames.filter(({ call_id, flags }) => call_id === callId && (flags & more) !== 0);
const endOf = (frames: readonly ReplyFrame[], callId: number): ReplyFrame | undefined =>
  frames.find(({ call_id, flags }) => call_id === callId && (flags & more) === 0);

describe("a server and its credit", () => {
  test.each([
    ["the window of the request", 10 * cost, 10],
    ["one that no number of messages fits exactly", 10 * cost + 1, 11],
    ["one smaller than a message", 1, 1],
    ["none, which means 65,536", 0, Math.ceil(65_536 / cost)],
  ])("sends as much as was granted: %s", async (_name, credit, count) => {
    const { feed, port } = await startFeed();
    const forever = endless(size);
    feed.watch = () => forever.iterable;
    const client = await rawClient(port);
    client.send(feedFrame("Watch", { call_id: 7, credit }));
    await until(() => messagesOf(readReplies(client.received), 7).length === count, "the window");
    await settled();
    expect(messagesOf(readReplies(client.received), 7)).toHaveLength(count);
    // Not even asked the handler for more.
    expect(forever.made).toBe(count);
    client.send(feedFrame("", { service_name: bytes(""), call_id: 7, flags: 8, credit: 3 * cost }));
    const granted = Math.ceil(((credit || 65_536) + 3 * cost) / cost);
    await until(() => messagesOf(readReplies(client.received), 7).length === granted, "the grant");
    await settled();
    expect(messagesOf(readReplies(client.received), 7)).toHaveLength(granted);
  });

  test("a message larger than the window passes, and then nothing until it is paid", async () => {
    const { feed, port } = await startFeed();
    const forever = endless(10_000);
    feed.watch = () => forever.iterable;
    const client = await rawClient(port);
    const grant = (credit: number) =>
      client.send(feedFrame("", { service_name: bytes(""), call_id: 1, flags: 8, credit }));
    client.send(feedFrame("Watch", { call_id: 1, credit: 100 }));
    await until(() => forever.made === 1, "the first");
    grant(9_000);
    await settled();
    expect(forever.made).toBe(1);
    grant(1_000);
    await until(() => messagesOf(readReplies(client.received), 1).length === 2, "the second");
    expect(forever.made).toBe(2);
  });

  test("more credit than can be counted ends the stream, and nothing else", async () => {
    const { feed, port } = await startFeed();
    const forever = endless(10);
    feed.watch = () => forever.iterable;
    const client = await rawClient(port);
    client.send(feedFrame("Watch", { call_id: 1, credit: 2 ** 31 }));
    await until(() => endOf(readReplies(client.received), 1) !== undefined, "refused at once");
    expect(forever.made).toBe(0);
    client.send(feedFrame("Watch", { call_id: 2, credit: 1 }));
    await until(() => forever.made === 1, "the stream runs");
    for (let grants = 0; grants < 2; grants++) {
      const credit = 2 ** 31 - 1;
      client.send(feedFrame("", { service_name: bytes(""), call_id: 2, flags: 8, credit }));
    }
    await until(() => endOf(readReplies(client.received), 2) !== undefined, "the end");
    for (const id of [1, 2]) {
      expect(endOf(readReplies(client.received), id)).toMatchObject({
        status: 3,
        error_text: "a stream's credit is beyond 2147483647 bytes",
      });
    }
    await until(() => forever.closed === 1, "the handler's iterator was closed");
    client.send(feedFrame("Get", { call_id: 3 }));
    await until(() => endOf(readReplies(client.received), 3)?.status === 0, "other calls go on");
  });

  test("credit for a call that is none, or has ended, is no matter", async () => {
    const { port } = await startFeed();
    const client = await rawClient(port);
    const grant = (call_id: number) =>
      client.send(feedFrame("", { service_name: bytes(""), call_id, flags: 8, credit: 5 }));
    grant(0);
    grant(77);
    client.send(feedFrame("Watch", { call_id: 1 }));
    await until(() => endOf(readReplies(client.received), 1) !== undefined, "the end");
    grant(1);
    client.send(feedFrame("Get", { call_id: 2 }));
    await until(() => endOf(readReplies(client.received), 2) !== undefined, "a reply");
    expect(endOf(readReplies(client.received), 2)).toMatchObject({ status: 0 });
    expect(client.ending).toBe("open");
  });

  test("frames: messages with MORE, then the status without one and without a message", async () => {
    const { port } = await startFeed();
    const client = await rawClient(port);
    client.send(feedFrame("Watch", { call_id: 9 }));
    await until(() => endOf(readReplies(client.received), 9) !== undefined, "the end");
    const frames = readReplies(client.received).filter(({ call_id }) => call_id === 9);
    expect(frames.map(({ flags, status, body }) => [flags, status, text(body).slice(2)])).toEqual([
      [more, 0, "one"],
      [more, 0, "two"],
      [0, 0, ""],
    ]);
  });
});

describe("a consumer and the server's pace", () => {
  test("one that takes nothing is sent a window; as it takes, more is made", async () => {
    const { feed, port } = await startFeed();
    const forever = endless(size);
    feed.watch = () => forever.iterable;
    const channel = openChannel(port, { streamWindowBytes: 10 * cost });
    const stream = watch(channel);
    await until(() => forever.made === 10, "a window full");
    await settled();
    expect(forever.made).toBe(10);
    for (let taken = 1; taken <= 200; taken++) {
      await stream.next();
      expect(forever.made).toBeLessThanOrEqual(10 + taken);
    }
    await until(() => forever.made >= 200, "what was taken is made up for");
    stream.cancel();
    await until(() => forever.closed === 1, "closed");
  });

  test("one stream that nobody reads stops neither another nor a call", async () => {
    const { feed, port } = await startFeed();
    const channel = openChannel(port);
    const stuck = endless(1_000);
    feed.watch = () => stuck.iterable;
    const unread = watch(channel);
    await until(() => stuck.made * 1_000 > 64_000, "the window is full");
    feed.watch = async function* () {
      for (let index = 0; index < 500; index++) yield { Value: new Uint8Array(1_000) };
    };
    expect((await collect(watch(channel))).values).toHaveLength(500);
    expect(text((await get(channel, "k")).Value)).toBe("k");
    await unread.return();
  });

  test("a caller whose socket takes nothing is not made messages for, whatever it granted", async () => {
    const { feed, port } = await startFeed();
    const large = 100_000;
    const forever = endless(large);
    feed.watch = () => forever.iterable;
    const client = await rawClient(port);
    client.socket.pause();
    client.send(feedFrame("Watch", { call_id: 1, credit: 2 ** 31 - 1 }));
    await until(() => forever.made * large > 1 << 20, "as much as the output takes");
    let before = -1;
    // Until the kernel's buffers are full, too: no more is made then.
    while (before !== forever.made) {
      before = forever.made;
      for (let rounds = 0; rounds < 10; rounds++) await settled();
    }
    expect(forever.made * large).toBeLessThan(32 << 20);
    client.socket.resume();
    await until(() => forever.made > before + 100, "there is room again");
  });

  test("many messages in a row leave their turn to others", async () => {
    const { feed, port } = await startFeed();
    const forever = endless(1);
    feed.watch = () => forever.iterable;
    const channel = openChannel(port, { streamWindowBytes: 2 ** 31 - 1 });
    const stream = watch(channel);
    await stream.next();
    // The server's loop is busy with the stream all the while, and this call is answered.
    expect(text((await get(channel, "k")).Value)).toBe("k");
    await stream.return();
  });

  test("whatever the sizes, the window and the consumer's pace: all arrives once, in order", async () => {
    const { feed, port } = await startFeed();
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.integer({ min: 0, max: 3_000 }), { maxLength: 60 }),
        fc.integer({ min: 1, max: 5_000 }),
        fc.array(fc.integer({ min: 0, max: 3 }), { minLength: 1, maxLength: 10 }),
        async (sizes, streamWindowBytes, pauses) => {
          const channel = openChannel(port, { streamWindowBytes });
          let madeBytes = 0;
          feed.watch = async function* () {
            for (const [index, length] of sizes.entries()) {
              const value = new Uint8Array(length).fill(index);
              madeBytes += length;
              yield { Value: value };
            }
          };
          let index = 0;
          let takenBytes = 0;
          for await (const { Value } of watch(channel)) {
            expect(Buffer.alloc(sizes[index]!, index).equals(Value)).toBe(true);
            takenBytes += Value.length;
            // What is on its way is within the window, but for one message; and one is in hand.
            expect(madeBytes - takenBytes).toBeLessThanOrEqual(streamWindowBytes + 2 * 3_000);
            for (let turns = pauses[index % pauses.length]!; turns > 0; turns--) {
              await new Promise((resolve) => setImmediate(resolve));
            }
            index++;
          }
          expect(index).toBe(sizes.length);
          channel.close();
        },
      ),
      { numRuns: 40 },
    );
  });
});
