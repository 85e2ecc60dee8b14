/** What a provider may and must answer to a stream of requests, foretold from its bytes alone. */
import {
  GetArgsCodec,
  GetReplyCodec,
  PutAppendArgsCodec,
  PutAppendReplyCodec,
} from "../../../proto/index.js";
import { ByteWriter, RpcStatus, type Codec } from "../../../rpc/index.js";
import { readReplies, type ReplyFrame } from "../wireFrames.js";
import { answerOf, messagesOf, methods, serviceName } from "./fuzzService.js";
import { readStream, type Limits, type ModelFrame, type StreamEnd } from "./wireModel.js";

// Bits of RpcHeader.flags and RpcReplyHeader.flags, as proto/rpcheader.proto has them.
const cancel = 1;
const notify = 2;
const ping = 4;
const credit = 8;
const pong = 16;
const more = 1;
const replyPing = 4;

const creditMax = 2 ** 31 - 1;
const windowDefault = 65_536;
const messageOverhead = 16;
/** What a caller who speaks TLS begins with; a provider without TLS hangs up on it at once. */
const tlsHello = [0x16, 0x03];
/** A deadline above this never passes within the time that one input takes. */
const deadlineMsFar = 60_000;

const codecs: Readonly<Record<string, readonly [Codec<never>, Codec<unknown>]>> = {
  Get: [GetArgsCodec, GetReplyCodec],
  PutAppend: [PutAppendArgsCodec, PutAppendReplyCodec],
  Watch: [GetArgsCodec, GetReplyCodec],
} as never;

/** What may come back for one id. Ids can be used twice: then all of it is added up. */
interface ForId {
  /** Final frames that must come, and that may. */
  min: number;
  max: number;
  messagesMax: number;
  readonly finals: Set<string>;
  readonly messages: Set<string>;
}

/** What comes of a whole stream of requests. */
export interface Expectation {
  readonly end: StreamEnd;
  readonly frames: number;
  readonly ids: ReadonlyMap<number, ForId>;
  /** A stream was opened: the server may ping once. */
  readonly greeted: boolean;
  /** Whether the provider must end the connection by itself. */
  readonly ends: boolean;
  /** The bare replies of revision 1, one after the other. */
  readonly bare: Buffer;
  /** Frames of both revisions in one stream: what comes back can't be told apart. */
  readonly mixed: boolean;
  /** It may end it, too, depending on where the stream is cut into pieces. */
  readonly mayEnd: boolean;
  /** Frames of revision 1. */
  readonly legacy: number;
  /** One-way calls whose handlers wait for ever: nobody can give them up. */
  readonly oneWayHangs: number;
}

class Foreteller {
  readonly ids = new Map<number, ForId>();
  readonly bare: Buffer[] = [];
  readonly canceled = new Set<number>();
  readonly granted = new Set<number>();
  greeted = false;
  ends = false;
  /** A call of revision 1 that has no end keeps back the replies to all behind it. */
  legacyBlocked = false;
  /** Nothing is read behind a request of revision 1 that no handler sees. */
  stopped = false;
  oneWayHangs = 0;
  framed = 0;
  legacy = 0;

  take(frame: ModelFrame): void {
    const { flags, callId } = frame;
    if (this.stopped) return;
    if (frame.args === null) this.#oversized(frame);
    else if ((flags & cancel) !== 0) this.canceled.add(callId);
    else if ((flags & credit) !== 0) this.granted.add(callId);
    else if ((flags & ping) !== 0) this.#ping(callId);
    else if ((flags & pong) !== 0) return;
    else this.#call(frame, frame.args);
  }

  forId(id: number): ForId {
    let all = this.ids.get(id);
    if (all === undefined) {
      all = { min: 0, max: 0, messagesMax: 0, finals: new Set(), messages: new Set() };
      this.ids.set(id, all);
    }
    return all;
  }

  #ping(callId: number): void {
    if (callId === 0) return;
    this.framed++;
    this.#final(callId, 1, RpcStatus.OK);
  }

  #oversized({ callId, flags }: ModelFrame): void {
    if (callId === 0) {
      this.legacy++;
      this.ends = true;
    } else if ((flags & notify) === 0) {
      this.framed++;
      this.#final(callId, 1, RpcStatus.RESOURCE_EXHAUSTED);
    }
  }

  #call(frame: ModelFrame, args: Buffer): void {
    const known =
      frame.service === serviceName && methods.some(({ name }) => name === frame.method);
    const request = known ? decode(frame.method, args) : null;
    if (frame.callId === 0) this.#legacy(frame, known ? request : null);
    else if ((frame.flags & notify) !== 0) this.#oneWay(frame, request);
    else {
      this.framed++;
      if (!known) this.#final(frame.callId, 1, RpcStatus.UNIMPLEMENTED);
      else if (frame.method === "Watch") this.#stream(frame, request);
      else if (request === null) this.#final(frame.callId, 1, RpcStatus.INVALID_ARGUMENT);
      else this.#unary(frame, request);
    }
  }

  #oneWay({ method }: ModelFrame, request: object | null): void {
    if (request === null || method === "Watch") return;
    if (answerOf(method, request).when === "hang") this.oneWayHangs++;
  }

  #unary(frame: ModelFrame, request: object): void {
    const { when, status, reply } = answerOf(frame.method, request);
    const body = reply === null ? "" : encode(frame.method, reply).toString("latin1");
    this.#final(frame.callId, when === "hang" ? 0 : 1, status, body);
    this.#deadline(frame);
  }

  #stream(frame: ModelFrame, request: object | null): void {
    const { callId } = frame;
    if (frame.credit > creditMax || request === null) {
      this.#final(callId, 1, RpcStatus.INVALID_ARGUMENT);
      return;
    }
    this.greeted = true;
    const messages = messagesOf(request).map((message) => encode("Watch", message));
    const cost = messages.reduce((sum, { length }) => sum + length + messageOverhead, 0);
    const fits = cost <= (frame.credit === 0 ? windowDefault : frame.credit);
    this.#final(callId, fits ? 1 : 0, RpcStatus.OK);
    // When it is granted more than can be counted.
    this.#allow(callId, RpcStatus.INVALID_ARGUMENT);
    this.#deadline(frame);
    const all = this.forId(callId);
    all.messagesMax += messages.length;
    for (const message of messages) all.messages.add(message.toString("latin1"));
  }

  #deadline({ callId, timeoutMs }: ModelFrame): void {
    if (timeoutMs > 0 && timeoutMs < deadlineMsFar) {
      this.#allow(callId, RpcStatus.DEADLINE_EXCEEDED);
    }
  }

  #final(id: number, min: 0 | 1, status: RpcStatus, body = ""): void {
    const all = this.forId(id);
    all.min += min;
    all.max++;
    all.finals.add(`${status} ${body}`);
  }

  #allow(id: number, status: RpcStatus): void {
    this.forId(id).finals.add(`${status} `);
  }

  /** Replies go out in order, and the first that there is none of ends the connection. */
  #legacy(frame: ModelFrame, request: object | null): void {
    this.legacy++;
    const answer =
      request === null || frame.method === "Watch" ? null : answerOf(frame.method, request);
    if (answer === null) this.stopped = true;
    if (this.ends || this.legacyBlocked) return;
    if (answer?.when === "hang") this.legacyBlocked = true;
    else if (answer === null || answer.status !== RpcStatus.OK) this.ends = true;
    else this.bare.push(encode(frame.method, answer.reply));
  }
}

