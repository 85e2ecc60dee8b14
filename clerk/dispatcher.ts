import type { ClerkOptions } from "../config/options.js";
import { Attempts } from "./attempts.js";
import { backoffMs } from "./backoff.js";
import type { Call } from "./call.js";
import { callError } from "./callError.js";
import { CallQueue } from "./callQueue.js";
import type { ClerkEnvironment } from "./environment.js";
import { ClerkError, type ClerkErrorCode } from "./errors.js";
import { Schedule } from "./schedule.js";
import type { ServerNode } from "./serverNode.js";
import { WriteSessions } from "./writeSessions.js";

/**
 * The life of calls: admits them, starts them in order as far as window and session allow, and
 * settles each exactly once. What happens between start and end is for `Attempts`.
 */
export class Dispatcher {
  private readonly nodes: readonly ServerNode[];
  private readonly options: ClerkOptions;
  private readonly environment: ClerkEnvironment;
  private readonly queue = new CallQueue();
  private readonly schedule: Schedule;
  private readonly attempts: Attempts;
  private readonly sessions: WriteSessions;
  private inFlight = 0;
  private submitted = 0;
  private pumping = false;
  private closed = false;

  constructor(nodes: readonly ServerNode[], options: ClerkOptions, environment: ClerkEnvironment) {
    this.nodes = nodes;
    this.options = options;
    this.environment = environment;
    this.schedule = new Schedule(environment, (call, now) => this.due(call, now));
    this.attempts = new Attempts(nodes, options, environment, this.schedule, {
      succeed: (call, value) => this.succeed(call, value),
      fail: (call, code) => this.fail(call, code),
      expire: (call) => this.expire(call),
      startOver: (call) => this.startOver(call),
      sessionExpired: (call) => this.sessionExpired(call),
    });
    this.sessions = new WriteSessions(nodes, environment, {
      open: (call, expiries) => this.openSession(call, expiries),
      opened: () => this.pump(),
      refused: (error) => this.failWaitingWrites(error),
    });
  }

  submit(call: Call): void {
    if (this.closed) return call.settle.reject(this.error("CLOSED", call));
    if (call.signal?.aborted === true) {
      return call.settle.reject(this.error("CANCELLED", call, call.signal.reason));
    }
    call.sequence = this.submitted++;
    this.schedule.add(call);
    this.queue.add(call);
    this.listen(call);
    this.pump();
    if (this.queue.size > this.options.callsQueuedMax && !call.settled && !call.inFlight) {
      this.fail(call, "QUEUE_FULL");
    }
  }

  /** Rejects every call that is not settled, and all later ones. */
  close(): void {
    this.closed = true;
    for (let call = this.schedule.first; call !== undefined; call = this.schedule.first) {
      this.fail(call, "CLOSED");
    }
    this.schedule.stop();
    this.attempts.stop();
  }

  // --- starting

  private pump(): void {
    // A call that fails as it starts comes back here: the loop below goes on for it.
    if (this.pumping || this.closed) return;
    this.pumping = true;
    while (this.inFlight < this.options.callsInFlightMax) {
      const call = this.takeNext();
      if (call === null) break;
      this.start(call);
    }
    this.pumping = false;
  }

  private takeNext(): Call | null {
    const { firstRead, firstWrite } = this.queue;
    const readIsOlder = firstRead !== null && firstRead.sequence < (firstWrite?.sequence ?? 0);
    if (firstWrite === null || readIsOlder) return this.queue.takeRead();
    // Reads need no session, and go past the writes that wait for one.
    return this.sessions.withRoom() === null ? this.queue.takeRead() : this.queue.takeWrite();
  }

  private start(call: Call): void {
    this.inFlight++;
    call.inFlight = true;
    if (call.isWrite) {
      call.session = this.sessions.withRoom()!;
      call.requestId = call.session.begin();
    }
    this.attempts.next(call);
  }

  private openSession(call: Call, expiries: number): void {
    this.schedule.add(call);
    if (expiries < 2) return this.attempts.next(call);
    const { backoffMsMin, backoffMsMax } = this.options;
    const ms = backoffMs(expiries, backoffMsMin, backoffMsMax, this.environment.random());
    this.schedule.wakeAt(call, this.environment.now() + ms);
  }

  private due(call: Call, now: number): void {
    if (now >= call.deadline) return this.expire(call);
    call.list?.remove(call);
    this.schedule.awake(call);
    if (call.operation === "open session" && this.queue.firstWrite === null) this.drop(call);
    else this.attempts.next(call);
  }

  // --- ending

  private succeed(call: Call, value: Buffer | undefined): void {
    if (call.isWrite) this.sessions.succeeded();
    this.leave(call);
    call.settle.resolve(value);
    this.pump();
  }

  private fail(call: Call, code: ClerkErrorCode, cause?: unknown): void {
    const error = this.error(code, call, cause);
    call.attempt?.startCancel();
    this.leave(call);
    call.settle.reject(error);
    this.pump();
  }

  private expire(call: Call): void {
    const diagnosis = this.diagnosis(call);
    this.attempts.expiring(diagnosis);
    const reached = diagnosis.reached || diagnosis.attempt?.sent === true;
    const tried = diagnosis.lastFailure !== null;
    this.fail(call, tried && !reached ? "UNREACHABLE" : "TIMEOUT");
  }

  /** Back to the queue, as if it had not been started. */
  private startOver(call: Call): void {
    if (call.operation === "open session") {
      this.drop(call);
    } else {
      this.releaseId(call);
      this.releaseSlot(call);
      this.queue.putBack(call);
    }
    this.pump();
  }

  private sessionExpired(call: Call): void {
    if (call.session === null) return this.fail(call, "REFUSED");
    this.sessions.expired(call.session);
    // The old session's memory of an earlier attempt is gone: a repetition could be a second one.
    if (call.ambiguous) this.fail(call, "SESSION_EXPIRED");
    else this.startOver(call);
  }

  /** Ends an OpenSession that nobody waits for. */
  private drop(call: Call): void {
    this.leave(call);
    this.sessions.dropped();
  }

  private failWaitingWrites(error: Error): void {
    if (!(error instanceof ClerkError) || error.code !== "REFUSED") return;
    for (let left = this.queue.size; left > 0; left--) {
      const call = this.queue.firstWrite;
      if (call === null) return;
      this.fail(call, "REFUSED", error);
    }
  }

  private leave(call: Call): void {
    call.settled = true;
    call.attempt = null;
    call.list?.remove(call);
    this.schedule.remove(call);
    this.releaseId(call);
    this.releaseSlot(call);
    if (call.onAbort !== null) call.signal?.removeEventListener("abort", call.onAbort);
  }

  private releaseId(call: Call): void {
    call.session?.finish(call.requestId);
    call.session = null;
  }

  private releaseSlot(call: Call): void {
    if (call.inFlight) this.inFlight--;
    call.inFlight = false;
  }

  // --- helpers

  private listen(call: Call): void {
    if (call.signal === undefined) return;
    const { signal } = call;
    call.onAbort = () => this.fail(call, "CANCELLED", signal.reason);
    signal.addEventListener("abort", call.onAbort, { once: true });
  }

  private diagnosis(call: Call): Call {
    const { opening } = this.sessions;
    return call.isWrite && call.lastFailure === null && opening !== null ? opening : call;
  }

  private error(code: ClerkErrorCode, call: Call, cause?: unknown): ClerkError {
    return callError(code, call, this.diagnosis(call), this.nodes, cause);
  }
}
