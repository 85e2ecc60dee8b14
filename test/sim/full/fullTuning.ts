import type { KvOptions, RaftOptions } from "../../../config/options.js";
import { faultKinds, type FaultTuning } from "./faults.js";
import type { NetworkTuning } from "../network.js";
import type { Prng } from "../prng.js";

export interface DiskTuning {
  readonly syncMsMin: number;
  readonly syncMsMax: number;
  /** That a batch is written and synced in one go, as the real policy does while disks are fast. */
  readonly waitChance: number;
  /** Of one write or sync. */
  readonly failureChance: number;
  /** That a crash keeps a sector, or a change of a name, that was not synced. */
  readonly keepChance: number;
}

export interface ClientTuning {
  readonly clients: number;
  readonly thinkMsMax: number;
  readonly keys: number;
  readonly readChance: number;
  readonly appendChance: number;
  readonly valueBytesMax: number;
  readonly timeoutMs: number;
}

/** One run's conditions: swarm testing, so that no one mix of faults hides what another shows. */
export interface FullTuning {
  readonly nodes: number;
  readonly runMs: number;
  readonly raft: Partial<RaftOptions>;
  readonly kv: Partial<KvOptions>;
  readonly segmentBytes: number;
  /** The nodes start as with `--new-cluster`: else they join, as by default. A wiped one always does. */
  readonly newNodesVote: boolean;
  readonly network: NetworkTuning;
  readonly disk: DiskTuning;
  /** By which part of its pace a node's clock may run fast or slow, at most. */
  readonly clockDriftMax: number;
  /** The longest time from something to do until a node gets to it. */
  readonly turnMsMax: number;
  readonly faults: FaultTuning;
  /** That a minority of the servers stays down at first, once all other faults have ended. */
  readonly minorityLostChance: number;
  readonly client: ClientTuning;
}

export const calmDisk: DiskTuning = {
  syncMsMin: 0.1,
  syncMsMax: 1,
  waitChance: 0.5,
  failureChance: 0,
  keepChance: 1,
};

export function drawTuning(prng: Prng): FullTuning {
  const clockDriftMax = prng.pick([0, 0.01, 0.1]);
  const readMode = prng.pick<RaftOptions["readMode"]>(["readIndex", "readIndex", "lease"]);
  return {
    nodes: prng.pick([1, 3, 3, 3, 5, 5, 5, 7]),
    runMs: 10_000,
    raft: { ...drawRaft(prng), readMode, leaseClockDriftPpmMax: tightBoundPpm(clockDriftMax) },
    kv: {
      snapshotLogBytes: prng.pick([-1, 1_000, 5_000, 50_000]),
      trailingEntries: prng.pick([0, 5, 100]),
      commandCodec: prng.pick(["compact", "compact", "boost"]),
    },
    segmentBytes: prng.pick([4_096, 16_384, 65_536]),
    network: drawNetwork(prng),
    disk: drawDisk(prng),
    clockDriftMax,
    turnMsMax: prng.pick([0, 0.2, 3]),
    faults: {
      intervalMsMax: prng.pick([300, 1_000, 3_000]),
      durationMsMax: prng.pick([100, 500, 2_000]),
      stableMsMin: prng.pick([0, 0, 500]),
      kinds: drawKinds(prng, readMode),
    },
    minorityLostChance: prng.pick([0, 0.5]),
    client: drawClient(prng),
    newNodesVote: prng.chance(0.5),
  };
}

/** By how much the fastest clock may outrun the slowest, in millionths: no less will do. */
export function tightBoundPpm(clockDriftMax: number): number {
  return 1_000_000 * ((1 + clockDriftMax) / (1 - clockDriftMax) - 1);
}

function drawRaft(prng: Prng): Partial<RaftOptions> {
  const heartbeatMs = prng.pick([25, 25, 50, 100]);
  const electionTimeoutMsMin = heartbeatMs * prng.pick([4, 12]);
  return {
    heartbeatMs,
    electionTimeoutMsMin,
    electionTimeoutMsMax: electionTimeoutMsMin * prng.pick([1.5, 2]),
    appendEntriesMax: prng.pick([1, 3, 1024]),
    appendBytesMax: prng.pick([1, 500, 262_144]),
    inflightMax: prng.pick([2, 8, 64]),
    inflightBytesMax: prng.pick([1_000, 4_194_304]),
    uncommittedBytesMax: prng.pick([1_000, 100_000, 67_108_864]),
    peerCallTimeoutMs: prng.pick([100, 300, 1_000]),
    snapshotChunkBytes: prng.pick([300, 2_000, 262_144]),
    snapshotChunkTimeoutMs: prng.pick([300, 2_000]),
    snapshotInstallTimeoutMs: prng.pick([1_000, 5_000]),
    snapshotReceiveTimeoutMs: prng.pick([1_000, 5_000]),
    applyEntriesMax: prng.pick([1, 10, 8_192]),
  };
}

function drawNetwork(prng: Prng): NetworkTuning {
  return {
    delayMsMin: prng.pick([0, 0.5, 2]),
    delayMsMax: prng.pick([2, 5, 20]),
    lossChance: prng.pick([0, 0, 0.01, 0.1]),
    duplicateChance: prng.pick([0, 0, 0.05, 0.3]),
    slowChance: prng.pick([0, 0.01, 0.1]),
    slowMsMax: prng.pick([50, 300, 1_500]),
    inOrder: prng.chance(0.5),
  };
}

function drawDisk(prng: Prng): DiskTuning {
  return {
    syncMsMin: prng.pick([0.05, 0.5]),
    syncMsMax: prng.pick([1, 5, 30]),
    waitChance: prng.pick([0, 0.5, 1]),
    failureChance: prng.pick([0, 0, 0, 0.0005, 0.003]),
    keepChance: prng.pick([0, 0.5, 0.9, 1]),
  };
}

function drawClient(prng: Prng): ClientTuning {
  return {
    clients: prng.int(1, 6),
    thinkMsMax: prng.pick([10, 100, 500]),
    keys: prng.pick([1, 3, 10]),
    readChance: prng.pick([0.2, 0.5]),
    appendChance: prng.pick([0.2, 0.8]),
    valueBytesMax: prng.pick([8, 8, 200]),
    timeoutMs: prng.pick([500, 3_000]),
  };
}

function drawKinds(prng: Prng, readMode: RaftOptions["readMode"]): FaultTuning["kinds"] {
  // A lease rests on clocks that keep to their bound: one that leaps breaks the promise.
  const allowed = faultKinds.filter((kind) => readMode !== "lease" || kind !== "clock leap");
  const kinds = allowed.filter(() => prng.chance(0.4));
  return kinds.length > 0 ? kinds : [prng.pick(allowed)];
}
