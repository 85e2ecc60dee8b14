/**
 * A node as `main.ts` runs it, in a process that watches its own event loop and takes snapshots when
 * it is told to: node.js NODE_LIST ID DATA_DIR
 */
import { monitorEventLoopDelay, PerformanceObserver } from "node:perf_hooks";
import { silentLogger } from "../../config/logger.js";
import { MprpcConfig, readSettings } from "../../config/index.js";
import { KvNode } from "../../kvserver/node.js";
import { captureState } from "../../kvserver/stateSnapshot.js";
import type { KvStateMachine } from "../../kvserver/stateMachine.js";
import type { Order, Report } from "./messages.js";

/** Between two looks at the loop; a delay shows with what is left of it. */
const resolutionMs = 1;
/** As by default: see `KvOptions`. */
const trailing = { entriesMax: 10_000, bytesMax: 16 * 1024 * 1024 };

const [nodeListFile = "", id = "0", dataDir = ""] = process.argv.slice(2);
const nodeList = MprpcConfig.loadFile(nodeListFile);
const node = await KvNode.start({
  nodeList,
  id: Number(id),
  dataDir,
  newNode: "join",
  settings: readSettings(nodeList),
  log: silentLogger,
  version: "",
});

const applied: { index: number; machine: KvStateMachine | null } = { index: 0, machine: null };
node.kvServer.onApplied = (index, machine) => {
  applied.index = index;
  applied.machine = machine;
};

const delays = monitorEventLoopDelay({ resolution: resolutionMs });
delays.enable();
let gcMax = 0;
new PerformanceObserver((list) => {
  for (const { duration } of list.getEntries()) gcMax = Math.max(gcMax, duration);
}).observe({ entryTypes: ["gc"] });
const wanted = { snapshots: false };
let snapshots = 0;
let snapshotMs = 0;

async function takeSnapshots(): Promise<void> {
  while (wanted.snapshots && applied.machine !== null) {
    const startedAt = performance.now();
    const capture = captureState(applied.machine);
    try {
      if (!(await node.kvServer.raft.snapshot(applied.index, capture, trailing))) return;
    } finally {
      capture.close();
    }
    snapshots++;
    snapshotMs += performance.now() - startedAt;
  }
}

function delayMs(nanoseconds: number): number {
  return Math.max(0, nanoseconds / 1e6 - resolutionMs);
}

function report(): Report {
  return {
    delayP50: delayMs(delays.percentile(50)),
    delayP99: delayMs(delays.percentile(99)),
    delayMax: delayMs(delays.max),
    gcMax,
    snapshots,
    snapshotMs: snapshots === 0 ? 0 : snapshotMs / snapshots,
  };
}

function reset(): void {
  delays.reset();
  gcMax = 0;
  snapshots = 0;
  snapshotMs = 0;
}

process.on("message", (order: Order) => {
  if (order.kind === "reset") reset();
  else if (order.kind === "report") process.send!(report());
  else {
    wanted.snapshots = order.on;
    void takeSnapshots();
  }
});
process.on("disconnect", () => process.exit());
