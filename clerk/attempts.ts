import { clerkLimits, rpcLimits, type ClerkOptions } from "../config/options.js";
import { keepBytes } from "../rpc/keepBytes.js";
import { RpcStatus } from "../rpc/status.js";
import { backoffMs } from "./backoff.js";
import type { Call } from "./call.js";
import { CallList } from "./callList.js";
import type { ClerkEnvironment } from "./environment.js";
import type { ClerkErrorCode } from "./errors.js";
import { LeaderTracker } from "./leaderTracker.js";
import { errText, mayHaveExecuted, readVerdict, remedyFor } from "./outcome.js";
import type { Schedule } from "./schedule.js";
import type {
  Attempt,
  AttemptDone,
  AttemptFailure,
  GetRequest,
  ServerNode,
  ServerReply,
} from "./serverNode.js";
import { revision1ClientId, sessionIdBytes } from "./session.js";
import { SilenceWatch, type WatchedAttempts } from "./silenceWatch.js";

/** What becomes of a call when its attempts have come to something. */
export interface AttemptOwner {
  succeed(call: Call, value: Buffer | undefined): void;
  fail(call: Call, code: ClerkErrorCode): void;
  expire(call: Call): void;
  /** Its session is gone, or of no use here, and no attempt of it was executed. */
  startOver(call: Call): void;
  sessionExpired(call: Call): void;
}

/** Calls that wait to learn which revision one node speaks. */
interface Probe {
  readonly waiting: CallList;
  underWay: boolean;
}

const opBytes = { put: Buffer.from("Put"), append: Buffer.from("Append") } as const;
const noBytes = new Uint8Array(0);
const doesNotLead: AttemptFailure = {
  status: RpcStatus.FAILED_PRECONDITION,
  text: "does not lead",
  sent: true,
};
const knowsNoSessions: AttemptFailure = {
  status: RpcStatus.UNIMPLEMENTED,
  text: "speaks revision 1 and might apply the write a second time",
  sent: false,
};
const noAnswer = { status: RpcStatus.UNAVAILABLE, sent: false } as const;
const silentRevision: AttemptFailure = {
  status: RpcStatus.UNAVAILABLE,
  text: "the connection was lost before it told its revision",
  sent: false,
};

/**
 * Takes one call from node to node until one of them settles it.
 *
 *     next -> (probe) -> send -> ended -> succeed, fail, start over
 *      ^------- wait <--- failed, refused
 *
 * A node of revision 1 meets an unknown method with silence, and keeps but the last id of each
 * client. So before a node has shown its revision it gets nothing but Gets.
 */
export class Attempts {
  private readonly nodes: readonly ServerNode[];
  private readonly options: ClerkOptions;
  private readonly environment: ClerkEnvironment;
  private readonly schedule: Schedule;
  private readonly owner: AttemptOwner;
  private readonly leader: LeaderTracker;
  private readonly probes: readonly Probe[];
  private readonly watch: SilenceWatch;
  /** Waiting for any leader to be found. */
  private readonly sleepers = new CallList();
  private readonly readerId = revision1ClientId();
  private readsOfRevision1 = 0;

  constructor(
    nodes: readonly ServerNode[],
    options: ClerkOptions,
    environment: ClerkEnvironment,
    schedule: Schedule,
    owner: AttemptOwner,
  ) {
    this.nodes = nodes;
    this.options = options;
    this.environment = environment;
    this.schedule = schedule;
    this.owner = owner;
    this.leader = new LeaderTracker(nodes.length);
    this.probes = nodes.map(() => ({ waiting: new CallList(), underWay: false }));
    this.watch = this.watchSilence();
  }

  /** Begins the attempts of `call`, or goes on after a wait. */
  next(call: Call): void {
    if (this.environment.now() >= call.deadline) return this.owner.expire(call);
    call.done ??= this.doneOf(call);
    call.node = this.leader.current;
    const node = this.nodes[call.node]!;
    if (node.revision === 0 && this.needsRevision(call)) this.probe(call.node, call);
    else if (node.revision === 1) this.sendToRevision1(node, call);
    else this.send(node, call);
  }

  /** A call that gets no answer must not leave the next ones at the same silent node. */
  expiring(call: Call): void {
    const probing = call.list !== null && call.list === this.probes[call.node]?.waiting;
    if (call.attempt !== null || probing) this.leader.failed(call.node);
  }

  stop(): void {
    this.watch.stop();
  }

  // --- sending