function decode(method: string, args: Buffer): object | null {
  try {
    return codecs[method]![0].decode(args);
  } catch {
    return null;
  }
}

function encode(method: string, message: unknown): Buffer {
  const writer = new ByteWriter();
  codecs[method]![1].encode(message, writer);
  return writer.finish();
}

export function foretell(bytes: Buffer, limits: Limits): Expectation {
  const { frames, end } = readStream(bytes, limits);
  const teller = new Foreteller();
  for (const frame of frames) teller.take(frame);
  const ends = teller.ends || (end === "garbage" && !teller.stopped);
  for (const [id, all] of teller.ids) {
    if (ends || teller.canceled.has(id)) all.min = 0;
  }
  return {
    end,
    frames: frames.length,
    ids: teller.ids,
    greeted: teller.greeted,
    ends,
    bare: Buffer.concat(teller.bare),
    mixed: teller.legacy > 0 && (teller.framed > 0 || teller.greeted),
    mayEnd: bytes[0] === tlsHello[0] && bytes[1] === tlsHello[1],
    legacy: teller.legacy,
    oneWayHangs: teller.oneWayHangs,
  };
}

/** Whether all that must come has come; `closed` tells that the connection has ended. */
export function isSatisfied(expected: Expectation, received: Buffer, closed: boolean): boolean {
  if (expected.ends) return closed;
  if (expected.mixed) return true;
  if (expected.bare.length > 0) return received.length >= expected.bare.length;
  const finals = countFinals(readReplies(received));
  for (const [id, { min }] of expected.ids) if ((finals.get(id) ?? 0) < min) return false;
  return true;
}

function countFinals(replies: readonly ReplyFrame[]): Map<number, number> {
  const finals = new Map<number, number>();
  for (const { call_id, flags } of replies) {
    if ((flags & more) === 0) finals.set(call_id, (finals.get(call_id) ?? 0) + 1);
  }
  return finals;
}

/** What is wrong with what came back; null when nothing is. */
export function findFault(expected: Expectation, received: Buffer): string | null {
  if (expected.mixed) return null;
  if (expected.bare.length > 0) {
    const same = expected.bare.subarray(0, received.length).equals(received);
    return same ? null : "the bare replies are not those of the requests";
  }
  let replies: readonly ReplyFrame[];
  try {
    replies = readReplies(received);
  } catch (error) {
    return `replies that can't be read: ${String(error)}`;
  }
  for (const [id, count] of countFinals(replies)) {
    const max = id === 0 ? 1 : (expected.ids.get(id)?.max ?? 0);
    if (count > max) return `${count} answers to call ${id}, of which ${max} were asked for`;
  }
  for (const reply of replies) {
    const fault = faultOf(expected, reply);
    if (fault !== null) return fault;
  }
  return tooManyMessages(expected, replies);
}

function faultOf(expected: Expectation, reply: ReplyFrame): string | null {
  const { call_id, flags, status, body } = reply;
  if (call_id === 0) {
    return expected.greeted && flags === replyPing ? null : `a frame of its own, flags ${flags}`;
  }
  const all = expected.ids.get(call_id);
  if (all === undefined) return `a frame of call ${call_id}, which nobody made`;
  const content = body.toString("latin1");
  if ((flags & more) !== 0) {
    return all.messages.has(content) ? null : `a message of call ${call_id} that is none of its`;
  }
  const known = all.finals.has(`${status} ${content}`);
  return known ? null : `call ${call_id} ended with ${status} and ${body.length} bytes`;
}

function tooManyMessages(expected: Expectation, replies: readonly ReplyFrame[]): string | null {
  for (const [id, { messagesMax }] of expected.ids) {
    const count = replies.filter(({ call_id, flags }) => call_id === id && (flags & more) !== 0);
    if (count.length > messagesMax) return `${count.length} messages of call ${id}`;
  }
  return null;
}
