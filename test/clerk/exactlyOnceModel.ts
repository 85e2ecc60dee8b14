import { replicated } from "../../config/options.js";
import type { PutAppendRequest } from "../../clerk/serverNode.js";

interface ModelSession {
  /** Below it nothing has an effect any more. */
  mark: number;
  readonly results: Map<number, string>;
}

/** What the cluster's log and state machine do with writes, as the proto's comments promise. */
export class ExactlyOnceModel {
  readonly data = new Map<string, string>();
  /** What a client did that the contract forbids. */
  readonly violations: string[] = [];
  private readonly sessions = new Map<string, ModelSession>();
  private readonly lastIds = new Map<string, number>();

  open(clientId: string): void {
    if (!this.sessions.has(clientId)) this.sessions.set(clientId, { mark: 1, results: new Map() });
  }

  expireAll(): void {
    this.sessions.clear();
  }

  apply(request: PutAppendRequest): string {
    const clientId = Buffer.from(request.ClientId).toString("hex");
    if (request.FirstUnfinished === 0) return this.applyUnmarked(clientId, request);
    const session = this.sessions.get(clientId);
    if (session === undefined) return "ErrSessionExpired";
    this.checkWindow(session, request);
    session.mark = Math.max(session.mark, request.FirstUnfinished);
    for (const id of session.results.keys()) if (id < session.mark) session.results.delete(id);
    if (request.RequestId < session.mark) return "OK";
    const earlier = session.results.get(request.RequestId);
    if (earlier !== undefined) return earlier;
    this.write(request);
    session.results.set(request.RequestId, "OK");
    return "OK";
  }

  /** As the original: everything up to the client's last id is a duplicate. */
  private applyUnmarked(clientId: string, request: PutAppendRequest): string {
    if (request.RequestId > (this.lastIds.get(clientId) ?? 0)) {
      this.lastIds.set(clientId, request.RequestId);
      this.write(request);
    }
    return "OK";
  }

  private checkWindow(session: ModelSession, { RequestId, FirstUnfinished }: PutAppendRequest) {
    if (RequestId < FirstUnfinished) this.violations.push(`id ${RequestId} below its own mark`);
    const first = Math.max(session.mark, FirstUnfinished);
    if (RequestId >= first + replicated.sessionWindowMax) {
      this.violations.push(`id ${RequestId} beyond the window from ${first}`);
    }
  }

  private write({ Key, Value, Op }: PutAppendRequest): void {
    const key = Buffer.from(Key).toString();
    const before = Buffer.from(Op).toString() === "Append" ? (this.data.get(key) ?? "") : "";
    this.data.set(key, before + Buffer.from(Value).toString());
  }
}
