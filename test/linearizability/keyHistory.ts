/** The operations on one key as the search wants them: numbered by call, in arrays. */
import type { Operation } from "./operation.js";
import { sortBytes } from "./sortedBytes.js";
import type { WriteFacts } from "./writeFacts.js";
import { findWriteFacts } from "./writeFacts.js";

/** Rank of the output of a get that found no key. */
export const noOutput = -1;

const never = 0x7fffffff;

/** The ranks that stand for values in all that follows, and the values. */
export interface Ranked {
  readonly operations: readonly Operation[];
  /** Of each operation: rank of its output among the outputs, of its value among the puts, ... */
  readonly ranks: Int32Array;
  readonly outputs: readonly Buffer[];
  readonly puts: readonly Buffer[];
  readonly appends: readonly Buffer[];
}

export interface Events {
  /** Calls and returns, merged by time, are numbered from 0. What need not happen returns never. */
  readonly calls: Int32Array;
  readonly returns: Int32Array;
  /** The operations that return, in that order. */
  readonly byReturn: Int32Array;
  /**
   * Of each operation a bit: those that return share bits where they don't overlap, so a set of
   * those in flight fits the largest number of them; each other one has its own, in another set.
   */
  readonly bits: Int32Array;
  readonly requiredBits: number;
  readonly optionalBits: number;
}

export interface KeyHistory extends Ranked, Events {
  readonly facts: WriteFacts;
}

/** `operations`: all on one key, valid, in any order. */
export function keyHistory(operations: readonly Operation[]): KeyHistory {
  const happened = operations
    .filter(({ outcome, kind }) => outcome === "ok" || (outcome === "unknown" && kind !== "get"))
    .sort((a, b) => a.callTime - b.callTime);
  const ranked = rankValues(happened);
  const facts = findWriteFacts(ranked);
  return { ...ranked, facts, ...numberEvents(happened, facts.returnTimes) };
}

function rankValues(operations: readonly Operation[]): Ranked {
  const ranks = new Int32Array(operations.length).fill(noOutput);
  const rankKind = (kind: Operation["kind"]): readonly Buffer[] => {
    const found: number[] = [];
    const values: Uint8Array[] = [];
    for (const [op, operation] of operations.entries()) {
      const value = operation.kind === "get" ? operation.output : operation.value;
      if (operation.kind !== kind || value === undefined) continue;
      found.push(op);
      values.push(value);
    }
    const { sorted, ranks: sortedRanks } = sortBytes(values);
    for (const [at, op] of found.entries()) ranks[op] = sortedRanks[at]!;
    return sorted;
  };
  const outputs = rankKind("get");
  return { operations, ranks, outputs, puts: rankKind("put"), appends: rankKind("append") };
}

function numberEvents(operations: readonly Operation[], returnTimes: Float64Array): Events {
  const calls = new Int32Array(operations.length);
  const returns = new Int32Array(operations.length).fill(never);
  const bits = new Int32Array(operations.length);
  const byReturn = [...operations.keys()]
    .filter((op) => returnTimes[op]! < Infinity)
    .sort((a, b) => returnTimes[a]! - returnTimes[b]!);
  const free: number[] = [];
  let requiredBits = 0;
  let optionalBits = 0;
  let event = 0;
  let returned = 0;
  const returnBefore = (time: number): void => {
    for (; returned < byReturn.length; returned++) {
      const op = byReturn[returned]!;
      // At equal times the call comes first: neither operation precedes the other.
      if (returnTimes[op]! >= time) return;
      returns[op] = event++;
      free.push(bits[op]!);
    }
  };
  for (const [op, { callTime }] of operations.entries()) {
    returnBefore(callTime);
    calls[op] = event++;
    bits[op] = returnTimes[op]! < Infinity ? (free.pop() ?? requiredBits++) : optionalBits++;
  }
  returnBefore(Infinity);
  return {
    calls,
    returns,
    byReturn: Int32Array.from(byReturn),
    bits,
    requiredBits,
    optionalBits,
  };
}