  private doneOf(call: Call): AttemptDone<ServerReply> {
    const done: AttemptDone<ServerReply> = (reply, failure) => {
      // Another one has taken its place: that attempt was given up.
      if (call.done === done) this.ended(call, reply, failure);
    };
    return done;
  }

  private needsRevision(call: Call): boolean {
    return call.operation !== "get" || this.passesRevision1(call);
  }

  private passesRevision1(call: Call): boolean {
    return call.bytes + clerkLimits.requestOverheadBytes > clerkLimits.revision1RequestBytesMax;
  }

  private sendToRevision1(node: ServerNode, call: Call): void {
    if (this.passesRevision1(call)) this.owner.fail(call, "TOO_LARGE");
    else if (call.operation === "open session") this.owner.startOver(call);
    else if (call.session?.marked !== true) this.send(node, call);
    else if (!call.ambiguous) this.owner.startOver(call);
    else this.failed(call, knowsNoSessions);
  }

  private send(node: ServerNode, call: Call): void {
    this.watch.began();
    const left = call.deadline - this.environment.now();
    call.attempt = this.request(node, call, Math.min(this.options.attemptTimeoutMs, left));
  }

  private request(node: ServerNode, call: Call, timeoutMs: number): Attempt {
    const { operation, session } = call;
    const done = call.done!;
    if (operation === "get") return node.get(this.getRequest(node, call.key), timeoutMs, done);
    if (operation === "open session") return node.openSession(call.key, timeoutMs, done);
    const request = {
      Key: call.key,
      Value: call.value,
      Op: opBytes[operation],
      ClientId: session!.clientId,
      RequestId: call.requestId,
      FirstUnfinished: session!.firstUnfinished,
    };
    return node.putAppend(request, timeoutMs, done);
  }

  /** Reads belong to no session; a node of the original tells them apart by client and id, though. */
  private getRequest(node: ServerNode, key: Uint8Array): GetRequest {
    if (node.revision === 2) return { Key: key, ClientId: noBytes, RequestId: 0 };
    return { Key: key, ClientId: this.readerId, RequestId: ++this.readsOfRevision1 };
  }

  /** Asks the node for an empty key: its answer shows its revision, and whether it leads. */
  private probe(id: number, call: Call): void {
    const probe = this.probes[id]!;
    probe.waiting.push(call);
    if (probe.underWay) return;
    probe.underWay = true;
    this.watch.began();
    this.askEmptyKey(id, (reply, failure) => {
      probe.underWay = false;
      if (reply !== null) this.watch.answered();
      this.probed(id, probe.waiting, reply, failure);
    });
  }

  private askEmptyKey(id: number, done: AttemptDone<ServerReply>): void {
    const node = this.nodes[id]!;
    node.get(this.getRequest(node, noBytes), this.options.attemptTimeoutMs, done);
  }

  private probed(
    id: number,
    waiting: CallList,
    reply: ServerReply | null,
    failure: AttemptFailure | null,
  ): void {
    if (failure !== null && remedyFor(failure) === "nextNode") this.leader.failed(id);
    // Those that come back to this node meanwhile wait for the next probe.
    for (let left = waiting.size; left > 0; left--) {
      const call = waiting.shift();
      if (call === null) return;
      call.reached ||= failure?.sent ?? true;
      if (reply === null) this.failed(call, { ...failure!, sent: false });
      else if (readVerdict(reply.Err) === "wrongLeader") this.refused(call, reply.LeaderHint);
      else if (this.nodes[id]!.revision === 0) this.failed(call, silentRevision);
      else this.next(call);
    }
  }

  // --- the outcome

  private ended(call: Call, reply: ServerReply | null, failure: AttemptFailure | null): void {
    if (call.settled) return;
    call.attempt = null;
    const refusesSession =
      call.operation === "open session" && this.nodes[call.node]!.refusesSessions;
    if (refusesSession) return this.owner.startOver(call);
    if (reply === null) return this.failed(call, failure!);
    this.watch.answered();
    call.reached = true;
    switch (readVerdict(reply.Err)) {
      case "ok":
        return this.succeeded(call, call.operation === "get" ? valueOf(reply) : undefined);
      case "noKey":
        return this.succeeded(call, undefined);
      case "wrongLeader":
        // Revision 1 says the same when the write was proposed and not committed in time.
        if (this.nodes[call.node]!.revision !== 2) call.ambiguous = true;
        return this.refused(call, reply.LeaderHint);
      case "sessionExpired":
        return this.owner.sessionExpired(call);
      case "valueTooLarge":
        // The result of this very request, whichever attempt brought it there.
        call.ambiguous = false;
        return this.owner.fail(call, "VALUE_TOO_LARGE");
      case "unknown":
        return this.failed(call, unknownErr(reply.Err));
    }
  }

