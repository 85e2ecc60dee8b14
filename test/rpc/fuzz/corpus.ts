/**
 * Real streams, to be damaged: what channels wrote and a provider answered, recorded once in
 * `corpus.json` so that a seed means the same input everywhere, and the C++ original's requests.
 * `npm run fuzz:rpc -- --record` makes the file anew.
 */
import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import { connect, createServer, type AddressInfo, type Socket } from "node:net";
import { join } from "node:path";
import { kvServerRpcMethods, type GetReply } from "../../../proto/index.js";
import {
  callServerStream,
  callUnary,
  MprpcChannel,
  MprpcController,
  type CallOptions,
} from "../../../rpc/index.js";
import { legacyFrame } from "../support.js";
import { watchMethod } from "./fuzzService.js";
import { LocalTarget } from "./target.js";

/** Each stream as the frames that it is made of. */
export interface Corpus {
  readonly requests: readonly (readonly Buffer[])[];
  readonly replies: readonly (readonly Buffer[])[];
}

/** Where the project's own files are, also for what was compiled elsewhere. */
const file = join("test", "rpc", "fuzz", "corpus.json");

function fromHex(texts: string[][]): Buffer[][] {
  return texts.map((frames) => frames.map((hex) => Buffer.from(hex, "hex")));
}

export function readCorpus(): Corpus {
  const recorded = JSON.parse(readFileSync(file, "utf8")) as Record<keyof Corpus, string[][]>;
  return {
    requests: [...fromHex(recorded.requests), ...legacyStreams()],
    replies: fromHex(recorded.replies),
  };
}

interface Vector {
  readonly service: string;
  readonly requestHex?: string;
  readonly hex?: string;
}

/** Arguments of Get; a key of less than 128 bytes. */
function argsOfGet(text: string): Buffer {
  return Buffer.concat([Buffer.of(0x0a, text.length), Buffer.from(text)]);
}

/** Requests of the original's clerk, alone and in a row, and some to methods of this service. */
function legacyStreams(): Buffer[][] {
  const vectors = ["frames", "wire"].flatMap((name) => {
    const text = readFileSync(join("test", "interop", "vectors", `${name}.json`), "utf8");
    return (JSON.parse(text) as { vectors: Vector[] }).vectors;
  });
  const frames = vectors
    .filter(({ service }) => service === "kvServerRpc")
    .map(({ requestHex, hex }) => Buffer.from(requestHex ?? hex ?? "", "hex"));
  const gets = ["k", "late", "k"].map((text) => legacyFrame("Get", argsOfGet(text)));
  return [...frames.map((one) => [one]), frames.slice(0, 4), gets];
}

