import type { OfferedMethod } from "./methodTable.js";
import type { MprpcController } from "./mprpcController.js";
import type { StreamSender } from "./streamSender.js";

/** What a call needs of the connection that it came from. */
export interface ServerCallOwner {
  /** The handler is done with the call, and `response` is what it said. */
  onDone(call: ServerCall, response: unknown): void;
}

/** Names no call of any caller, so that no cancel finds it. */
export const oneWayId = -1;

/** One call in a provider, from the arrival of its request until its handler is done with it. */
export class ServerCall {
  readonly offered: OfferedMethod;
  /** 0 for a call of revision 1, `oneWayId` for one that nobody waits for. */
  readonly callId: number;
  readonly controller: MprpcController;
  /** Its neighbours in the list of the connection's running calls. */
  previous: ServerCall | null = null;
  next: ServerCall | null = null;
  /** The caller has its answer, or wants none any more. */
  answered = false;
  /** What only a streaming call has. */
  stream: StreamSender | null = null;
  #owner: ServerCallOwner | null;

  constructor(
    owner: ServerCallOwner,
    offered: OfferedMethod,
    callId: number,
    controller: MprpcController,
  ) {
    this.#owner = owner;
    this.offered = offered;
    this.callId = callId;
    this.controller = controller;
  }

  /** What the handler calls when it has finished. Only the first time counts. */
  readonly done = (response: unknown): void => {
    const owner = this.#owner;
    this.#owner = null;
    owner?.onDone(this, response);
  };
}

/** The calls in flight in a whole provider. */
export class CallLoad {
  calls = 0;
  readonly callsMax: number;

  constructor(callsMax: number) {
    this.callsMax = callsMax;
  }

  get full(): boolean {
    return this.calls >= this.callsMax;
  }
}

/** The running calls of one connection: a list in the order of their arrival. */
export class ServerCalls {
  #first: ServerCall | null = null;
  #last: ServerCall | null = null;
  #count = 0;
  #begun = 0;

  get count(): number {
    return this.#count;
  }

  /** How many were ever added. */
  get begun(): number {
    return this.#begun;
  }

  add(call: ServerCall): void {
    call.previous = this.#last;
    if (this.#last === null) this.#first = call;
    else this.#last.next = call;
    this.#last = call;
    this.#count++;
    this.#begun++;
  }

  remove(call: ServerCall): void {
    if (call.previous === null) this.#first = call.next;
    else call.previous.next = call.next;
    if (call.next === null) this.#last = call.previous;
    else call.next.previous = call.previous;
    this.#count--;
  }

  /** The running call `callId`, or null. Only cancels ask, so that a search will do. */
  find(callId: number): ServerCall | null {
    let call = this.#first;
    while (call !== null && call.callId !== callId) call = call.next;
    return call;
  }

  /** Calls `visit` with each; it may end the call that it is given. */
  forEach(visit: (call: ServerCall) => void): void {
    let call = this.#first;
    while (call !== null) {
      const { next } = call;
      visit(call);
      call = next;
    }
  }
}
