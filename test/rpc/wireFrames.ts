/** Frames of revision 2 as a stranger would write and read them: by the generated codecs alone. */
import {
  GetReplyCodec,
  RpcHeaderCodec,
  RpcReplyHeaderCodec,
  type RpcHeader,
  type RpcReplyHeader,
} from "../../proto/index.js";
import { ByteWriter } from "../../rpc/index.js";
import { bytes, frame } from "./support.js";

export interface ReplyFrame extends Pick<
  RpcReplyHeader,
  "call_id" | "status" | "error_text" | "flags" | "metadata" | "details"
> {
  readonly body: Buffer;
}

/** The whole replies in `stream`. */
export function readReplies(stream: Buffer): ReplyFrame[] {
  const frames: ReplyFrame[] = [];
  for (let position = 0; position < stream.length;) {
    if (stream[position] !== 0) throw new Error("a reply without its mark");
    const part = readPart(stream, position + 1, (head) => RpcReplyHeaderCodec.decode(head));
    if (part === null) break;
    const end = part.next + part.header.reply_size;
    if (end > stream.length) break;
    // One by one: what the header leaves out comes from the prototype.
    const { call_id, status, error_text, flags, metadata, details } = part.header;
    const body = stream.subarray(part.next, end);
    frames.push({ call_id, status, error_text, flags, metadata, details, body });
    position = end;
  }
  return frames;
}

/** The headers of the whole requests in `stream`. */
export function readRequests(stream: Buffer): RpcHeader[] {
  const headers: RpcHeader[] = [];
  for (let position = 0; position < stream.length;) {
    const part = readPart(stream, position, (head) => RpcHeaderCodec.decode(head));
    if (part === null || part.next + part.header.args_size > stream.length) break;
    headers.push(part.header);
    position = part.next + part.header.args_size;
  }
  return headers;
}

/** A header behind its length, and where it ends; null when it is not all there. */
function readPart<T>(
  stream: Buffer,
  position: number,
  decode: (bytes: Buffer) => T,
): { readonly header: T; readonly next: number } | null {
  let size = 0;
  let start = position;
  for (let shift = 0; ; shift += 7) {
    const byte = stream[start++];
    if (byte === undefined) return null;
    size |= (byte & 0x7f) << shift;
    if (byte < 0x80) break;
  }
  const next = start + size;
  return next > stream.length ? null : { header: decode(stream.subarray(start, next)), next };
}

export function replyFrame(
  header: RpcReplyHeader.$Properties,
  body: Uint8Array = new Uint8Array(0),
): Buffer {
  const head = new ByteWriter();
  RpcReplyHeaderCodec.encode({ ...header, reply_size: body.length }, head);
  return new ByteWriter().byte(0).bytes(head.finish()).raw(body).finish();
}

export function encodeReply(value: Uint8Array): Uint8Array {
  const writer = new ByteWriter();
  GetReplyCodec.encode({ Value: value }, writer);
  return writer.finish();
}

/** A message of the stream `call_id`, as a server sends it. */
export function messageFrame(call_id: number, value: Uint8Array): Buffer {
  return replyFrame({ call_id, flags: 1 }, encodeReply(value));
}

/** A request to the service `Feed` of `streamSupport.ts`. */
export function feedFrame(method: string, header: RpcHeader.$Properties): Buffer {
  return frame({ service_name: bytes("Feed"), method_name: bytes(method), ...header });
}
