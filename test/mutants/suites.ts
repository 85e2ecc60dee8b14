import type { Mutant } from "./mutant.js";

/** Tests that ought to notice, from the least directed to the most. */
export const suiteNames = ["seeds", "scenarios", "rules"] as const;
export type SuiteName = (typeof suiteNames)[number];

type Layer = Mutant["layer"];

const servers = {
  seeds: ["test/sim/full/full.test.ts"],
  scenarios: ["test/sim/labs/kv/"],
};

/** What each suite runs: parts of paths, as `vitest run` takes them. */
const suites: Readonly<Record<Layer, Readonly<Record<SuiteName, readonly string[]>>>> = {
  core: {
    seeds: ["test/sim/core.test.ts"],
    scenarios: ["test/sim/labs/raft/", "test/sim/scenarios.test.ts"],
    rules: ["test/raft/core/", "test/raft/interaction/"],
  },
  joining: { ...servers, rules: ["test/raft/core/joining.test.ts", "test/raft/persister/"] },
  server: {
    ...servers,
    rules: ["test/kvserver/", "test/raft/raft.test.ts", "test/raft/snapshotReceiver.test.ts"],
  },
  storage: { ...servers, rules: ["test/raft/persister/"] },
};

export function filesOf(layer: Layer, suite: SuiteName): string[] {
  return [...suites[layer][suite]];
}