/** A relay that notes what passes, each way. */
async function tap(port: number) {
  const chunks = { requests: [] as Buffer[], replies: [] as Buffer[] };
  const sockets: Socket[] = [];
  const server = createServer((near) => {
    const far = connect({ host: "127.0.0.1", port });
    sockets.push(near, far);
    near.on("data", (chunk: Buffer) => {
      chunks.requests.push(chunk);
      far.write(chunk);
    });
    far.on("data", (chunk: Buffer) => {
      chunks.replies.push(chunk);
      near.write(chunk);
    });
    for (const socket of [near, far]) socket.on("error", () => {});
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const close = (): void => {
    for (const socket of sockets) socket.destroy();
    server.close();
  };
  return { port: (server.address() as AddressInfo).port, chunks, close };
}

type Talk = (channel: MprpcChannel) => Promise<unknown>;

const get = (channel: MprpcChannel, key: Uint8Array | string, options?: CallOptions) =>
  callUnary(channel, kvServerRpcMethods.Get, { Key: Buffer.from(key), RequestId: 300 }, options);

async function drain(stream: AsyncIterable<GetReply>, atMost = Infinity): Promise<void> {
  const messages = stream[Symbol.asyncIterator]();
  for (let taken = 0; taken < atMost; taken++) {
    if ((await messages.next()).done === true) return;
  }
  await messages.return?.();
}

const watch = (channel: MprpcChannel, ...key: number[]) =>
  callServerStream(channel, watchMethod, { Key: Uint8Array.from(key) });

const notify = (channel: MprpcChannel): void =>
  channel.notify(kvServerRpcMethods.PutAppend, { Key: Buffer.from("k"), Value: Buffer.alloc(9) });

/** All that callers do, each on a connection of its own. */
const talks: readonly Talk[] = [
  (channel) => get(channel, "key"),
  (channel) => get(channel, ""),
  (channel) => get(channel, "late"),
  (channel) => get(channel, "error").catch(() => {}),
  (channel) => get(channel, "k", { timeoutMs: 100_000_000 }),
  (channel) => get(channel, Buffer.alloc(3_000, "x")),
  // Beyond the limits of the provider that will be attacked.
  (channel) => get(channel, Buffer.alloc(20_000, "x")),
  (channel) => get(channel, "k", { metadata: [{ key: "long", value: Buffer.alloc(1_500) }] }),
  (channel) =>
    get(channel, "k", {
      metadata: [
        { key: "one", value: Buffer.from("1") },
        { key: "two", value: Buffer.alloc(200) },
      ],
    }),
  async (channel) => {
    await get(channel, "first");
    await Promise.all(
      ["a", "late", "b", "", "error", "c"].map((key) => get(channel, key).catch(() => {})),
    );
  },
  async (channel) => {
    await get(channel, "first");
    const controller = new MprpcController();
    const hanging = callUnary(
      channel,
      kvServerRpcMethods.Get,
      { Key: Buffer.from("hang") },
      controller,
    );
    await get(channel, "next");
    controller.startCancel();
    await hanging.catch(() => {});
    await get(channel, "last");
  },
  async (channel) => {
    await get(channel, "first");
    await get(channel, "hang", { timeoutMs: 20 }).catch(() => {});
    await get(channel, "last");
  },
  async (channel) => {
    await get(channel, "first");
    notify(channel);
    notify(channel);
    await get(channel, "last");
  },
  (channel) => drain(watch(channel, 5, 4)),
  (channel) => drain(watch(channel, 15, 63)),
  (channel) => drain(watch(channel, 0, 0)),
  async (channel) => {
    await get(channel, "first");
    await Promise.all([
      drain(watch(channel, 15, 40)),
      drain(watch(channel, 9, 1)),
      get(channel, "k"),
    ]);
  },
  async (channel) => {
    await get(channel, "first");
    await drain(watch(channel, 15, 63), 2);
    await get(channel, "last");
  },
  async (channel) => {
    await get(channel, "first");
    // The channel's silence makes it ping.
    await new Promise((resolve) => setTimeout(resolve, 60));
    await get(channel, "last");
  },
];

/** Small windows, so that grants are needed; impatience, so that there are pings. */
const channelOptions = { streamWindowBytes: 2_000, keepaliveMs: 20 };

export async function record(): Promise<void> {
  const target = await LocalTarget.start({});
  const streams = { requests: [] as string[][], replies: [] as string[][] };
  for (const talk of talks) {
    const { port, chunks, close } = await tap(target.port);
    const channel = new MprpcChannel({ host: "127.0.0.1", port, ...channelOptions });
    await talk(channel);
    // What was written last, a cancel above all, has no answer to wait for.
    await new Promise((resolve) => setTimeout(resolve, 20));
    channel.close();
    close();
    streams.requests.push(cut(Buffer.concat(chunks.requests), 0));
    streams.replies.push(cut(Buffer.concat(chunks.replies), 1));
  }
  await target.stop();
  writeFileSync(file, `${JSON.stringify(streams, null, 1)}\n`);
}

/** A whole stream cut into its frames; each has a mark of so many bytes before its header. */
function cut(stream: Buffer, markBytes: 0 | 1): string[] {
  const frames: string[] = [];
  const bodySizeTag = markBytes === 0 ? 3 : 4;
  for (let start = 0; start < stream.length;) {
    const size = readVarint(stream, start + markBytes);
    const headEnd = size.next + size.value;
    const end = headEnd + integerField(stream.subarray(size.next, headEnd), bodySizeTag);
    frames.push(stream.toString("hex", start, end));
    start = end;
  }
  return frames;
}

function readVarint(
  bytes: Buffer,
  start: number,
): { readonly value: number; readonly next: number } {
  let value = 0;
  for (let next = start, scale = 1; ; scale *= 0x80) {
    const byte = bytes[next++]!;
    value += (byte & 0x7f) * scale;
    if (byte < 0x80) return { value, next };
  }
}

/** The integer with this field number in a header, which holds varints and lengths alone. */
function integerField(header: Buffer, number: number): number {
  for (let position = 0; position < header.length;) {
    const tag = readVarint(header, position);
    const { value, next } = readVarint(header, tag.next);
    if (tag.value === number << 3) return value;
    position = (tag.value & 7) === 2 ? next + value : next;
  }
  return 0;
}
