import type {
  Attempt,
  AttemptDone,
  AttemptFailure,
  GetRequest,
  PutAppendRequest,
  Revision,
  ServerNode,
  ServerReply,
  ServerStatus,
} from "../../clerk/serverNode.js";
import { RpcStatus } from "../../rpc/status.js";
import type { VirtualClock } from "./virtualClock.js";

export type FakeMethod = "PutAppend" | "Get" | "OpenSession" | "Status";

/** One request that reached a fake node, to be answered by the test. */
export class FakeRequest implements Attempt {
  readonly method: FakeMethod;
  readonly put: PutAppendRequest | null;
  readonly read: GetRequest | null;
  readonly clientId: string;
  cancelled = false;
  answered = false;
  /** What `Attempt.sent` says while it is under way. */
  sent = true;
  private readonly node: FakeNode;
  private readonly done: (reply: ServerReply | null, failure: AttemptFailure | null) => void;
  private readonly cancelTimer: () => void;

  constructor(
    node: FakeNode,
    method: FakeMethod,
    details: { put?: PutAppendRequest; read?: GetRequest; clientId?: Uint8Array },
    timeoutMs: number,
    done: (reply: ServerReply | null, failure: AttemptFailure | null) => void,
  ) {
    this.node = node;
    this.method = method;
    this.put = details.put ?? null;
    this.read = details.read ?? null;
    const clientId = details.clientId ?? details.put?.ClientId ?? new Uint8Array(0);
    this.clientId = Buffer.from(clientId).toString("hex");
    this.done = done;
    this.cancelTimer = node.clock.setTimer(timeoutMs, () =>
      this.fail(RpcStatus.DEADLINE_EXCEEDED, "no answer in time", this.sent),
    );
  }

  get key(): string {
    return Buffer.from((this.put ?? this.read)?.Key ?? []).toString();
  }

  startCancel(): void {
    this.cancelled = true;
  }

  reply(err: string, hint = 0, value?: string | Uint8Array): void {
    const bytes = typeof value === "string" ? Buffer.from(value) : value;
    const Value = bytes === undefined ? {} : { Value: bytes };
    this.node.revision = this.node.speaks;
    this.end({ Err: Buffer.from(err), LeaderHint: hint, ...Value }, null);
  }

  fail(code: RpcStatus, text = "it broke", sent = true): void {
    this.end(null, { status: code, text, sent });
  }

  private end(reply: ServerReply | null, failure: AttemptFailure | null): void {
    if (this.answered) return;
    this.answered = true;
    this.cancelTimer();
    this.done(reply, failure);
  }
}

/** A node whose every answer the test gives, by hand or by `onRequest`. */
export class FakeNode implements ServerNode {
  readonly address: string;
  readonly clock: VirtualClock;
  /** What it will turn out to speak with its first reply. */
  speaks: Revision = 2;
  revision: Revision = 0;
  refusesSessions = false;
  closed = false;
  readonly requests: FakeRequest[] = [];
  /** Called a moment after each request arrived. */
  onRequest: ((request: FakeRequest) => void) | null = null;

  constructor(clock: VirtualClock, address: string) {
    this.clock = clock;
    this.address = address;
  }

  /** The requests that wait for an answer. */
  get open(): FakeRequest[] {
    return this.requests.filter((request) => !request.answered);
  }

  /** The only request that waits for an answer. */
  get only(): FakeRequest {
    const [request, ...others] = this.open;
    if (request === undefined) throw new Error(`${this.address} has no request`);
    if (others.length > 0) throw new Error(`${this.address} has ${others.length + 1} requests`);
    return request;
  }

  putAppend(put: PutAppendRequest, timeoutMs: number, done: AttemptDone<ServerReply>): Attempt {
    return this.add(new FakeRequest(this, "PutAppend", { put }, timeoutMs, done));
  }

  get(read: GetRequest, timeoutMs: number, done: AttemptDone<ServerReply>): Attempt {
    return this.add(new FakeRequest(this, "Get", { read }, timeoutMs, done));
  }

  openSession(clientId: Uint8Array, timeoutMs: number, done: AttemptDone<ServerReply>): Attempt {
    return this.add(new FakeRequest(this, "OpenSession", { clientId }, timeoutMs, done));
  }

  status(timeoutMs: number, done: AttemptDone<ServerStatus>): Attempt {
    const reply: AttemptDone<ServerReply> = (_reply, failure) => done(null, failure);
    return this.add(new FakeRequest(this, "Status", {}, timeoutMs, reply));
  }

  close(): void {
    this.closed = true;
  }

  private add(request: FakeRequest): FakeRequest {
    this.requests.push(request);
    const { onRequest } = this;
    if (onRequest !== null) this.clock.setTimer(0, () => onRequest(request));
    return request;
  }
}

/** Answers as a leader that has nothing would. */
export function answerAsLeader(request: FakeRequest): void {
  request.reply(request.method === "Get" ? "ErrNoKey" : "OK");
}
