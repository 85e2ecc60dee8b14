import type { OutgoingRequest } from "../../../../raft/core/index.js";
import { appendEntriesCodec } from "../../../../raft/raftCodec.js";
import { ByteWriter } from "../../../../rpc/byteWriter.js";

/** Counts what a cluster's servers ask of each other. */
export class RequestMeter {
  requests = 0;
  /** Of the AppendEntries, as they are encoded. */
  bytes = 0;
  private readonly writer = new ByteWriter();

  add({ request }: OutgoingRequest): void {
    this.requests++;
    if (request.type !== "AppendEntries") return;
    this.writer.reset();
    appendEntriesCodec.encode(request, this.writer);
    this.bytes += this.writer.view().length;
  }
}
