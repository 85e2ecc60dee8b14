/**
 * Which values each setting takes. The tables are typed by the options' interfaces, so that an
 * option without a rule does not compile.
 */
import type { KvOptions, RaftOptions, RpcOptions, StorageOptions } from "./options.js";

export interface Rule<T> {
  /** For "must be ...". */
  readonly expected: string;
  /** Null: not such a value. */
  parse(text: string): T | null;
}

type Rules<T> = { readonly [Key in keyof T]: Rule<T[Key]> };

const KiB = 1024;
const MiB = 1024 * KiB;
const hourMs = 3_600_000;

function integer(min: number, max: number): Rule<number> {
  return {
    expected: `an integer from ${min} to ${max}`,
    parse(text) {
      const value = /^-?[0-9]{1,15}$/.test(text) ? Number(text) : Number.NaN;
      return value >= min && value <= max ? value : null;
    },
  };
}

function oneOf<T extends string>(...values: readonly T[]): Rule<T> {
  return {
    expected: values.map((value) => `"${value}"`).join(" or "),
    parse: (text) => values.find((value) => value === text) ?? null,
  };
}

/** -1 for "never", or a number of bytes. */
const snapshotLogBytes: Rule<number> = {
  expected: `-1 or ${integer(1, 1024 * 1024 * MiB).expected}`,
  parse: (text) => (text === "-1" ? -1 : integer(1, 1024 * 1024 * MiB).parse(text)),
};

const bytes = integer(1 * KiB, 1024 * MiB);
const count = integer(1, 1_000_000);
const waitMs = integer(1, hourMs);
const waitMsOrNever = integer(0, 24 * hourMs);

export const rpcRules: Rules<RpcOptions> = {
  headerBytesMax: integer(256, 1 * MiB),
  requestBytesMax: bytes,
  replyBytesMax: bytes,
  connectionsMax: count,
  callsInFlightMax: count,
  callsInFlightTotalMax: count,
  callsQueuedMax: count,
  outputBytesMax: bytes,
  streamsMax: count,
  streamWindowBytes: bytes,
  frameTimeoutMs: waitMs,
  slowReaderTimeoutMs: waitMs,
  connectTimeoutMs: waitMs,
  tlsHandshakeTimeoutMs: waitMs,
  callTimeoutMs: waitMs,
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

export const raftRules: Rules<RaftOptions> = {
  heartbeatMs: integer(1, 60_000),
  electionTimeoutMsMin: integer(2, 600_000),
  electionTimeoutMsMax: integer(3, 600_000),
  appendEntriesMax: count,
  appendBytesMax: bytes,
  inflightMax: integer(1, 65_536),
  inflightBytesMax: bytes,
  uncommittedBytesMax: bytes,
  readMode: oneOf("readIndex", "lease"),
  leaseClockDriftPpmMax: integer(0, 1_000_000),
  peerCallTimeoutMs: waitMs,
  snapshotChunkBytes: bytes,
  snapshotChunkTimeoutMs: waitMs,
  snapshotInstallTimeoutMs: waitMs,
  snapshotReceiveTimeoutMs: waitMs,
  originalStartMs: waitMs,
  originalStartMsPerNode: integer(0, 600_000),
  applyEntriesMax: count,
  applyBytesMax: bytes,
};

export const storageRules: Rules<StorageOptions> = {
  segmentBytes: integer(64 * KiB, 1024 * MiB),
  recordBytesMax: bytes,
  diskReserveBytes: integer(0, 1024 * 1024 * MiB),
};

export const kvRules: Rules<KvOptions> = {
  snapshotLogBytes,
  snapshotLogBytesMax: integer(1, 1024 * 1024 * MiB),
  trailingEntries: integer(0, 100_000_000),
  consensusTimeoutMs: waitMs,
  revision1ReplyBytesMax: integer(64, 64 * MiB),
  keyBytesMax: integer(1, 4 * MiB),
  commandCodec: oneOf("compact", "boost"),
};
