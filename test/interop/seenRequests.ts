import {
  AppendEntriesArgsCodec,
  RequestVoteArgsCodec,
  RpcHeaderCodec,
  type raftRpcProctoc,
} from "../../proto/index.js";

/** One request as it passed a wiretap. */
export interface SeenRequest {
  readonly method: string;
  /** Of the whole frame. */
  readonly bytes: number;
  readonly append: raftRpcProctoc.AppendEntriesArgs | null;
  readonly vote: raftRpcProctoc.RequestVoteArgs | null;
  readonly term: number | null;
}

interface Frame {
  readonly size: number;
  readonly request: SeenRequest;
}

/** The whole frames at the beginning of `bytes`, and where they end. */
export function framesIn(bytes: Buffer): { frames: Frame[]; end: number } {
  const frames: Frame[] = [];
  let end = 0;
  for (let frame = frameAt(bytes, end); frame !== null; frame = frameAt(bytes, end)) {
    frames.push(frame);
    end += frame.size;
  }
  return { frames, end };
}

function frameAt(bytes: Buffer, start: number): Frame | null {
  const [headerSize, headerStart] = varintAt(bytes, start);
  const headerEnd = headerStart + headerSize;
  if (headerStart < 0 || headerEnd > bytes.length) return null;
  // Decoded bytes are views.
  const header = RpcHeaderCodec.decode(Buffer.from(bytes.subarray(headerStart, headerEnd)));
  const end = headerEnd + header.args_size;
  if (end > bytes.length) return null;
  const method = Buffer.from(header.method_name).toString("latin1");
  const args = Buffer.from(bytes.subarray(headerEnd, end));
  return { size: end - start, request: seen(method, end - start, args) };
}

function seen(method: string, bytes: number, args: Buffer): SeenRequest {
  const append = method === "AppendEntries" ? AppendEntriesArgsCodec.decode(args) : null;
  // TimeoutNow begins as a vote does: with its term.
  const termed = method === "RequestVote" || method === "TimeoutNow";
  const vote = termed ? RequestVoteArgsCodec.decode(args) : null;
  return { method, bytes, append, vote, term: append?.Term ?? vote?.Term ?? null };
}

function varintAt(bytes: Buffer, start: number): [value: number, next: number] {
  let value = 0;
  for (let i = 0; start + i < bytes.length && i < 5; i++) {
    const byte = bytes[start + i]!;
    value += (byte & 0x7f) * 2 ** (7 * i);
    if (byte < 0x80) return [value, start + i + 1];
  }
  return [0, -1];
}
