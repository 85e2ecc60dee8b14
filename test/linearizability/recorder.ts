/** Records what clients do, as they do it. */
import { recorderDefaults } from "./limits.js";
import type { GetOperation, Operation, WriteOperation } from "./operation.js";
import { HistoryError } from "./operation.js";

/** What is known of an operation when it is called. */
export type OperationCall =
  | Pick<WriteOperation, "client" | "kind" | "key" | "value">
  | Pick<GetOperation, "client" | "kind" | "key">;

/** Ends an operation: exactly one of these, once. @throws HistoryError with ENDED. */
export interface OperationHandle {
  /** `output`: what a get returned, `undefined` for a missing key. It is copied. */
  ok(output?: Uint8Array): void;
  /** It did not happen, and certainly never will. */
  failed(): void;
  /** It may have happened, and may happen yet. */
  unknown(): void;
}

export interface RecorderOptions {
  /** Never goes backwards; its unit is the history's. The default is common to all processes. */
  readonly now?: () => number;
  readonly operationsMax?: number;
}

interface Recorded {
  readonly call: OperationCall;
  readonly callTime: number;
  end: Pick<Operation, "outcome" | "returnTime"> | null;
  output: Uint8Array | undefined;
}

export class HistoryRecorder {
  private readonly now: () => number;
  private readonly operationsMax: number;
  private readonly recorded: Recorded[] = [];
  private lastTime = -Infinity;

  constructor({ now = machineMicros, operationsMax }: RecorderOptions = {}) {
    this.now = now;
    this.operationsMax = operationsMax ?? recorderDefaults.operationsMax;
  }

  /**
   * To be called before the request leaves. Key and value are copied.
   * @throws HistoryError with FULL.
   */
  begin(call: OperationCall): OperationHandle {
    if (this.recorded.length >= this.operationsMax) {
      throw new HistoryError("FULL", `${this.operationsMax} operations`);
    }
    const own = copyCall(call);
    const operation: Recorded = { call: own, callTime: this.time(), end: null, output: undefined };
    this.recorded.push(operation);
    return {
      ok: (output) => {
        this.end(operation, "ok");
        operation.output = output && Uint8Array.from(output);
      },
      failed: () => this.end(operation, "failed"),
      unknown: () => this.end(operation, "unknown"),
    };
  }

  /** All of them by call time; those that have not ended are unknown. */
  operations(): Operation[] {
    return this.recorded.map(({ call, callTime, end, output }) => {
      const times = { callTime, ...(end ?? { outcome: "unknown" as const, returnTime: Infinity }) };
      return call.kind === "get" ? { ...call, ...times, output } : { ...call, ...times };
    });
  }

  private end(operation: Recorded, outcome: Operation["outcome"]): void {
    const { call, end } = operation;
    if (end) throw new HistoryError("ENDED", `${call.kind} by ${call.client}, ${end.outcome}`);
    const returnTime = outcome === "unknown" ? Infinity : this.time();
    operation.end = { outcome, returnTime };
  }

  /**
   * Later than every time before it: in one process the order of calls and returns is known even
   * where the clock stands still, as a simulation's does.
   */
  private time(): number {
    this.lastTime = Math.max(this.now(), nextAfter(this.lastTime));
    return this.lastTime;
  }
}

/** Microseconds of the machine's monotonic clock, which all its processes share (on Linux). */
export function machineMicros(): number {
  return Number(process.hrtime.bigint()) / 1000;
}

function copyCall(call: OperationCall): OperationCall {
  const key = Uint8Array.from(call.key);
  if (call.kind === "get") return { client: call.client, kind: call.kind, key };
  return { client: call.client, kind: call.kind, key, value: Uint8Array.from(call.value) };
}

const float = new Float64Array(1);
const bits = new BigInt64Array(float.buffer);

/** The least double above `time`. */
function nextAfter(time: number): number {
  if (time === -Infinity) return time;
  if (time === 0) return Number.MIN_VALUE;
  float[0] = time;
  bits[0] = bits[0]! + (time > 0 ? 1n : -1n);
  return float[0];
}