  // --- a silent leader

  private watchSilence(): SilenceWatch {
    const { leader, nodes } = this;
    const watched: WatchedAttempts = {
      get leader() {
        return leader.current;
      },
      // One of the original answers late by its nature, and a request given up costs its connection.
      isWaiting: () => nodes[leader.current]!.revision !== 1 && this.isWaitingAt(leader.current),
      ask: (id, done) => {
        if (nodes[id]!.revision === 1) done(null);
        else this.askEmptyKey(id, done);
      },
      found: (silent, id) => this.giveUpOn(silent, id),
    };
    const { silenceMs } = this.options;
    return new SilenceWatch(watched, this.environment, nodes.length, silenceMs);
  }

  private isWaitingAt(id: number): boolean {
    if (this.probes[id]!.waiting.size > 0) return true;
    return this.schedule.some((call) => call.node === id && call.attempt !== null);
  }

  private giveUpOn(silent: number, id: number): void {
    this.leader.led(id);
    const text = `gave no answer while ${this.nodes[id]!.address} led`;
    this.probed(silent, this.probes[silent]!.waiting, null, { ...noAnswer, text });
    for (const call of this.schedule.calls()) {
      const { attempt } = call;
      if (attempt === null || call.node !== silent) continue;
      const { sent } = attempt;
      call.done = null;
      call.attempt = null;
      attempt.startCancel();
      this.failed(call, { ...noAnswer, text, sent });
    }
    this.wakeSleepers();
  }

  // --- the outcome

  private succeeded(call: Call, value: Buffer | undefined): void {
    this.leader.led(call.node);
    this.owner.succeed(call, value);
    this.wakeSleepers();
  }

  /** There is a leader again: no reason to sleep on. */
  private wakeSleepers(): void {
    for (let left = this.sleepers.size; left > 0; left--) {
      const call = this.sleepers.shift();
      if (call === null) return;
      this.schedule.awake(call);
      this.next(call);
    }
  }

  private refused(call: Call, hint: number): void {
    this.remember(call, doesNotLead);
    this.leader.refused(call.node, hint);
    this.retry(call);
  }

  private failed(call: Call, failure: AttemptFailure): void {
    this.remember(call, failure);
    if (mayHaveExecuted(failure)) this.becomeAmbiguous(call);
    switch (remedyFor(failure)) {
      case "nextNode":
        this.leader.failed(call.node);
        return this.retry(call);
      case "wait":
        return this.sleep(call);
      case "tooLarge":
        return this.owner.fail(call, "TOO_LARGE");
      case "giveUp":
        return this.owner.fail(call, "REFUSED");
    }
  }

  private becomeAmbiguous(call: Call): void {
    call.ambiguous = true;
    // A late copy of this OpenSession must not bring back, empty, a session that was used and has
    // expired: late copies of that session's writes would be applied again.
    if (call.operation === "open session") call.key = this.environment.randomBytes(sessionIdBytes);
  }

  private remember(call: Call, failure: AttemptFailure): void {
    call.failedNode = call.node;
    call.lastFailure = failure;
    if (failure.sent) call.reached = true;
  }

  private retry(call: Call): void {
    call.failuresInRound++;
    if (call.failuresInRound < this.nodes.length) return this.next(call);
    this.sleep(call);
    this.sleepers.push(call);
  }

  private sleep(call: Call): void {
    const { backoffMsMin, backoffMsMax } = this.options;
    const ms = backoffMs(call.rounds++, backoffMsMin, backoffMsMax, this.environment.random());
    call.failuresInRound = 0;
    this.schedule.wakeAt(call, this.environment.now() + ms);
  }
}

/** A small one is copied into memory that many share: memory of its own would cost more than the rest. */
function valueOf(reply: ServerReply): Buffer {
  const value = reply.Value ?? noBytes;
  if (value.length < rpcLimits.lentBytesMin) return Buffer.from(value);
  const { buffer, byteOffset, length } = keepBytes(value);
  return Buffer.from(buffer, byteOffset, length);
}

function unknownErr(err: Uint8Array): AttemptFailure {
  const text = `answered Err=${JSON.stringify(errText(err))}`;
  return { status: RpcStatus.INTERNAL, text, sent: true };
}
