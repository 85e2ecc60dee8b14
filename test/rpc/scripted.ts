/** Servers of revision 2 that say what a test writes down. */
import { ByteWriter } from "../../rpc/index.js";
import { RpcHeaderCodec, RpcReplyHeaderCodec, type RpcReplyHeader } from "../../proto/index.js";
import type { RpcHeader } from "../../proto/index.js";
import { rawServer, type RawServer, type RawSocket } from "./support.js";

export function replyFrame(
  header: RpcReplyHeader.$Properties,
  body: Uint8Array = new Uint8Array(0),
): Buffer {
  const encoded = new ByteWriter();
  RpcReplyHeaderCodec.encode({ ...header, reply_size: body.length }, encoded);
  return new ByteWriter().byte(0).bytes(encoded.finish()).raw(body).finish();
}

/** The headers of all whole requests that have arrived; none of them has over 127 bytes of header. */
export function requestHeaders(stream: Buffer): RpcHeader[] {
  const headers: RpcHeader[] = [];
  for (let at = 0; at < stream.length;) {
    const start = at + 1;
    const end = start + stream[at]!;
    if (end > stream.length) break;
    const header = RpcHeaderCodec.decode(stream.subarray(start, end));
    at = end + header.args_size;
    if (at > stream.length) break;
    headers.push(header);
  }
  return headers;
}

/** Calls `onRequest` once for each request; `n` counts them on each connection, from 0. */
export async function scriptedServer(
  onRequest: (connection: RawSocket, header: RpcHeader, n: number) => void,
): Promise<RawServer> {
  return rawServer((connection) => {
    let seen = 0;
    connection.socket.on("data", () => {
      const headers = requestHeaders(connection.received);
      while (seen < headers.length) {
        const n = seen++;
        onRequest(connection, headers[n]!, n);
      }
    });
  });
}
