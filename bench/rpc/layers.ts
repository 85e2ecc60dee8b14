/**
 * What each layer costs for one call, alone and in one process: the difference between two lines is
 * what the layer between them adds.
 */
import { performance } from "node:perf_hooks";
import { ByteWriter, decodePart, MprpcController, type Codec } from "../../rpc/index.js";
import { ClientCall } from "../../rpc/clientCall.js";
import { FrameReader, type FrameSink } from "../../rpc/frameReader.js";
import {
  ReplyFramer,
  ReplyHeader,
  RequestFramer,
  RequestHeader,
  type FrameHeader,
} from "../../rpc/framing.js";
import { MethodTable } from "../../rpc/methodTable.js";
import type { EchoMessage } from "./gen/messages.js";
import { echo, EchoMessageCodec, echoMethods } from "./gen/services.js";

export interface LayerCost {
  readonly payloadBytes: number;
  readonly layer: string;
  /** For one call. */
  readonly ns: number;
}

const limits = { headerBytesMax: 16_384, bodyBytesMax: 1 << 22 };
const timeoutMs = 30_000;
/** Frames in one chunk, as at this many calls in flight. */
const frames = 64;

class EchoService extends echo {
  override Echo(request: EchoMessage): EchoMessage {
    return request;
  }
}

/** Runs `batch`, which does the work of `calls` calls, again and again. */
function nsPerCall(calls: number, durationMs: number, batch: () => void): number {
  const warm = performance.now() + durationMs / 2;
  while (performance.now() < warm) batch();
  let batches = 0;
  const started = performance.now();
  while (performance.now() - started < durationMs) {
    batch();
    batches++;
  }
  return ((performance.now() - started) * 1e6) / (batches * calls);
}

function repeat(action: (index: number) => void): () => void {
  return () => {
    for (let index = 1; index <= frames; index++) action(index);
  };
}

function onFailure(): never {
  throw new Error("the stream is broken");
}

function sinkOf<H extends FrameHeader>(onFrame: FrameSink<H>["onFrame"]): FrameSink<H> {
  return { onFrame, onOversized: onFailure, onGarbage: onFailure };
}

/** `frames` frames in a row. */
function stream(write: (writer: ByteWriter, id: number) => void): Buffer {
  const writer = new ByteWriter();
  for (let id = 1; id <= frames; id++) write(writer, id);
  return writer.finish();
}

type Layers = Readonly<Record<string, () => void>>;

function layersFor(payloadBytes: number): Layers {
  const message = { sequence: 300, payload: Buffer.alloc(payloadBytes, 1) };
  const codec: Codec<EchoMessage, EchoMessage.$Properties> = EchoMessageCodec;
  const writer = new ByteWriter(1 << 20);
  const encoded = new ByteWriter();
  codec.encode(message, encoded);
  const body = encoded.finish();
  const requests = new RequestFramer(echoMethods.Echo);
  const replies = new ReplyFramer(EchoMessageCodec);
  const writeRequest = (to: ByteWriter, id: number): void =>
    requests.write(to, message, id, timeoutMs, [], limits);
  const writeReply = (to: ByteWriter, id: number): void =>
    void replies.write(to, id, [], message, limits);
  const requestStream = stream(writeRequest);
  const replyStream = stream(writeReply);
  const requestReader = new FrameReader(
    new RequestHeader(),
    false,
    limits,
    sinkOf(() => {}),
  );
  const replyReader = new FrameReader(
    new ReplyHeader(),
    true,
    limits,
    sinkOf(() => {}),
  );
  const owner = { onAbandoned: () => {} };
  const kind = { framer: requests, response: EchoMessageCodec };
  return {
    "codec: encode": repeat((index) => {
      codec.encode(message, index === 1 ? writer.reset() : writer);
    }),
    "codec: decode": repeat(() => void codec.decode(body)),
    "request: encode and frame": repeat((id) => {
      writeRequest(id === 1 ? writer.reset() : writer, id);
    }),
    "request: read frame": () => requestReader.push(requestStream),
    "reply: encode and frame": repeat((id) => {
      writeReply(id === 1 ? writer.reset() : writer, id);
    }),
    "reply: read frame": () => replyReader.push(replyStream),
    "client call: make and end": repeat(() => {
      const controller = new MprpcController();
      new ClientCall(owner, kind, controller, message, () => {}, timeoutMs).succeed(message);
    }),
    "server: read, find, decode, run, encode, frame": serverLayer(requestStream, replies),
  };
}

/** All that a provider does for a call, without its connection. */
function serverLayer(requestStream: Buffer, replies: ReplyFramer): () => void {
  const methods = new MethodTable();
  const service = new EchoService();
  methods.add(service);
  const writer = new ByteWriter(1 << 20);
  const onFrame = (header: RequestHeader, bytes: Buffer, start: number, end: number): void => {
    const { method } = methods.find(header)!;
    const { callId } = header;
    const request = decodePart(method.request, bytes, start, end);
    service.callMethod(method, new MprpcController(), request, (response) => {
      replies.write(writer, callId, [], response, limits);
    });
  };
  const reader = new FrameReader(new RequestHeader(), false, limits, sinkOf(onFrame));
  return () => {
    writer.reset();
    reader.push(requestStream);
  };
}

export function measureLayers(payloads: readonly number[], durationMs: number): LayerCost[] {
  return payloads.flatMap((payloadBytes) =>
    Object.entries(layersFor(payloadBytes)).map(([layer, batch]) => ({
      payloadBytes,
      layer,
      ns: nsPerCall(frames, durationMs, batch),
    })),
  );
}
