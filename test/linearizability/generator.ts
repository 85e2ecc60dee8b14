/** Histories of a store that works: every operation takes effect at one moment while it runs. */
import type { Operation, Outcome } from "./operation.js";

export interface HistoryShape {
  readonly seed: number;
  readonly operations: number;
  readonly clients: number;
  readonly keys: number;
  /** How often each kind occurs, relative to the others. */
  readonly weights: { readonly put: number; readonly append: number; readonly get: number };
  /** Share of operations whose outcome the client never learns; half of those happen, late. */
  readonly unknownShare: number;
  /** What the write number `index` writes. */
  readonly value: (index: number, random: () => number) => string;
}

/** No two writes write the same. */
export const distinctValue = (index: number): string => `${index};`;

interface Draft {
  readonly client: number;
  readonly key: number;
  readonly kind: Operation["kind"];
  readonly value: string;
  readonly callTime: number;
  readonly returnTime: number;
  readonly outcome: Outcome;
  /** Infinity: never. */
  readonly effectTime: number;
}

/** A linearizable history. */
export function generateHistory(shape: HistoryShape): Operation[] {
  const random = randomFrom(shape.seed);
  const clientTimes = Array.from({ length: shape.clients }, () => random());
  const drafts = Array.from({ length: shape.operations }, (_, index) => {
    const client = Math.floor(random() * shape.clients);
    const draft = draftOperation(shape, index, client, clientTimes[client]!, random);
    // Most clients go on at once, so that as many operations as clients are in flight.
    const pause = random() < 0.2 ? random() * 3 : random() * 0.1;
    clientTimes[client] = draft.callTime + (draft.returnTime - draft.callTime || 1) + pause;
    return draft;
  });
  return execute(drafts);
}

function draftOperation(
  shape: HistoryShape,
  index: number,
  client: number,
  callTime: number,
  random: () => number,
): Draft {
  const { weights } = shape;
  const kindAt = random() * (weights.put + weights.append + weights.get);
  const kind =
    kindAt < weights.put ? "put" : kindAt < weights.put + weights.append ? "append" : "get";
  const key = Math.floor(random() * shape.keys);
  const value = shape.value(index, random);
  const returnTime = callTime + 0.5 + random();
  const isUnknown = random() < shape.unknownShare;
  const lateEffect = random() < 0.5 ? callTime + random() * 10 : Infinity;
  const effectTime = isUnknown ? lateEffect : callTime + random() * (returnTime - callTime);
  const outcome = isUnknown ? "unknown" : "ok";
  return { client, key, kind, value, callTime, returnTime, outcome, effectTime };
}

function execute(drafts: readonly Draft[]): Operation[] {
  const store = new Map<number, Uint8Array>();
  const effects = [...drafts].sort((a, b) => (a.effectTime < b.effectTime ? -1 : 1));
  return effects.map((draft) => {
    const { client, key, kind, outcome, callTime, effectTime } = draft;
    const old = store.get(key);
    const value = Buffer.from(draft.value);
    const common = {
      client: `client ${client}`,
      key: Buffer.from(`key ${key}`),
      outcome,
      callTime,
      returnTime: outcome === "unknown" ? Infinity : draft.returnTime,
    };
    if (kind === "get") return { ...common, kind, output: old };
    if (effectTime !== Infinity) {
      store.set(key, kind === "append" && old ? Buffer.concat([old, value]) : value);
    }
    return { ...common, kind, value };
  });
}

/** Uniform in [0, 1): xorshift32. */
export function randomFrom(seed: number): () => number {
  let state = (Math.imul(seed, 0x9e3779b1) ^ 0x5bd1e995) | 0 || 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 0x1_0000_0000;
  };
}
