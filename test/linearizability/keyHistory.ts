/** The operations on one key as the search wants them: numbered, in arrays, values interned. */
import { ByteStrings } from "./byteStrings.js";
import type { Operation } from "./operation.js";

/** The state of a key that was never written; other states are ids in `ByteStrings`. */
export const missing = -1;

const never = 0x7fffffff;

export interface KeyHistory {
  /** By call time; those that did not happen, and gets without an answer, are left out. */
  readonly operations: readonly Operation[];
  readonly strings: ByteStrings;
  /** Of each operation: the interned value or output, or `missing`. */
  readonly values: Int32Array;
  /** Calls and returns, merged by time, are numbered from 0; the return of an unknown is `never`. */
  readonly calls: Int32Array;
  readonly returns: Int32Array;
  /** The answered operations by return. */
  readonly byReturn: Int32Array;
  /**
   * A bit for each operation: answered ones share bits where they don't overlap, so a set of
   * those in flight fits the largest number of them; each unknown one has its own, in another set.
   */
  readonly bits: Int32Array;
  readonly answeredBits: number;
  readonly unknownBits: number;
}

/** `operations`: all on one key, valid. */
export function keyHistory(operations: readonly Operation[]): KeyHistory {
  const happened = operations
    .filter(({ outcome, kind }) => outcome === "ok" || (outcome === "unknown" && kind !== "get"))
    .sort((a, b) => a.callTime - b.callTime);
  const strings = new ByteStrings();
  const values = Int32Array.from(happened, (operation) => {
    const bytes = operation.kind === "get" ? operation.output : operation.value;
    return bytes === undefined ? missing : strings.intern(bytes);
  });
  return { operations: happened, strings, values, ...numberEvents(happened) };
}

type Events = Omit<KeyHistory, "operations" | "strings" | "values">;

function numberEvents(operations: readonly Operation[]): Events {
  const calls = new Int32Array(operations.length);
  const returns = new Int32Array(operations.length).fill(never);
  const bits = new Int32Array(operations.length);
  const byReturn = [...operations.keys()]
    .filter((op) => operations[op]!.outcome === "ok")
    .sort((a, b) => operations[a]!.returnTime - operations[b]!.returnTime);
  const free: number[] = [];
  let answeredBits = 0;
  let unknownBits = 0;
  let event = 0;
  let returned = 0;
  const returnBefore = (time: number): void => {
    for (; returned < byReturn.length; returned++) {
      const op = byReturn[returned]!;
      // At equal times the call comes first: neither operation precedes the other.
      if (operations[op]!.returnTime >= time) return;
      returns[op] = event++;
      free.push(bits[op]!);
    }
  };
  for (const [op, { callTime, outcome }] of operations.entries()) {
    returnBefore(callTime);
    calls[op] = event++;
    bits[op] = outcome === "ok" ? (free.pop() ?? answeredBits++) : unknownBits++;
  }
  returnBefore(Infinity);
  return { calls, returns, byReturn: Int32Array.from(byReturn), bits, answeredBits, unknownBits };
}

/** Writes that are the same to every other operation, numbered; and the gets' first values. */
export interface WriteClasses {
  /** Of each operation: its class, or -1 for a get. Puts of one value are a class, and appends. */
  readonly classes: Int32Array;
  readonly count: number;
  /** Of each output: the classes of puts whose value it begins with. */
  readonly basesOf: ReadonlyMap<number, readonly number[]>;
}

export function writeClasses({ operations, strings, values }: KeyHistory): WriteClasses {
  const puts = new Map<number, number>();
  const appends = new Map<number, number>();
  let count = 0;
  const classes = Int32Array.from(operations, ({ kind }, op) => {
    if (kind === "get") return -1;
    const known = kind === "put" ? puts : appends;
    const value = values[op]!;
    if (!known.has(value)) known.set(value, count++);
    return known.get(value)!;
  });
  const lengths = [...new Set([...puts.keys()].map((value) => strings.lengthOf(value)))];
  lengths.sort((a, b) => a - b);
  const basesOf = new Map<number, readonly number[]>();
  for (const [op, { kind }] of operations.entries()) {
    const output = values[op]!;
    if (kind !== "get" || output === missing || basesOf.has(output)) continue;
    const bases = strings.prefixesOf(output, lengths).map((value) => puts.get(value));
    basesOf.set(
      output,
      bases.filter((base) => base !== undefined),
    );
  }
  return { classes, count, basesOf };
}
