import { calmNetwork, type NetworkTuning } from "./network.js";
import type { Prng } from "./prng.js";
import type { DiskTuning } from "./simDisk.js";
import type { RpcTuning } from "./simRpc.js";

/** What the faults of a run are, and how often one begins. */
export interface FaultTuning {
  readonly intervalMsMax: number;
  readonly durationMsMax: number;
  /** The more often a name stands here, the likelier it is. */
  readonly kinds: readonly FaultKind[];
}

const faultKinds = [
  "crash",
  "crash all",
  "crash leader",
  "pause",
  "pause leader",
  "isolate",
  "isolate leader",
  "split",
  "one-way",
  "cut links",
  "stall disk",
  "clock leap",
  "clock drift",
  "transfer",
] as const;

export type FaultKind = (typeof faultKinds)[number];

export interface NodeTuning {
  readonly heartbeatMs: number;
  readonly electionTimeoutMsMin: number;
  readonly electionTimeoutMsMax: number;
  readonly appendEntriesMax: number;
  readonly appendBytesMax: number;
  readonly inflightMax: number;
  readonly inflightBytesMax: number;
  readonly uncommittedBytesMax: number;
  readonly readMode: "readIndex" | "lease";
  readonly leaseClockDriftPpmMax: number;
  /** Clocks run at 1 plus or minus this. */
  readonly clockDriftMax: number;
  /** Inputs of one turn: how long the node may gather them before it acts. */
  readonly turnMsMax: number;
  /** That a turn acts at once. */
  readonly promptTurnChance: number;
  readonly timerLateMsMax: number;
  /** Entries applied between two snapshots. */
  readonly snapshotEntries: number;
  readonly trailingEntries: number;
  readonly snapshotChunks: number;
  /** That a durable save is reported only with the next one. */
  readonly lateReportChance: number;
}

export interface WorkloadTuning {
  readonly intervalMsMax: number;
  readonly batchMax: number;
  readonly commandBytesMax: number;
  readonly readChance: number;
}

/** One run's conditions: swarm testing, so that no one mix of faults hides what another shows. */
export interface CoreTuning {
  readonly clusterSize: number;
  readonly runMs: number;
  readonly node: NodeTuning;
  readonly network: NetworkTuning;
  readonly rpc: RpcTuning;
  readonly disk: DiskTuning;
  readonly faults: FaultTuning;
  readonly workload: WorkloadTuning;
}

/** After the faults: what a cluster must recover under. */
export const calm = {
  network: calmNetwork,
  disk: { syncMsMin: 0.1, syncMsMax: 1, groupCommitChance: 0.5, snapshotMsMax: 5 },
} as const;

export function drawTuning(prng: Prng): CoreTuning {
  const node = drawNode(prng);
  return {
    clusterSize: prng.pick([1, 2, 3, 3, 3, 3, 4, 5, 5, 5, 7]),
    runMs: 40 * node.electionTimeoutMsMax,
    node,
    network: drawNetwork(prng),
    rpc: {
      timeoutMs: prng.pick([30, 100, 300, 1000]),
      refusalChance: prng.pick([0, 0.5, 1]),
      repeatsReplies: prng.chance(0.3),
    },
    disk: drawDisk(prng),
    faults: {
      intervalMsMax: prng.pick([100, 300, 1000]),
      durationMsMax: prng.pick([50, 300, 1000, 2000]),
      kinds: drawKinds(prng, node.readMode),
    },
    workload: {
      intervalMsMax: prng.pick([5, 20, 50]),
      batchMax: prng.pick([1, 1, 3, 10]),
      commandBytesMax: prng.pick([8, 8, 100]),
      readChance: prng.pick([0, 0.2, 0.5]),
    },
  };
}

function drawNode(prng: Prng): NodeTuning {
  const heartbeatMs = prng.pick([10, 25, 50]);
  const beatsPerTimeout = prng.pick([2, 4, 12]);
  const electionTimeoutMsMin = heartbeatMs * beatsPerTimeout;
  // Safety rests on no clock but for lease reads; leaders last only where heartbeats outrun the
  // timeouts.
  const clockDriftMax = prng.pick([0, 0.01, 0.1, beatsPerTimeout > 4 ? 0.5 : 0.1]);
  return {
    heartbeatMs,
    electionTimeoutMsMin,
    electionTimeoutMsMax: electionTimeoutMsMin * prng.pick([1.2, 1.7, 2]),
    appendEntriesMax: prng.pick([1, 2, 10, 1000]),
    appendBytesMax: prng.pick([1, 100, 1000, 100_000]),
    inflightMax: prng.pick([2, 8, 64]),
    inflightBytesMax: prng.pick([100, 1000, 100_000]),
    uncommittedBytesMax: prng.pick([100, 10_000, 1_000_000]),
    readMode: prng.pick(["readIndex", "lease"]),
    // The bound is as tight as it may be: the fastest clock against the slowest.
    leaseClockDriftPpmMax: 1_000_000 * ((1 + clockDriftMax) / (1 - clockDriftMax) - 1),
    clockDriftMax,
    turnMsMax: prng.pick([1, 5]),
    promptTurnChance: prng.pick([0, 0.8, 1]),
    timerLateMsMax: prng.pick([0, 1, 15]),
    snapshotEntries: prng.pick([5, 30, 200, Infinity]),
    trailingEntries: prng.pick([0, 0, 3, 50]),
    snapshotChunks: prng.pick([1, 2, 5]),
    lateReportChance: prng.pick([0, 0, 0.3]),
  };
}

function drawNetwork(prng: Prng): NetworkTuning {
  return {
    delayMsMin: prng.pick([0, 0.5, 3]),
    delayMsMax: prng.pick([3, 5, 20]),
    lossChance: prng.pick([0, 0, 0.02, 0.1, 0.3]),
    duplicateChance: prng.pick([0, 0.05, 0.3]),
    slowChance: prng.pick([0, 0.01, 0.1]),
    slowMsMax: prng.pick([50, 300, 1500]),
    inOrder: prng.chance(0.3),
  };
}

function drawDisk(prng: Prng): DiskTuning {
  return {
    syncMsMin: prng.pick([0, 0.1, 1]),
    syncMsMax: prng.pick([1, 5, 40]),
    groupCommitChance: prng.pick([0, 0.5, 1]),
    snapshotMsMax: prng.pick([1, 20, 200]),
  };
}

function drawKinds(prng: Prng, readMode: NodeTuning["readMode"]): FaultKind[] {
  // A lease rests on clocks that keep to their bound: one that leaps breaks the promise.
  const allowed = faultKinds.filter((kind) => readMode !== "lease" || kind !== "clock leap");
  const kinds = allowed.filter(() => prng.chance(0.5));
  return kinds.length > 0 ? kinds : [prng.pick(allowed)];
}
