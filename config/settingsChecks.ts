/** What must hold between settings, whichever of them were set and wherever. */
import { ConfigError } from "./configError.js";
import {
  originalNodes,
  type KvOptions,
  type RaftOptions,
  type RpcOptions,
  type StorageOptions,
} from "./options.js";

/** Where a setting was given, or null for a default. */
export type Sources = (key: string) => { readonly source: string; readonly line: number } | null;

/** An AppendEntries, a snapshot chunk or a log record holds this much beside its payload. */
const overheadBytes = 512;

/** @throws ConfigError at the first of the settings involved that is no default. */
export function checkTogether(
  rpc: RpcOptions,
  raft: RaftOptions,
  storage: StorageOptions,
  kv: KvOptions,
  sources: Sources,
): void {
  const require = (holds: boolean, keys: readonly string[], problem: string): void => {
    if (holds) return;
    const at = keys.map(sources).find((source) => source !== null);
    throw new ConfigError(at?.source ?? "settings", at?.line ?? 0, problem);
  };
  checkTimes(rpc, raft, require);
  checkSizes(rpc, raft, storage, kv, require);
  if (kv.commandCodec === "boost") checkMixed(raft, require);
}

type Require = (holds: boolean, keys: readonly string[], problem: string) => void;

function checkTimes(rpc: RpcOptions, raft: RaftOptions, require: Require): void {
  const { heartbeatMs, electionTimeoutMsMin, electionTimeoutMsMax } = raft;
  // One lost heartbeat must not start an election (Raft §5.6).
  require(electionTimeoutMsMin > 2 * heartbeatMs, [
    "electionTimeoutMsMin",
    "heartbeatMs",
  ], `electionTimeoutMsMin (${electionTimeoutMsMin}) must be more than twice heartbeatMs (${heartbeatMs})`);
  // Without a spread all candidates stand at once, for ever (Raft §5.2).
  require(electionTimeoutMsMax > electionTimeoutMsMin, [
    "electionTimeoutMsMax",
    "electionTimeoutMsMin",
  ], `electionTimeoutMsMax (${electionTimeoutMsMax}) must be more than electionTimeoutMsMin (${electionTimeoutMsMin})`);
  require(rpc.backoffMsMax >= rpc.backoffMsMin, [
    "backoffMsMax",
    "backoffMsMin",
  ], `backoffMsMax (${rpc.backoffMsMax}) must be at least backoffMsMin (${rpc.backoffMsMin})`);
}

/** Beside nodes of the original. */
function checkMixed({ heartbeatMs, readMode }: RaftOptions, require: Require): void {
  const { heartbeatMsMax } = originalNodes;
  require(heartbeatMs <= heartbeatMsMax, [
    "heartbeatMs",
    "commandCodec",
  ], `heartbeatMs (${heartbeatMs}) must be at most ${heartbeatMsMax} with commandCodec=boost`);
  require(readMode === "readIndex", [
    "readMode",
    "commandCodec",
  ], `readMode must be readIndex with commandCodec=boost: nodes of the original uphold no lease`);
}

function checkSizes(
  rpc: RpcOptions,
  raft: RaftOptions,
  storage: StorageOptions,
  kv: KvOptions,
  require: Require,
): void {
  const fits = (inner: string, innerBytes: number, outer: string, outerBytes: number): void =>
    require(outerBytes >= innerBytes + overheadBytes, [
      inner,
      outer,
    ], `${inner} (${innerBytes}) must be at least ${overheadBytes} bytes less than ${outer} (${outerBytes})`);
  fits("appendBytesMax", raft.appendBytesMax, "requestBytesMax", rpc.requestBytesMax);
  fits("snapshotChunkBytes", raft.snapshotChunkBytes, "requestBytesMax", rpc.requestBytesMax);
  fits("keyBytesMax", kv.keyBytesMax, "requestBytesMax", rpc.requestBytesMax);
  fits("requestBytesMax", rpc.requestBytesMax, "recordBytesMax", storage.recordBytesMax);
  const { segmentBytes, diskReserveBytes } = storage;
  // The next segment is made while the current one is filled: both must come from the reserve.
  require(diskReserveBytes === 0 || diskReserveBytes >= 2 * segmentBytes, [
    "diskReserveBytes",
    "segmentBytes",
  ], `diskReserveBytes (${diskReserveBytes}) must be 0 or at least twice segmentBytes (${segmentBytes})`);
}
