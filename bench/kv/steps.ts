import { randomBytes } from "node:crypto";
import { encodeOp } from "../../kvserver/opCodec.js";
import { KvStateMachine } from "../../kvserver/stateMachine.js";
import { keyOf, strideOf } from "./keys.js";

/** What the state machine alone needs for one step, in us. */
export interface StepTimes {
  readonly put: number;
  readonly newKey: number;
  readonly get: number;
}

const clientId = randomBytes(16);
/** Commands made ahead, so that making them is not measured. */
const batch = 10_000;
/** Enough steps of each kind for the compiler, and for a mean. */
const batches = 30;
const empty = new Uint8Array(0);

/** Puts in a session of its own, numbered as a Clerk does. */
class Steps {
  private readonly machine = new KvStateMachine();
  private readonly value: Uint8Array;
  private requestId = 0;

  constructor(value: Uint8Array) {
    this.value = value;
    const open = { operation: "OpenSession", key: empty, value: empty, clientId } as const;
    this.machine.apply(encodeOp({ ...open, requestId: 0, ...this.marks() }, "compact"), 1);
  }

  /** Applies a put of each key; returns ms. */
  put(keys: readonly Uint8Array[]): number {
    const commands = keys.map((key) => this.command(key));
    const startedAt = performance.now();
    for (const command of commands) this.machine.apply(command, 1);
    return performance.now() - startedAt;
  }

  get(keys: readonly Uint8Array[]): number {
    const startedAt = performance.now();
    for (const key of keys) this.machine.data.peek(key);
    return performance.now() - startedAt;
  }

  private command(key: Uint8Array): Uint8Array {
    const requestId = ++this.requestId;
    const { value } = this;
    const op = { operation: "Put", key, value, clientId, requestId, ...this.marks() } as const;
    return encodeOp(op, "compact");
  }

  private marks(): { firstUnfinished: number; logTimeMs: number } {
    return { firstUnfinished: Math.max(1, this.requestId), logTimeMs: Date.now() };
  }
}

/** Means over keys in an order without locality, in a state of `keys` of them. */
export function stepTimes(keys: number, value: Uint8Array): StepTimes {
  const steps = new Steps(value);
  const stride = strideOf(keys);
  // Every second number: those between are the new keys.
  const some = (from: number, count: number, shift = 0): Uint8Array[] =>
    Array.from({ length: count }, (_, i) =>
      Buffer.from(keyOf(2 * (((from + i) * stride) % keys) + shift)),
    );
  for (let n = 0; n < keys; n += batch) steps.put(some(n, Math.min(batch, keys - n)));
  const sum = { put: 0, get: 0 };
  for (let i = 0; i < batches; i++) {
    sum.put += steps.put(some(i * batch, batch));
    sum.get += steps.get(some(i * batch, batch));
  }
  const added = Math.min(keys, batch);
  const newKey = steps.put(some(0, added, 1)) / added;
  const all = batch * batches;
  return { put: (sum.put / all) * 1000, newKey: newKey * 1000, get: (sum.get / all) * 1000 };
}
