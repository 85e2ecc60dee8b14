import { rpcDefaults, type RpcOptions } from "../config/options.js";
import { streamCreditMax } from "./frameHeaders.js";

interface Range {
  readonly min: number;
  readonly max: number;
  readonly whole: boolean;
}

const bytes: Range = { min: 1, max: 0xffff_ffff, whole: true };
const count: Range = { min: 1, max: 1_000_000, whole: true };
/** What Node's timers can hold: one set for longer would fire at once. */
const waitMs: Range = { min: 1, max: 2 ** 31 - 1, whole: false };
const waitMsOrNever: Range = { ...waitMs, min: 0 };

/** Typed by the options, so that one without a range does not compile. */
const ranges: Readonly<Record<keyof RpcOptions, Range>> = {
  headerBytesMax: bytes,
  requestBytesMax: bytes,
  replyBytesMax: bytes,
  connectionsMax: count,
  callsInFlightMax: count,
  callsInFlightTotalMax: count,
  callsQueuedMax: { ...count, min: 0 },
  outputBytesMax: bytes,
  streamsMax: { ...count, min: 0 },
  streamWindowBytes: { ...bytes, max: streamCreditMax },
  frameTimeoutMs: waitMs,
  slowReaderTimeoutMs: waitMs,
  connectTimeoutMs: waitMs,
  tlsHandshakeTimeoutMs: waitMs,
  callTimeoutMs: { ...waitMs, max: Infinity },
  keepaliveMs: waitMsOrNever,
  keepaliveTimeoutMs: waitMs,
  idleTimeoutMs: waitMsOrNever,
  callerIdleTimeoutMs: waitMsOrNever,
  revision1IdleTimeoutMs: waitMsOrNever,
  halfClosedTimeoutMs: waitMs,
  firstRequestTimeoutMs: waitMsOrNever,
  backoffMsMin: waitMs,
  backoffMsMax: waitMs,
};

/**
 * The defaults with what is given over them; `undefined` gives nothing. A limit that is NaN would
 * hold for nothing, and a wait beyond Node's timers would be none: neither gets further than here.
 * @throws RangeError that names the option, and what it may be.
 */
export function rpcOptionsOf(given: Partial<RpcOptions>): RpcOptions {
  const options: Record<keyof RpcOptions, number> = { ...rpcDefaults };
  for (const name of Object.keys(rpcDefaults) as (keyof RpcOptions)[]) {
    const value = given[name];
    if (value !== undefined) options[name] = checked(name, value);
  }
  const { backoffMsMin, backoffMsMax } = options;
  if (backoffMsMin > backoffMsMax) {
    throw new RangeError(
      `backoffMsMin (${backoffMsMin}) is more than backoffMsMax (${backoffMsMax})`,
    );
  }
  return options;
}

function checked(name: keyof RpcOptions, value: number): number {
  const { min, max, whole } = ranges[name];
  const fits = typeof value === "number" && value >= min && value <= max;
  if (fits && (!whole || Number.isInteger(value))) return value;
  const kind = whole ? "a whole number" : "a number";
  throw new RangeError(`${name} is ${String(value)}; it must be ${kind} from ${min} to ${max}`);
}
