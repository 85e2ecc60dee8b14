import { calm, type CoreTuning } from "./coreTuning.js";

/** A cluster with the defaults of `config/options.ts` in a data centre: for scenarios. */
export const steadyTuning: Omit<CoreTuning, "clusterSize"> = {
  runMs: 0,
  node: {
    heartbeatMs: 25,
    electionTimeoutMsMin: 300,
    electionTimeoutMsMax: 500,
    appendEntriesMax: 100,
    appendBytesMax: 100_000,
    inflightMax: 64,
    inflightBytesMax: 1_000_000,
    uncommittedBytesMax: 1_000_000,
    readMode: "readIndex",
    leaseClockDriftPpmMax: 0,
    clockDriftMax: 0.01,
    turnMsMax: 1,
    promptTurnChance: 0.5,
    timerLateMsMax: 1,
    snapshotEntries: 50,
    trailingEntries: 10,
    snapshotChunks: 2,
    lateReportChance: 0,
  },
  network: calm.network,
  rpc: { timeoutMs: 1000, refusalChance: 1, repeatsReplies: false },
  disk: calm.disk,
  faults: { intervalMsMax: 1, durationMsMax: 1, kinds: ["crash"] },
  workload: { intervalMsMax: 1, batchMax: 1, commandBytesMax: 8, readChance: 0 },
};
